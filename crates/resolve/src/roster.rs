//! Every endpoint of a ServicePort, with what each kind of traffic makes of it on this node.

use std::sync::Arc;

use model::{Conditions, EndpointAddr, Hints, ServicePort, Store, TrafficPolicy};

use crate::exclude::{reason, unjoined};
use crate::route::policy_view;
use crate::{Candidate, Choice, Decision, Excluded, ProxyConfig, Route, candidates, choose};

/// Whether one kind of traffic may use an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Used,
    /// It may not; why, in a sentence's words.
    Left(String),
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it listens.
    pub addr: EndpointAddr,
    /// What its slice says of its state.
    pub conditions: Conditions,
    /// The node that it is on, if its slice says so.
    pub node: Option<Arc<str>>,
    /// Its zone, if its slice says so and that is kept.
    pub zone: Option<Arc<str>>,
    /// Its hints, if it has any.
    pub hints: Option<Hints>,
    /// It is on this node.
    pub local: bool,
    /// For traffic to the ClusterIP.
    pub internal: Standing,
    /// For traffic to every other frontend; `None` where there is none.
    pub external: Option<Standing>,
    /// Under `externalTrafficPolicy: Local`: for what local pods and the node itself send to these other frontends.
    pub from_here: Option<Standing>,
}

/// The endpoints of one ServicePort in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Those whose slice fits the port, by address; at most as many as were asked for.
    pub members: Vec<Member>,
    /// How many there are.
    pub known: usize,
    /// Endpoints of the Service that this port cannot have, each with the reason; at most as many as were asked for.
    pub unfit: Vec<Excluded>,
}

/// Lists the endpoints of the ServicePort that `route` was resolved of, at most `limit` of each kind.
pub fn roster(store: &Store, config: &ProxyConfig, route: &Route, limit: usize) -> Roster {
    let Some(entry) = store.entry(&route.name.service) else { return Roster::default() };
    let Some(service) = entry.service.as_deref() else { return Roster::default() };
    let matches = |p: &&ServicePort| p.name == route.name.port && p.protocol == route.name.protocol;
    let Some(port) = service.ports.iter().find(matches) else { return Roster::default() };
    let policy = policy_view(service, port, route.family);
    let found = candidates(entry, port, route.family, store.node_name());
    let choice = choose(&found, policy, store.node_name(), store.facts().zone(), config.node_hints);
    let judge = Judge { found: &found, choice: &choice };
    let internal_local = policy.internal == TrafficPolicy::Local;
    let member = |c: &Candidate<'_>| Member {
        internal: judge.standing(c, &route.internal, internal_local),
        external: policy
            .externally_accessible
            .then(|| judge.standing(c, &route.external, policy.external_local())),
        from_here: route.short_circuit.as_ref().map(|all| judge.standing(c, all, false)),
        ..bare(c)
    };
    let members = found.iter().take(limit).map(member).collect();
    let unfit = unjoined(entry, port, route.family).take(limit).collect();
    Roster { members, known: found.len(), unfit }
}

fn bare(c: &Candidate<'_>) -> Member {
    Member {
        addr: c.addr,
        conditions: c.endpoint.conditions,
        node: c.endpoint.node.clone(),
        zone: c.endpoint.zone().map(Arc::from),
        hints: c.endpoint.hints.as_deref().cloned(),
        local: c.local,
        internal: Standing::Used,
        external: None,
        from_here: None,
    }
}

struct Judge<'a> {
    found: &'a [Candidate<'a>],
    choice: &'a Choice,
}

impl Judge<'_> {
    fn standing(&self, c: &Candidate<'_>, decision: &Decision, local_only: bool) -> Standing {
        if decision.endpoints().binary_search(&c.addr).is_ok() {
            return Standing::Used;
        }
        Standing::Left(reason(c, self.found, self.choice, local_only))
    }
}

#[cfg(test)]
mod tests {
    use model::{Change, Endpoint, IpFamily, NamespacedName, Protocol, Service, Slice, SlicePort, Touched};

    use super::*;
    use crate::resolve;

    const USED: &str = "used";

    fn name() -> NamespacedName {
        NamespacedName::new("shop", "web")
    }

