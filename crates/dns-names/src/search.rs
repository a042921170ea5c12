//! The search path of a pod, as its `/etc/resolv.conf` has it: what autopath tries in the client's place.

use dns_wire::{Name, NameBuf, NameRef};
use model::{DnsPolicy, Pod};

/// The most domains of a search path that are tried (kubelet allows 32).
pub const MAX_SEARCH: usize = 32;
/// `ndots` of pods that do not say otherwise (kubelet).
const NDOTS: usize = 5;

/// The search path of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchList {
    domains: Vec<Name>,
    ndots: usize,
}

/// One name to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'k> {
    /// The name.
    pub name: NameRef<'k>,
    /// The domain that was added; `None` for the name as it is, tried last.
    pub domain: Option<usize>,
}

impl SearchList {
    /// The search path of a pod: the cluster's domains, then the node's (`host`), then those of `spec.dnsConfig`; each once.
    /// Empty for pods that do not ask the cluster's DNS Service. A search domain that is no name does not count.
    pub fn of(pod: &Pod, zone: NameRef<'_>, host: &[Name]) -> Self {
        let dns = pod.dns.as_deref();
        let policy = dns.map(|dns| dns.policy).unwrap_or_default();
        let mut domains = Vec::new();
        if policy != DnsPolicy::None && policy != DnsPolicy::Default && !pod.host_network {
            domains.extend(own_domains(pod, zone));
            domains.extend(host.iter().cloned());
        }
        let searches = dns.map_or(&[][..], |dns| &dns.searches);
        domains.extend(searches.iter().filter_map(|domain| domain.parse::<Name>().ok()));
        let ndots = dns.and_then(|dns| dns.ndots).map_or(NDOTS, usize::from);
        Self { domains: without_twins(domains), ndots }
    }

    /// The names that a pod's resolver would try for what it asked first, in their order: the one asked, the rest of the search path, at
    /// last the name alone, unless it has so many dots that the resolver began with that.
    ///
    /// `None`: the name is not in the first domain of the path, so the pod is not at the beginning of its search.
    pub fn candidates<'a>(&'a self, asked: NameRef<'a>) -> Option<Candidates<'a>> {
        let left = asked.strip(self.domains.first()?.as_ref()).filter(|left| *left > 0)?;
        let base = asked.wire().get(..left)?;
        let dots = asked.label_count() - self.domains.first()?.as_ref().label_count() - 1;
        let alone = dots < self.ndots;
        Some(Candidates { list: self, asked, base, alone })
    }

    /// The domains, in their order.
    pub fn domains(&self) -> &[Name] {
        &self.domains
    }
}

/// `<namespace>.svc.<zone>`, `svc.<zone>`, `<zone>`.
fn own_domains(pod: &Pod, zone: NameRef<'_>) -> impl Iterator<Item = Name> {
    let namespace = pod.name.namespace.as_bytes();
    let first = NameBuf::new().push(namespace).and_then(|name| name.push(b"svc")?.name_under(zone));
    let second = NameBuf::new().push(b"svc").and_then(|name| name.name_under(zone));
    first.into_iter().chain(second).chain([zone.to_owned()])
}

fn without_twins(domains: Vec<Name>) -> Vec<Name> {
    let mut kept: Vec<Name> = Vec::new();
    for domain in domains {
        if kept.len() < MAX_SEARCH && !kept.iter().any(|other| other.as_ref().eq_ignore_case(domain.as_ref()))
        {
            kept.push(domain);
        }
    }
    kept
}

/// The names of one search, made one by one without allocation.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    list: &'a SearchList,
    asked: NameRef<'a>,
    base: &'a [u8],
    alone: bool,
}

impl<'a> Candidates<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.domains.len() + usize::from(self.alone)
    }

    /// Never: the name asked is always one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them; the first is the name as asked, in its letter case. `None`: there are not so many, or it would be too long for a name.
    pub fn get<'k>(&self, index: usize, buffer: &'k mut NameBuf) -> Option<Candidate<'k>>
    where
        'a: 'k,
    {
        if index == 0 {
            return Some(Candidate { name: self.asked, domain: Some(0) });
        }
        let domain = self.list.domains.get(index);
        if domain.is_none() && (index >= self.len() || !self.alone) {
            return None;
        }
        buffer.clear();
        let under = domain.map_or(NameRef::ROOT, Name::as_ref);
        let name = buffer.push_wire(self.base)?.under(under)?;
        Some(Candidate { name, domain: domain.map(|_| index) })
    }
}
