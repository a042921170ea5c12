//! Why each endpoint is used or not, for each kind of traffic: every case of `cases/topology.yaml`, as a Service's page
//! and `explain` say it, against what the case's own values mean.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use model::{
    Change, Conditions, Endpoint, EndpointAddr, Hints, IpFamily, NamespacedName, Node, Protocol, Service,
    ServicePort, ServiceType, Slice, SlicePort, Store, Touched, TrafficPolicy,
};
use resolve::{Member, Packet, ProxyConfig, Standing, explain, resolve, roster};
use testkit::cases::{TopologyCase, TopologyEndpoint, load_topology, table_path};

const OTHER_NODE: &str = "other-node";
const CLUSTER_IP: &str = "10.96.0.10";
const NODE_PORT: u16 = 30_080;

#[test]
fn every_endpoint_that_is_left_out_has_its_reason() {
    let table = load_topology(&table_path("topology.yaml")).unwrap();
    let mut complaints = Vec::new();
    let mut judged = 0;
    for case in &table.cases {
        let (store, config) =
            (store(case), ProxyConfig { node_hints: case.prefer_same_gate, ..ProxyConfig::default() });
        let route = resolve(&store, &config, &name()).routes.remove(0);
        let roster = roster(&store, &config, &route, 1_000);
        for spec in &case.endpoints {
            let member = roster.members.iter().find(|m| m.addr == addr(spec)).unwrap();
            for (way, standing, local_only) in ways(case, member) {
                judged += 1;
                complaints.extend(complaint(case, spec, way, standing, local_only));
            }
        }
        complaints.extend(disagreement(case, &store, &config, &roster.members));
    }
    assert!(judged >= 70, "only {judged} endpoints were judged");
    assert!(complaints.is_empty(), "{} of {judged}:\n{}", complaints.len(), complaints.join("\n"));
}

/// Each kind of traffic that there is, what the page says of it, and whether it keeps to this node.
fn ways<'a>(case: &TopologyCase, member: &'a Member) -> Vec<(&'static str, &'a Standing, bool)> {
    let is_local = |policy: TrafficPolicy| policy == TrafficPolicy::Local;
    let (internal, external) =
        (is_local(case.service.internal.into()), is_local(case.service.external.into()));
    let mut ways = vec![("internal", &member.internal, internal)];
    assert_eq!(member.external.is_some(), case.service.externally_accessible, "{}", case.id);
    assert_eq!(member.from_here.is_some(), case.service.externally_accessible && external, "{}", case.id);
    ways.extend(member.external.as_ref().map(|standing| ("external", standing, external)));
    ways.extend(member.from_here.as_ref().map(|standing| ("from here", standing, false)));
    ways
}

fn complaint(
    case: &TopologyCase,
    spec: &TopologyEndpoint,
    way: &str,
    standing: &Standing,
    local_only: bool,
) -> Option<String> {
    let list = if local_only { &case.expect.local } else { &case.expect.cluster };
    let wanted = list.as_ref().is_some_and(|list| list.contains(&spec.addr));
    let said = match standing {
        Standing::Used => "used",
        Standing::Left(reason) => reason,
    };
    let expected = if wanted { vec!["used".to_owned()] } else { reasons(case, spec, local_only) };
    let fits =
        if wanted { said == "used" } else { expected.iter().all(|words| said.contains(words.as_str())) };
    (!fits).then(|| format!("{}, {way}, {}: said {said:?}, expected {expected:?}", case.id, spec.addr))
}

