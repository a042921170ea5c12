//! A question about cluster names, and what becomes of it.

use std::net::IpAddr;

use dns_wire::{Name, NameRef, Query};

/// The most CNAMEs that are followed for one question; a longer chain counts as a loop (CoreDNS: the same).
pub const MAX_CHAIN: usize = 10;

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The query, for its type.
    pub query: &'a Query<'a>,
    /// The name to answer for; another than the query's after rewriting, in a search path, or while a CNAME is followed.
    pub name: NameRef<'a>,
    /// The addresses of this server: for NS records and `ns.dns.<zone>`.
    pub own: &'a [IpAddr],
    /// Turns the order of address records, for `loadbalance`: any number that differs between queries. `None`: as in the slices.
    pub turn: Option<u32>,
    /// How many CNAMEs have been followed already for this query.
    pub hops: usize,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reply is complete, but for [`dns_wire::Reply::finish`].
    Answered,
    /// Not a name of ours, or it falls through: nothing was written.
    Pass,
    /// CNAMEs are written whose last target must be resolved through the whole chain of sources.
    Chase(Chase),
}

/// What is left to do for the name of an ExternalName Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chase {
    /// The CNAMEs that are in the reply already, the asked name first; 1 to [`MAX_CHAIN`].
    pub links: Vec<Link>,
    /// Their TTL in seconds.
    pub ttl: u32,
}

impl Chase {
    /// The name to resolve.
    pub fn target(&self) -> Option<NameRef<'_>> {
        self.links.last().map(|link| link.target.as_ref())
    }
}

/// One CNAME of a [`Chase`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The alias.
    pub owner: Name,
    /// What it stands for.
    pub target: Name,
}
