//! What a Service means for those who ask about this node alone: load balancers and dashboards.

use std::net::IpAddr;

use model::{IpFamily, ServiceEntry, ServicePort, Store};
use rustc_hash::FxHashSet;

use crate::{Candidate, Resolved, Route, candidates};

/// The answer of one Service's `healthCheckNodePort` on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The port, 1 to 65535.
    pub port: u16,
    /// How many endpoints on this node are ready, by family (as in [`IpFamily::ALL`]); `None` where the Service has no
    /// ClusterIP of the family, and so no server.
    pub endpoints: [Option<usize>; 2],
}

/// What one Service has on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalView {
    /// Its health check, if it has one.
    pub health: Option<HealthCheck>,
    /// Ports whose traffic to the ClusterIP is dropped, or refused, for want of a local endpoint, by family.
    pub internal_dropped: [usize; 2],
    /// The same for traffic from outside.
    pub external_dropped: [usize; 2],
    /// Endpoints that its slices name, of the family that has more of them.
    pub known: usize,
    /// Endpoints to which some traffic of this node goes, of the port and family that has most of them.
    pub usable: usize,
}

impl LocalView {
    /// What the store says of the Service that `resolved` was made of.
    pub fn new(store: &Store, entry: Option<&ServiceEntry>, resolved: &Resolved) -> Self {
        let count = |dropped: &dyn Fn(&Route) -> bool| {
            IpFamily::ALL
                .map(|family| resolved.routes.iter().filter(|r| r.family == family && dropped(r)).count())
        };
        Self {
            health: entry.and_then(|entry| health_check(store, entry)),
            internal_dropped: count(&|route| route.internal.lacks_local()),
            external_dropped: count(&|route| route.external.lacks_local()),
            known: entry.map_or(0, known),
            usable: resolved.routes.iter().map(usable).max().unwrap_or(0),
        }
    }
}

fn known(entry: &ServiceEntry) -> usize {
    let of = |family| {
        let slices = entry.slices.values().filter(|slice| slice.family == family);
        slices.map(|slice| slice.endpoints.len()).sum()
    };
    IpFamily::ALL.into_iter().map(of).max().unwrap_or(0)
}

/// Under policy Local one list may hold what another has not; then the longest of them counts.
fn usable(route: &Route) -> usize {
    let lists = [Some(&route.internal), Some(&route.external), route.short_circuit.as_ref()];
    lists.into_iter().flatten().map(|decision| decision.endpoints().len()).max().unwrap_or(0)
}

fn health_check(store: &Store, entry: &ServiceEntry) -> Option<HealthCheck> {
    let service = entry.service.as_deref().filter(|service| service.has_health_check())?;
    let endpoints = IpFamily::ALL.map(|family| {
        let served = service.cluster_ip(family).is_some();
        served.then(|| ready_here(store, entry, &service.ports, family).len())
    });
    Some(HealthCheck { port: service.health_check_node_port, endpoints })
}

/// The addresses of this node's ready endpoints, of whichever port. One that terminates does not count, so that a
/// load balancer drains the node, whose last endpoints still answer.
fn ready_here(
    store: &Store,
    entry: &ServiceEntry,
    ports: &[ServicePort],
    family: IpFamily,
) -> FxHashSet<IpAddr> {
    let ready = |c: &Candidate<'_>| c.local && c.endpoint.conditions.ready;
    let of_port = |port| candidates(entry, port, family, store.node_name());
    ports.iter().flat_map(of_port).filter(ready).map(|c| c.addr.ip).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{
        Change, Conditions, Endpoint, NamespacedName, Protocol, Service, ServiceType, Slice, SlicePort,
        Touched, TrafficPolicy,
    };

    use super::*;
    use crate::{ProxyConfig, resolve};

    fn name() -> NamespacedName {
        NamespacedName::new("shop", "web")
    }

    fn service(external_policy: TrafficPolicy) -> Service {
        let port = |port: u16| ServicePort {
            name: port.to_string().into(),
            protocol: Protocol::Tcp,
            port,
            node_port: 30_000 + port,
        };
        Service {
            name: name(),
            kind: ServiceType::LoadBalancer,
            cluster_ips: vec!["10.96.0.1".parse().unwrap()],
            external_policy,
            health_check_node_port: 32_000,
            ports: vec![port(80), port(81)],
            ..Service::default()
        }
    }

    fn endpoint(ip: &str, node: &str, ready: bool) -> Endpoint {
        let conditions = Conditions { ready, serving: true, terminating: !ready };
        Endpoint { conditions, node: Some(node.into()), ..Endpoint::new(ip.parse().unwrap()) }
    }

    fn view(policy: TrafficPolicy, endpoints: Vec<Endpoint>) -> LocalView {
        let mut store = Store::new("here");
        let mut touched = Touched::default();
        let ports =
            ["80", "81"].map(|name| SlicePort { name: name.into(), protocol: Protocol::Tcp, port: 8080 });
        let slice = Slice { ports: ports.into(), endpoints, ..Slice::new(name(), name(), IpFamily::V4) };
        store.apply(Change::Service(Arc::new(service(policy))), &mut touched);
        store.apply(Change::Slice(Arc::new(slice)), &mut touched);
        let resolved = resolve(&store, &ProxyConfig::default(), &name());
        LocalView::new(&store, store.entry(&name()).map(|entry| &**entry), &resolved)
    }

    #[test]
    fn health_counts_the_addresses_of_ready_local_endpoints() {
        let (here, there) = (|ip, ready| endpoint(ip, "here", ready), endpoint("10.0.0.9", "there", true));
        for (endpoints, count, dropped) in [
            (vec![], 0, 0),
            (vec![there.clone()], 0, 2),
            (vec![here("10.0.0.1", true), here("10.0.0.2", true), there.clone()], 2, 0),
            (vec![here("10.0.0.1", false), there.clone()], 0, 0),
        ] {
            let view = view(TrafficPolicy::Local, endpoints.clone());
            let health = HealthCheck { port: 32_000, endpoints: [Some(count), None] };
            assert_eq!((view.health, view.external_dropped), (Some(health), [dropped, 0]), "{endpoints:?}");
            assert_eq!(view.internal_dropped, [0, 0]);
        }
        let plain = view(TrafficPolicy::Cluster, vec![there]);
        assert_eq!(plain, LocalView { known: 1, usable: 1, ..LocalView::default() });
    }

    #[test]
    fn endpoints_are_counted_where_some_traffic_uses_them() {
        use TrafficPolicy::{Cluster, Local};
        let (here, there) = (endpoint("10.0.0.1", "here", true), endpoint("10.0.0.9", "there", true));
        let gone = endpoint("10.0.0.2", "here", false);
        for (policy, endpoints, known, usable) in [
            (Cluster, vec![], 0, 0),
            (Cluster, vec![here.clone(), there.clone(), gone.clone()], 3, 2),
            // The ClusterIP's traffic goes to all still.
            (Local, vec![here, there, gone.clone()], 3, 2),
            (Local, vec![gone], 1, 1),
        ] {
            let view = view(policy, endpoints.clone());
            assert_eq!((view.known, view.usable), (known, usable), "{policy:?} {endpoints:?}");
        }
    }
}
