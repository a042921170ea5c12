//! What towpath would do, in the shape of what is programmed.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use model::FrontendKey;
use resolve::{Decision, Mode, Resolved, Route, VipKind};

use crate::{Frontend, Outcome, Sources};

/// What towpath would do for every frontend, in the mode in which kube-proxy is.
#[derive(Clone, Debug)]
pub struct Expected {
    mode: Mode,
    pub(crate) frontends: BTreeMap<FrontendKey, Frontend>,
    /// Frontends that several Services ask for.
    pub(crate) contested: BTreeSet<FrontendKey>,
}

impl Expected {
    /// Nothing yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, frontends: BTreeMap::new(), contested: BTreeSet::new() }
    }

    /// Adds what one Service means on this node.
    pub fn add(&mut self, resolved: &Resolved) {
        resolved.routes.iter().for_each(|route| self.add_route(route));
        self.contested.extend(resolved.conflicts.iter().map(|conflict| conflict.frontend));
    }

    fn add_route(&mut self, route: &Route) {
        let protocol = route.name.protocol;
        let internal = self.internal(route);
        let external = self.external(route);
        for vip in &route.vips {
            let frontend = if vip.kind == VipKind::ClusterIp { &internal } else { &external };
            let key = FrontendKey::Vip { ip: vip.ip, protocol, port: route.port };
            self.frontends.insert(
                key,
                Frontend { sources: Some(sources(vip.allowed_sources.as_deref())), ..frontend.clone() },
            );
        }
        if let Some(port) = route.node_port {
            let key = FrontendKey::NodePort { family: route.family, protocol, port };
            let sources = Some(sources(route.node_port_sources.as_deref()));
            self.frontends.insert(key, Frontend { sources, ..external });
        }
    }

    fn internal(&self, route: &Route) -> Frontend {
        let cluster = route.short_circuit.as_ref().unwrap_or(&route.external);
        let ordinary = self.outcome(&route.internal, cluster);
        let from_node = Some(ordinary.clone());
        frontend(route, ordinary, from_node, None)
    }

    fn external(&self, route: &Route) -> Frontend {
        let cluster = route.short_circuit.as_ref().unwrap_or(&route.external);
        let ordinary = self.outcome(&route.external, cluster);
        let from_node = self.outcome(cluster, cluster);
        frontend(route, ordinary, Some(from_node), Some(route.masquerades_external()))
    }

    /// IPVS has one list for everybody: where policy Local leaves it empty, kube-proxy takes the cluster's. It cannot
    /// discard either: a virtual server without any endpoint refuses.
    fn outcome(&self, decision: &Decision, cluster: &Decision) -> Outcome {
        match (self.mode, decision) {
            (Mode::Ipvs, Decision::Drop) if !cluster.endpoints().is_empty() => self.outcome(cluster, cluster),
            (_, Decision::Dnat(endpoints)) => Outcome::Dnat(endpoints.clone()),
            (_, Decision::Reject | Decision::RejectHere) | (Mode::Ipvs, Decision::Drop) => Outcome::Reject,
            (_, Decision::Drop) => Outcome::Drop,
        }
    }
}

fn frontend(
    route: &Route,
    ordinary: Outcome,
    from_node: Option<Outcome>,
    masquerades: Option<bool>,
) -> Frontend {
    Frontend {
        name: Some(route.name.clone()),
        ordinary,
        from_node,
        masquerades,
        sources: Some(Sources::Anybody),
        affinity_seconds: Some(route.affinity_seconds.unwrap_or(0)),
    }
}

fn sources(allowed: Option<&[IpNet]>) -> Sources {
    allowed.map_or(Sources::Anybody, Sources::only)
}