/// Words that the true reason has, from the values of the case alone.
fn reasons(case: &TopologyCase, spec: &TopologyEndpoint, local_only: bool) -> Vec<String> {
    let drains = spec.serving && spec.terminating;
    let words: &[&str] = match (spec.ready, drains) {
        (false, false) if spec.terminating => &["no longer serves"],
        (false, false) => &["not ready"],
        _ if local_only && !spec.local => &["on node other-node", "the traffic policy is Local"],
        (false, true) if local_only => &["terminating", "ready endpoints exist on this node"],
        (false, true) => &["terminating", "ready endpoints exist"],
        _ if case.service.prefer_local && case.endpoints.iter().any(|e| e.local && e.ready) => {
            &["on node other-node", "prefers the ready endpoints of this node"]
        }
        _ if !spec.zone_hints.contains(&case.node.zone)
            && !spec.zone_hints.is_empty()
            && !spec.node_hints.contains(&case.node.name) =>
        {
            return vec!["hints send it traffic of".into()];
        }
        _ => return vec![format!("traffic of node {} only", spec.node_hints.join(", "))],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Where `explain` of a packet from outside the node says something else than the page.
fn disagreement(
    case: &TopologyCase,
    store: &Store,
    config: &ProxyConfig,
    members: &[Member],
) -> Option<String> {
    let to = EndpointAddr { ip: CLUSTER_IP.parse().unwrap(), port: 80 };
    let packet =
        Packet { from: "203.0.113.7".parse().unwrap(), interface: None, to, protocol: Protocol::Tcp };
    let explanation = explain(store, config, &packet);
    let left = |member: &Member| match &member.internal {
        Standing::Used => None,
        Standing::Left(reason) => Some((member.addr.to_string(), reason.clone())),
    };
    let page: Vec<_> = members.iter().filter_map(left).collect();
    let said: Vec<_> = explanation.excluded.iter().map(|e| (e.endpoint.clone(), e.reason.clone())).collect();
    (page != said).then(|| format!("{}: the page says {page:?}, explain {said:?}", case.id))
}

fn name() -> NamespacedName {
    NamespacedName::new("default", "web")
}

fn addr(spec: &TopologyEndpoint) -> EndpointAddr {
    EndpointAddr { ip: spec.addr.ip(), port: spec.addr.port() }
}

fn node_name(case: &TopologyCase) -> &str {
    if case.node.name.is_empty() { "this-node" } else { &case.node.name }
}

fn store(case: &TopologyCase) -> Store {
    let mut store = Store::new(node_name(case));
    let zone = Some(case.node.zone.as_str()).filter(|zone| !zone.is_empty()).map(Arc::from);
    let node = Node { name: node_name(case).into(), zone, ..Node::default() };
    let mut changes = vec![Change::Node(Box::new(node)), Change::Service(Arc::new(service(case)))];
    changes.extend(case.endpoints.iter().enumerate().map(|(i, spec)| Change::Slice(slice(case, i, spec))));
    for change in changes {
        store.apply(change, &mut Touched::default());
    }
    store
}

fn service(case: &TopologyCase) -> Service {
    let outside = case.service.externally_accessible;
    let port = ServicePort {
        name: "".into(),
        protocol: Protocol::Tcp,
        port: 80,
        node_port: if outside { NODE_PORT } else { 0 },
    };
    Service {
        name: name(),
        kind: if outside { ServiceType::NodePort } else { ServiceType::ClusterIp },
        cluster_ips: vec![CLUSTER_IP.parse().unwrap()],
        internal_policy: case.service.internal.into(),
        external_policy: case.service.external.into(),
        prefer_local: case.service.prefer_local,
        ports: vec![port],
        ..Service::default()
    }
}

/// Each endpoint in a slice of its own, since each may have a port of its own.
fn slice(case: &TopologyCase, i: usize, spec: &TopologyEndpoint) -> Arc<Slice> {
    let names = |list: &[String]| list.iter().map(|name| name.as_str().into()).collect();
    let hinted = !spec.zone_hints.is_empty() || !spec.node_hints.is_empty();
    let hints = || Box::new(Hints { zones: names(&spec.zone_hints), nodes: names(&spec.node_hints) });
    let endpoint = Endpoint {
        conditions: Conditions { ready: spec.ready, serving: spec.serving, terminating: spec.terminating },
        node: Some(if spec.local { node_name(case) } else { OTHER_NODE }.into()),
        hints: hinted.then(hints),
        ..Endpoint::new(spec.addr.ip())
    };
    let own = NamespacedName::new("default", format!("web-{i}"));
    let ports = vec![SlicePort { name: "".into(), protocol: Protocol::Tcp, port: spec.addr.port() }];
    Arc::new(Slice { ports, endpoints: vec![endpoint], ..Slice::new(own, name(), IpFamily::V4) })
}
