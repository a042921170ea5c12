//! The objects that a Route becomes, keyed. Small: a large cluster has millions of them.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{EndpointAddr, IpFamily, Protocol};

use crate::ids::{ChainId, SetId};

/// A VIP frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VipKey {
    /// The address.
    pub ip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// A NodePort frontend, within its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    /// The protocol.
    pub protocol: Protocol,
    /// The nodePort.
    pub port: u16,
}

/// The key of one element.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "one shape for each kind of set, see SetId")]
pub enum ElementKey {
    Addr(IpAddr),
    Vip(VipKey),
    Port(PortKey),
    VipSlot(VipKey, u16),
    PortSlot(PortKey, u16),
    /// A VIP and a prefix of sources; boxed, since few Services have them.
    Source(Box<(VipKey, IpNet)>),
    /// A NodePort and a prefix of sources.
    PortSource(Box<(PortKey, IpNet)>),
}

/// Identity of one object in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A set or map.
    Set(IpFamily, SetId),
    /// A chain with its rules.
    Chain(IpFamily, ChainId),
    /// An element.
    Element(IpFamily, SetId, ElementKey),
    /// Something in our table that we never made. Only observed, never desired.
    Stray(IpFamily, Box<Stray>),
}

/// Something in our table that we never made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stray {
    /// A chain.
    Chain(String),
    /// A set or map.
    Set(String),
    /// An element of one of our sets: first and last key. Without a key: the one that stands for any.
    Element(SetId, Vec<u8>, Option<Vec<u8>>),
    /// The table's flag that takes its base chains out of force.
    Dormant,
}

impl Key {
    /// The family of the table that the object is in.
    pub fn family(&self) -> IpFamily {
        match self {
            Key::Set(family, _)
            | Key::Chain(family, _)
            | Key::Element(family, ..)
            | Key::Stray(family, _) => *family,
        }
    }
}

/// Where a verdict map's element leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Discard.
    Drop,
    /// On to a chain.
    Goto(ChainId),
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// An element of a plain set.
    Member,
    /// An element of a verdict map.
    Verdict(Target),
    /// An element of a slot map.
    Endpoint(EndpointAddr),
    /// A set or a chain: a fingerprint of its definition.
    Definition(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory of a large node is these two sizes times the number of endpoint slots.
    #[test]
    fn keys_and_values_stay_small() {
        assert!(size_of::<Key>() <= 32, "{}", size_of::<Key>());
        assert!(size_of::<Value>() <= 24, "{}", size_of::<Value>());
    }
}
