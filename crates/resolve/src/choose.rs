//! Endpoint choice: traffic policy, terminating fallback, topology hints.
//!
//! The rules are kube-proxy's (1.36, `pkg/proxy/topology.go`; KEP-2086, KEP-1669, KEP-4444, KEP-3015), and one of our own
//! ahead of them, for Services that ask for it: what is ready on this node comes first (docs/annotations.md).

use std::sync::Arc;

use model::TrafficPolicy;

use crate::Candidate;

/// What a Service says that matters for the choice.
#[derive(Clone, Copy, Debug)]
pub struct PolicyView {
    /// `internalTrafficPolicy`.
    pub internal: TrafficPolicy,
    /// `externalTrafficPolicy`; counts only where the port is externally accessible.
    pub external: TrafficPolicy,
    /// It has a nodePort, an externalIP or a load balancer VIP.
    pub externally_accessible: bool,
    /// Traffic under policy Cluster keeps to ready endpoints of this node, where there are any.
    pub prefer_local: bool,
}

impl PolicyView {
    /// Whether any traffic may use endpoints of the whole cluster.
    pub fn uses_cluster(&self) -> bool {
        self.internal == TrafficPolicy::Cluster || self.externally_accessible
    }

    /// Whether any traffic is kept to endpoints of this node.
    pub fn uses_local(&self) -> bool {
        self.internal == TrafficPolicy::Local || self.external_local()
    }

    /// Whether outside traffic is kept to endpoints of this node.
    pub fn external_local(&self) -> bool {
        self.externally_accessible && self.external == TrafficPolicy::Local
    }
}

/// Which hints decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HintUse {
    /// None.
    #[default]
    Ignored,
    /// Those for nodes.
    Node,
    /// Those for zones.
    Zone,
}

/// The endpoints that a ServicePort may use, as indices into its candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// For traffic under policy Cluster; `None` if there is no such traffic.
    pub cluster: Option<Vec<usize>>,
    /// For traffic under policy Local; `None` if there is no such traffic.
    pub local: Option<Vec<usize>>,
    /// A usable endpoint exists somewhere: an empty list means DROP then, otherwise REJECT.
    pub any: bool,
    /// Which hints shaped `cluster`.
    pub hints: HintUse,
    /// `cluster` is what is ready on this node, since the Service prefers that; hints do not count then.
    pub kept_local: bool,
}

impl Choice {
    /// Everything that this node may send to, in candidate order.
    pub fn all(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.cluster.iter().chain(&self.local).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Chooses. `node_hints`: the gate PreferSameTrafficDistribution.
pub fn choose(
    candidates: &[Candidate<'_>],
    policy: PolicyView,
    node_name: &str,
    zone: Option<&str>,
    node_hints: bool,
) -> Choice {
    if candidates.is_empty() {
        return Choice::default();
    }
    let kept_local = policy.prefer_local && candidates.iter().any(is_ready_here);
    let hints =
        if kept_local { HintUse::Ignored } else { usable_hints(candidates, node_name, zone, node_hints) };
    let preferred = |c: &Candidate<'_>| match kept_local {
        true => is_ready_here(c),
        false => c.endpoint.conditions.ready && hint_allows(c, hints, node_name, zone),
    };
    let cluster = policy.uses_cluster().then(|| select(candidates, preferred, |_| true));
    let local = policy.uses_local().then(|| select(candidates, is_ready_here, |c| c.local));
    Choice { cluster, local, any: candidates.iter().any(is_usable), hints, kept_local }
}

fn is_ready_here(c: &Candidate<'_>) -> bool {
    c.local && c.endpoint.conditions.ready
}

/// Those that are `preferred`, or else, of those `in_reach`, the ones that still serve while they terminate.
fn select(
    candidates: &[Candidate<'_>],
    preferred: impl Fn(&Candidate<'_>) -> bool,
    in_reach: impl Fn(&Candidate<'_>) -> bool,
) -> Vec<usize> {
    let pick = |test: &dyn Fn(&Candidate<'_>) -> bool| -> Vec<usize> {
        candidates.iter().enumerate().filter(|(_, c)| test(c)).map(|(i, _)| i).collect()
    };
    let ready = pick(&preferred);
    if ready.is_empty() { pick(&|c| in_reach(c) && is_draining(c)) } else { ready }
}

fn is_draining(c: &Candidate<'_>) -> bool {
    c.endpoint.conditions.serving && c.endpoint.conditions.terminating
}

/// Whether some node could send to it.
pub(crate) fn is_usable(c: &Candidate<'_>) -> bool {
    c.endpoint.conditions.ready || is_draining(c)
}

/// Hints count only if every ready endpoint has them and at least one names this node (or its zone).
fn usable_hints(
    candidates: &[Candidate<'_>],
    node_name: &str,
    zone: Option<&str>,
    node_hints: bool,
) -> HintUse {
    let (mut all_node, mut all_zone, mut here, mut in_zone) = (true, true, false, false);
    for c in candidates.iter().filter(|c| c.endpoint.conditions.ready) {
        let nodes = c.endpoint.hints.as_ref().map_or(&[][..], |h| &h.nodes);
        let zones = c.endpoint.hints.as_ref().map_or(&[][..], |h| &h.zones);
        all_node &= !nodes.is_empty();
        all_zone &= !zones.is_empty();
        here |= names(nodes, node_name);
        in_zone |= zone.is_some_and(|zone| names(zones, zone));
    }
    match () {
        () if node_hints && all_node && here => HintUse::Node,
        () if all_zone && in_zone => HintUse::Zone,
        () => HintUse::Ignored,
    }
}

fn hint_allows(c: &Candidate<'_>, hints: HintUse, node_name: &str, zone: Option<&str>) -> bool {
    let of = c.endpoint.hints.as_ref();
    match hints {
        HintUse::Ignored => true,
        HintUse::Node => of.is_some_and(|h| names(&h.nodes, node_name)),
        HintUse::Zone => of.zip(zone).is_some_and(|(h, zone)| names(&h.zones, zone)),
    }
}

fn names(list: &[Arc<str>], name: &str) -> bool {
    list.iter().any(|entry| **entry == *name)
}
