//! How a stored reply is dressed for one client.

use crate::edns::Edns;
use crate::name::NameRef;

/// What becomes of the TTLs of a stored reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls {
    /// Seconds since the reply was received; each TTL is less by as much, and never below 0.
    pub age: u32,
    /// The least that a TTL counts as when the reply is received (CoreDNS's cache: 5).
    pub least: u32,
    /// The most that a TTL counts as when the reply is received (CoreDNS's cache: 3,600; kubeadm: 30).
    pub most: u32,
    /// For a reply that has expired: the TTL of all its records (RFC 8767 section 4: 30).
    pub stale: Option<u32>,
}

impl Ttls {
    /// As they are in the reply.
    pub const KEEP: Self = Self { age: 0, least: 0, most: u32::MAX, stale: None };

    /// The TTL to send for one that was received.
    #[must_use]
    #[inline]
    pub fn apply(&self, received: u32) -> u32 {
        let counted = received.max(self.least).min(self.most).saturating_sub(self.age);
        self.stale.unwrap_or(counted)
    }
}

/// A CNAME to put in front of a stored reply: the client asked for the owner, the stored reply is about the target.
#[derive(Clone, Copy, Debug)]
pub struct Cname<'a> {
    /// The alias.
    pub owner: NameRef<'a>,
    /// Seconds.
    pub ttl: u32,
    /// What it is an alias of.
    pub target: NameRef<'a>,
}

/// How [`crate::Stored::write`] dresses a reply for one client.
#[derive(Clone, Copy, Debug)]
pub struct Relay<'a> {
    /// What becomes of the TTLs; `prefix` has its own.
    pub ttls: Ttls,
    /// The most octets of the reply, as for [`crate::Reply::new`].
    pub limit: usize,
    /// Written in front, from the name asked to the name that the stored reply is about. Empty: the client asked for that itself.
    pub prefix: &'a [Cname<'a>],
    /// EDNS options to add if the client sent an OPT record: code and data.
    pub options: &'a [(u16, &'a [u8])],
}

/// Options in wire form, as many as fit into `room` octets.
pub(crate) fn wire_options(edns: Option<Edns<'_>>, options: &[(u16, &[u8])], room: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    if edns.is_none() {
        return wire;
    }
    for (code, data) in options {
        let Ok(length) = u16::try_from(data.len()) else { continue };
        if wire.len() + 4 + data.len() <= room {
            wire.extend_from_slice(&code.to_be_bytes());
            wire.extend_from_slice(&length.to_be_bytes());
            wire.extend_from_slice(data);
        }
    }
    wire
}
