//! Which endpoints have gone, of Services whose connections to these end after a deadline.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{EndpointAddr, FrontendKey, NamespacedName, Protocol};
use resolve::Route;
use rustc_hash::FxHashMap;

/// An endpoint of a Service, of one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leaver {
    /// The Service.
    pub service: NamespacedName,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it listens, or listened.
    pub endpoint: EndpointAddr,
}

/// What a change means for connections to endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainNews {
    /// The endpoint terminates, or is in no slice of the Service any more.
    Left {
        /// The endpoint.
        who: Leaver,
        /// How long its connections may go on.
        deadline: Duration,
        /// Frontends through which they may have come.
        frontends: Arc<[FrontendKey]>,
        /// It was terminating before, so that its time began then.
        before: bool,
    },
    /// The endpoint is there, and does not terminate.
    Back(Leaver),
    /// The Service's deadline is another one now, or there is none.
    Deadline(NamespacedName, Option<Duration>),
}

/// A Service with a deadline, for the one look at everything after a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainCheck {
    /// The Service.
    pub service: NamespacedName,
    /// How long connections to an endpoint that is gone may go on.
    pub deadline: Duration,
    /// Its frontends.
    pub frontends: Arc<[FrontendKey]>,
    /// Endpoints that are in a slice, terminating or not.
    pub known: BTreeSet<(Protocol, EndpointAddr)>,
}

#[derive(Clone, Debug, Default)]
struct Watched {
    deadline: Duration,
    staying: BTreeSet<(Protocol, EndpointAddr)>,
    leaving: BTreeSet<(Protocol, EndpointAddr)>,
    frontends: BTreeSet<FrontendKey>,
}

/// Remembers the endpoints of Services that have a deadline.
#[derive(Debug, Default)]
pub struct DrainTracker {
    services: FxHashMap<NamespacedName, Watched>,
}

impl DrainTracker {
    /// Takes in the new Routes of a Service.
    pub fn update(&mut self, service: &NamespacedName, routes: &[Route]) -> Vec<DrainNews> {
        let new = watched(routes);
        let old = match &new {
            Some(new) => self.services.insert(service.clone(), new.clone()),
            None => self.services.remove(service),
        };
        match (old, new) {
            (None, None) => Vec::new(),
            // Without a Service there is nothing left that could say otherwise.
            (Some(old), None) if routes.is_empty() => {
                let new = Watched { deadline: old.deadline, ..Watched::default() };
                compare(service, &old, &new)
            }
            (Some(_), None) => vec![DrainNews::Deadline(service.clone(), None)],
            (old, Some(new)) => {
                let deadline = DrainNews::Deadline(service.clone(), Some(new.deadline));
                let first = old.as_ref().is_none_or(|old| old.deadline != new.deadline).then_some(deadline);
                let changes = compare(service, &old.unwrap_or_default(), &new);
                first.into_iter().chain(changes).collect()
            }
        }
    }

    /// Every Service with a deadline.
    pub fn all(&self) -> Vec<DrainCheck> {
        let check = |(service, watched): (&NamespacedName, &Watched)| DrainCheck {
            service: service.clone(),
            deadline: watched.deadline,
            frontends: watched.frontends.iter().copied().collect(),
            known: watched.staying.union(&watched.leaving).copied().collect(),
        };
        self.services.iter().map(check).collect()
    }
}

fn watched(routes: &[Route]) -> Option<Watched> {
    let mut all = Watched::default();
    let mut found = false;
    for route in routes {
        let Some(drain) = &route.drain else { continue };
        (found, all.deadline) = (true, drain.deadline);
        let protocol = route.name.protocol;
        all.staying.extend(drain.staying.iter().map(|endpoint| (protocol, *endpoint)));
        all.leaving.extend(drain.leaving.iter().map(|endpoint| (protocol, *endpoint)));
        all.frontends.extend(route.frontends());
    }
    // Of two ports with one endpoint, one may still have it.
    all.leaving.retain(|endpoint| !all.staying.contains(endpoint));
    found.then_some(all)
}

fn compare(service: &NamespacedName, old: &Watched, new: &Watched) -> Vec<DrainNews> {
    let who = |(protocol, endpoint): &(Protocol, EndpointAddr)| Leaver {
        service: service.clone(),
        protocol: *protocol,
        endpoint: *endpoint,
    };
    let back = new.staying.difference(&old.staying).map(|one| DrainNews::Back(who(one)));
    let begin = new.leaving.difference(&old.leaving);
    let known = old.staying.union(&old.leaving);
    let gone = known.filter(|one| !new.staying.contains(one) && !new.leaving.contains(one));
    let left: Vec<_> = begin.chain(gone).collect();
    if left.is_empty() {
        return back.collect();
    }
    // A frontend may have gone with the endpoint.
    let frontends: Arc<[FrontendKey]> = old.frontends.union(&new.frontends).copied().collect();
    let left = left.into_iter().map(|one| DrainNews::Left {
        who: who(one),
        deadline: new.deadline,
        frontends: Arc::clone(&frontends),
        before: old.leaving.contains(one),
    });
    back.chain(left).collect()
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
