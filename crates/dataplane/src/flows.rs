//! Which conntrack entries a change has made stale.
//!
//! UDP and SCTP flows have no handshake that would end a flow to a dead endpoint: as long as a client sends,
//! conntrack keeps translating to the old place (kubernetes/kubernetes#139628, #141371). A flow is stale when its
//! frontend was touched and its endpoint does not serve it any more. Flows that go to a serving endpoint stay.

use std::sync::Arc;

use model::{EndpointAddr, FrontendKey, NamespacedName};
use resolve::Route;
use rustc_hash::FxHashMap;

/// Flows to look at: those whose original destination is the frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowCheck {
    /// The frontend.
    pub frontend: FrontendKey,
    /// Endpoints whose flows stay; `None`: the frontend is gone, every flow that was translated goes, and one that
    /// was not is none of ours.
    pub serving: Option<Arc<[EndpointAddr]>>,
}

impl FlowCheck {
    /// Whether a flow to the frontend is stale. `endpoint`: where it goes, as its replies' source. `translated`:
    /// conntrack rewrote its destination.
    pub fn is_stale(&self, endpoint: EndpointAddr, translated: bool) -> bool {
        match &self.serving {
            Some(serving) => serving.binary_search(&endpoint).is_err(),
            None => translated,
        }
    }
}

type Served = FxHashMap<FrontendKey, Arc<[EndpointAddr]>>;

/// Remembers, for frontends of protocols that need it, which endpoints serve them.
#[derive(Debug, Default)]
pub struct FlowTracker {
    services: FxHashMap<NamespacedName, Served>,
}

impl FlowTracker {
    /// Takes in the new Routes of a Service; returns the frontends whose flows may have become stale.
    pub fn update(&mut self, service: &NamespacedName, routes: &[Route]) -> Vec<FlowCheck> {
        let new = served(routes);
        let old = if new.is_empty() {
            self.services.remove(service)
        } else {
            self.services.insert(service.clone(), new.clone())
        };
        let old = old.unwrap_or_default();
        let gone = old.keys().filter(|key| !new.contains_key(key));
        let gone = gone.map(|key| FlowCheck { frontend: *key, serving: None });
        let changed = new.iter().filter(|(key, now)| old.get(key).is_none_or(|was| is_stale_after(was, now)));
        let changed = changed.map(|(key, now)| FlowCheck { frontend: *key, serving: Some(Arc::clone(now)) });
        gone.chain(changed).collect()
    }

    /// Every frontend with what serves it: for the one look at everything after a start.
    pub fn all(&self) -> Vec<FlowCheck> {
        let all = self.services.values().flatten();
        all.map(|(key, now)| FlowCheck { frontend: *key, serving: Some(Arc::clone(now)) }).collect()
    }
}

/// Endpoints were lost; or there were none, so that untranslated flows may exist.
fn is_stale_after(was: &Arc<[EndpointAddr]>, now: &Arc<[EndpointAddr]>) -> bool {
    let lost = was.iter().any(|e| now.binary_search(e).is_err());
    lost || (was.is_empty() && !now.is_empty())
}

fn served(routes: &[Route]) -> Served {
    let tracked = routes.iter().filter(|route| route.name.protocol.needs_flow_cleanup());
    tracked.flat_map(|route| route.frontends().map(|key| (key, Arc::clone(&route.serving)))).collect()
}
