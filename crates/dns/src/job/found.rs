//! What a job found.

use std::sync::Arc;

use dns_config::AclAction;
use dns_forward::Hit;
use dns_wire::{Kind, Name, Record, Stored, Ttls, rtype};

use crate::metrics::Plugin;

/// A CNAME in front of what was found: of an ExternalName Service, or of a search list.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) owner: Name,
    pub(crate) target: Name,
    pub(crate) ttl: u32,
    /// Of a search list: what follows may be of another zone, and of an upstream.
    pub(crate) of_search: bool,
}

/// What was found at the end of the links.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A reply of ours.
    Own(Arc<Stored>, Plugin),
    /// A reply of an upstream.
    Foreign(Hit),
    /// Nothing: `acl` forbids it.
    Forbidden(AclAction),
    /// Nothing, with an extended error: its code and text.
    Failed(u16, String),
}

/// An answer, before it is dressed for the client.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) links: Vec<Link>,
    pub(crate) body: Body,
}

impl Found {
    pub(crate) fn plugin(&self) -> Plugin {
        match &self.body {
            Body::Own(_, plugin) => *plugin,
            Body::Foreign(hit) if hit.cached => Plugin::Cache,
            Body::Foreign(_) => Plugin::Forward,
            Body::Forbidden(_) => Plugin::Acl,
            Body::Failed(..) => Plugin::Server,
        }
    }

    /// What it says; a failure where nothing was found.
    pub(crate) fn kind(&self) -> Kind {
        match self.body {
            Body::Forbidden(AclAction::Filter) => Kind::NoData,
            _ => self.stored().map_or(Kind::Failure, Stored::kind),
        }
    }

    pub(crate) fn stored(&self) -> Option<&Stored> {
        match &self.body {
            Body::Own(stored, _) => Some(stored),
            Body::Foreign(hit) => Some(&hit.stored),
            Body::Forbidden(_) | Body::Failed(..) => None,
        }
    }

    /// What becomes of its TTLs.
    pub(crate) fn ttls(&self) -> Ttls {
        match &self.body {
            Body::Foreign(hit) => hit.ttls,
            _ => Ttls::KEEP,
        }
    }

    /// Whether it has answers of this type.
    pub(crate) fn has(&self, kind: u16) -> bool {
        self.stored().is_some_and(|stored| stored.answers().any(|record: Record| record.rtype == kind))
    }

    /// The least TTL of its links and answers; `None`: it has none.
    pub(crate) fn least_ttl(&self) -> Option<u32> {
        let ttls = self.ttls();
        let answers = self.stored().into_iter().flat_map(|stored| stored.answers());
        let links = self.links.iter().map(|link| link.ttl);
        answers.map(|record| ttls.apply(record.ttl)).chain(links).min()
    }

    /// Whether it begins with what this server is the authority for.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.body, Body::Own(..)) || self.links.iter().any(|link| !link.of_search)
    }

    /// Whether there is to be no reply.
    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self.body, Body::Forbidden(AclAction::Drop))
    }

    /// Whether it answers type A.
    pub(crate) fn has_ipv4(&self) -> bool {
        self.has(rtype::A)
    }
}