    fn endpoint(ip: &str, node: &str, state: &str) -> Endpoint {
        let conditions = Conditions {
            ready: state == "ready",
            serving: state != "gone" && state != "unready",
            terminating: state == "draining" || state == "gone",
        };
        Endpoint { conditions, node: Some(node.into()), ..Endpoint::new(ip.parse().unwrap()) }
    }

    fn world(internal: TrafficPolicy, external: TrafficPolicy, node_port: u16) -> (Store, Route) {
        let port = ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port };
        let service = Service {
            name: name(),
            cluster_ips: vec!["10.96.0.1".parse().unwrap()],
            internal_policy: internal,
            external_policy: external,
            ports: vec![port],
            ..Service::default()
        };
        let ports = vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }];
        let endpoints = vec![
            endpoint("10.0.0.1", "here", "ready"),
            endpoint("10.0.0.2", "there", "ready"),
            endpoint("10.0.0.3", "here", "draining"),
            endpoint("10.0.0.4", "here", "gone"),
            endpoint("10.0.0.5", "here", "unready"),
        ];
        let slice = Slice { ports, endpoints, ..Slice::new(name(), name(), IpFamily::V4) };
        let other = Slice {
            ports: vec![SlicePort { name: "dns".into(), protocol: Protocol::Udp, port: 53 }],
            endpoints: vec![endpoint("10.0.0.9", "here", "ready")],
            ..Slice::new(NamespacedName::new("shop", "other"), name(), IpFamily::V4)
        };
        let mut store = Store::new("here");
        for change in [
            Change::Service(Arc::new(service)),
            Change::Slice(Arc::new(slice)),
            Change::Slice(Arc::new(other)),
        ] {
            store.apply(change, &mut Touched::default());
        }
        let route = resolve(&store, &ProxyConfig::default(), &name()).routes.remove(0);
        (store, route)
    }

    fn told(standing: &Standing) -> &str {
        match standing {
            Standing::Used => USED,
            Standing::Left(why) => why,
        }
    }

    #[test]
    fn each_kind_of_traffic_is_judged_by_itself() {
        use TrafficPolicy::{Cluster, Local};
        const AWAY: &str = "on node there, and the traffic policy is Local";
        // Policies, nodePort; then of 10.0.0.2: internal, external, from here.
        for (internal, external, node_port, expected) in [
            (Cluster, Cluster, 0, (USED, None, None)),
            (Local, Cluster, 0, (AWAY, None, None)),
            (Cluster, Cluster, 30_080, (USED, Some(USED), None)),
            (Cluster, Local, 30_080, (USED, Some(AWAY), Some(USED))),
            (Local, Local, 30_080, (AWAY, Some(AWAY), Some(USED))),
        ] {
            let (store, route) = world(internal, external, node_port);
            let roster = roster(&store, &ProxyConfig::default(), &route, 100);
            let of = &roster.members[1];
            let seen = (told(&of.internal), of.external.as_ref().map(told), of.from_here.as_ref().map(told));
            assert_eq!(seen, expected, "{internal:?} {external:?} {node_port}");
            assert_eq!(told(&roster.members[0].internal), USED);
        }
    }

    #[test]
    fn states_and_slices_are_told() {
        let (store, route) = world(TrafficPolicy::Cluster, TrafficPolicy::Cluster, 0);
        let all = roster(&store, &ProxyConfig::default(), &route, 100);
        let reasons: Vec<&str> = all.members.iter().map(|m| told(&m.internal)).collect();
        assert_eq!(
            reasons,
            [
                USED,
                USED,
                "terminating, and ready endpoints exist",
                "terminating, and it no longer serves",
                "not ready"
            ]
        );
        assert_eq!((all.members[0].local, all.members[1].local, all.known), (true, false, 5));
        assert_eq!(all.unfit.len(), 1);
        assert_eq!(all.unfit[0].reason, "its slice other has no port named http/tcp");
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let (store, route) = world(TrafficPolicy::Cluster, TrafficPolicy::Cluster, 0);
        let some = roster(&store, &ProxyConfig::default(), &route, 2);
        assert_eq!((some.members.len(), some.known), (2, 5));
        assert_eq!(roster(&Store::new("here"), &ProxyConfig::default(), &route, 2), Roster::default());
    }
}
