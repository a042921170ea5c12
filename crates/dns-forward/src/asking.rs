//! What is asked of a group, and what comes of it.

use std::sync::Arc;

use dns_wire::{NameRef, Stored, Ttls};

/// A question to a group.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The name, its letters as the client has them.
    pub name: NameRef<'a>,
    /// Type.
    pub qtype: u16,
    /// Class.
    pub qclass: u16,
    /// The client sets DO.
    pub dnssec_ok: bool,
    /// The client sets CD.
    pub checking_disabled: bool,
}

/// A message to answer with: `stored.write` with these [`Ttls`].
#[derive(Clone, Debug)]
pub struct Hit {
    /// The message.
    pub stored: Arc<Stored>,
    /// What becomes of its TTLs: its age, the bounds of the cache, [`crate::STALE_TTL`] for all if it is stale.
    pub ttls: Ttls,
    /// Past its life: add EDE 3 (Stale Answer), or 19 (Stale NXDOMAIN Answer), of RFC 8914.
    pub stale: bool,
    /// From the cache, not asked for this question.
    pub cached: bool,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A message, also one that says SERVFAIL.
    Answer(Hit),
    /// Nothing: answer SERVFAIL with [`Why::ede`].
    Failed(Why),
}

/// Why nothing came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// No upstream answered in time.
    #[error("no upstream answered in time")]
    Timeout,
    /// No upstream could be reached, or all broke the connection.
    #[error("no upstream can be reached")]
    Unreachable,
    /// What came back could not be read.
    #[error("the upstream's reply is broken")]
    Broken,
    /// Our own question came back, or each upstream is disabled for that.
    #[error("the upstream asks this server: a forwarding loop")]
    Loop,
    /// The group has no upstream.
    #[error("no upstream is configured")]
    NoUpstream,
    /// The same question failed a moment ago (RFC 9520).
    #[error("the same question failed a moment ago")]
    RecentFailure,
    /// As many questions are under way as [`crate::Group::max_concurrent`] allows.
    #[error("as many questions are under way as max_concurrent allows")]
    Overloaded,
    /// The program ends.
    #[error("the forwarder stops")]
    Stopped,
}

impl Why {
    /// The code of RFC 8914 to send with SERVFAIL.
    pub fn ede(self) -> u16 {
        match self {
            Self::Timeout | Self::Unreachable => 22, // No Reachable Authority
            Self::Broken => 23,                      // Network Error
            Self::Loop | Self::NoUpstream | Self::Overloaded => 0, // Other
            Self::RecentFailure => 13,               // Cached Error
            Self::Stopped => 14,                     // Not Ready
        }
    }
}

/// The question is not asked and nothing of it was kept: answer with `stale`, or SERVFAIL with [`Why::ede`].
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// An answer past its life, if there is one.
    pub stale: Option<Hit>,
}

/// Called once, on the forwarder's thread, with what came of a question. It must not block.
pub type Done = Box<dyn FnOnce(Resolved) + Send>;

/// An [`Asking`] to keep: lower-case name, type, class and the two bits. Equal questions are equal keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(Box<[u8]>);

impl Key {
    pub(crate) fn of(asking: &Asking<'_>) -> Self {
        let mut octets = Vec::with_capacity(asking.name.wire().len() + 5);
        octets.extend(asking.name.wire().iter().map(u8::to_ascii_lowercase));
        octets.extend(asking.qtype.to_be_bytes());
        octets.extend(asking.qclass.to_be_bytes());
        octets.push(asking.bits());
        Self(octets.into())
    }
}

impl Asking<'_> {
    /// DO and CD as two bits.
    pub(crate) fn bits(&self) -> u8 {
        u8::from(self.dnssec_ok) | u8::from(self.checking_disabled) << 1
    }
}
