//! `autopath`: the server walks the client's search list, so that the client need not.

use dns_names::{MAX_SEARCH, SearchList};
use dns_wire::{Kind, Name, NameBuf, Query};

use super::Job;
use super::found::{Body, Found, Link};
use crate::chain::Block;
use crate::metrics::add;

impl Job {
    /// Looks a name up; where it is the first of a client's search, the others are tried too. When none exists,
    /// the answer is that of the first: the client walks the list again, and may know better. One that could not be
    /// asked makes that a failure.
    pub(crate) async fn search(&self, block: &Block, query: &Query<'_>, name: &Name, qtype: u16) -> Found {
        let first = self.walk(query, name, qtype).await;
        if first.kind() != Kind::NxDomain {
            return first;
        }
        let mut failure = None;
        for candidate in self.candidates(block, name) {
            let found = self.walk(query, &candidate, qtype).await;
            match found.kind() {
                // A name that exists ends the search, whatever types it has: A and AAAA must agree on the name.
                Kind::Answer | Kind::NoData => {
                    add(&self.counters.autopath);
                    return behind(name, candidate, found);
                }
                Kind::Failure if !matches!(found.body, Body::Forbidden(_)) => failure = Some(found),
                _ => {}
            }
        }
        // What could not be asked may exist: NXDOMAIN would be a guess.
        failure.map_or(first, |found| Found { links: Vec::new(), ..found })
    }

    /// The names after the first, in their order; none when it is not certain who the client is.
    fn candidates(&self, block: &Block, name: &Name) -> Vec<Name> {
        let Some(autopath) = block.autopath(name.as_ref()) else { return Vec::new() };
        if autopath.is_fixed {
            return along(&autopath.domains, name);
        }
        let zone = block.view.as_ref().and_then(|view| view.zones.first());
        let names = self.shared.names();
        let pod = names.pod_at(self.origin.from.ip().to_canonical());
        let (Some(zone), Some(pod)) = (zone, pod) else { return Vec::new() };
        let list = SearchList::of(pod, zone.as_ref(), &autopath.domains);
        let Some(all) = list.candidates(name.as_ref()) else { return Vec::new() };
        let mut buffer = NameBuf::new();
        (1..all.len()).filter_map(|place| Some(all.get(place, &mut buffer)?.name.to_owned())).collect()
    }
}

/// The rest of a list that is the same for all clients, and the name alone.
fn along(domains: &[Name], name: &Name) -> Vec<Name> {
    let Some((first, rest)) = domains.split_first() else { return Vec::new() };
    let left = name.as_ref().strip(first.as_ref()).filter(|left| *left > 0);
    let Some(base) = left.and_then(|left| name.wire().get(..left)) else { return Vec::new() };
    let root = Name::root();
    let rest = rest.iter().take(MAX_SEARCH).chain([&root]);
    rest.filter_map(|domain| NameBuf::new().push_wire(base)?.name_under(domain.as_ref())).collect()
}

/// What was found for a candidate, for the name asked. Where there are no records, there is no CNAME (as in CoreDNS).
fn behind(name: &Name, candidate: Name, mut found: Found) -> Found {
    if let Some(ttl) = found.least_ttl() {
        let link = Link { owner: name.clone(), target: candidate, ttl, of_search: true };
        found.links.insert(0, link);
    }
    found
}
