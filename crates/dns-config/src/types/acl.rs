//! `acl`.

use dns_wire::Name;
use ipnet::IpNet;

/// `acl [ZONES...] { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// Names below these are meant; default: the zones of the block.
    pub zones: Vec<Name>,
    /// The first that matches decides.
    pub rules: Vec<AclRule>,
}

/// `ACTION [type QTYPE...] [net SOURCE...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclRule {
    /// What is done.
    pub action: AclAction,
    /// Types of questions. Empty: all.
    pub types: Vec<u16>,
    /// Source addresses. Empty: all.
    pub nets: Vec<IpNet>,
}

/// What is done with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclAction {
    /// `allow`: it goes on.
    Allow,
    /// `block`: REFUSED.
    Block,
    /// `filter`: NOERROR without records.
    Filter,
    /// `drop`: no reply at all.
    Drop,
}
