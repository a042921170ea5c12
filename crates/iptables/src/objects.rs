//! The objects that a Route becomes, keyed.

use std::net::IpAddr;
use std::sync::Arc;

use model::{FrontendKey, IpFamily, Protocol};

use crate::digest::Digest;
use crate::names::{ChainId, Place};

/// What an object is within its chain. The order is that of the rules in a shared chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// The chain itself, and nothing of what is in it: a shared chain.
    Head,
    /// All rules of a chain that has one owner.
    Whole,
    /// The jumps from a built-in chain to a chain of ours.
    Jump,
    /// On to the chain of a VIP's hexadecimal digit.
    Digit(u8),
    /// A frontend with an address.
    Vip(IpAddr, Protocol, u16),
    /// On to the chain of the nodePorts that begin with these digits (how many, which).
    Range(Protocol, u8, u16),
    /// A nodePort.
    Port(Protocol, u16),
    /// A `healthCheckNodePort`, and whose it is.
    Health(u16, Digest),
    /// On to the nodePorts, where the destination is one that has them. The n-th such rule.
    Scope(u16),
    /// A rule of a shared chain that this program never makes, or that stands at a wrong place. Only observed.
    Stray(u32, Arc<str>),
}

/// Identity of one object in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its chain.
    pub place: Place,
    /// What it is there.
    pub entry: Entry,
}

/// Stands for rules that could not be read. No rule is like it.
pub const UNREAD: &str = "(rules that could not be read)";

impl Entry {
    /// Stands for the rules of a shared chain that could not be read: the chain has to be written anew. Its value is empty.
    pub fn unread() -> Self {
        Entry::Stray(u32::MAX, Arc::from(UNREAD))
    }

    /// Whether it is [`Entry::unread`].
    pub fn is_unread(&self) -> bool {
        matches!(self, Entry::Stray(_, rule) if **rule == *UNREAD)
    }
}

/// What an object is: its rules as `iptables-save` prints them after `-A CHAIN `, one a line; empty for a head.
pub type Value = Arc<str>;

impl Key {
    /// An entry of a chain.
    pub fn new(family: IpFamily, chain: ChainId, entry: Entry) -> Self {
        Self { place: Place::new(family, chain), entry }
    }

    /// Its family.
    pub fn family(&self) -> IpFamily {
        self.place.family
    }

    /// The frontend that the rule is for.
    pub fn frontend(&self) -> Option<FrontendKey> {
        match self.entry {
            Entry::Vip(ip, protocol, port) => Some(FrontendKey::Vip { ip, protocol, port }),
            Entry::Port(protocol, port) => {
                Some(FrontendKey::NodePort { family: self.family(), protocol, port })
            }
            _ => None,
        }
    }
}
