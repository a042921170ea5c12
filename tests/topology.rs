//! Endpoint choice: every case of `cases/topology.yaml` through `candidates` and `choose`.

use std::net::SocketAddr;
use std::sync::Arc;

use model::{
    Conditions, Endpoint, EndpointAddr, Hints, IpFamily, NamespacedName, Protocol, ServiceEntry, ServicePort,
    Slice, SlicePort,
};
use resolve::{Candidate, Choice, PolicyView, candidates, choose};
use testkit::cases::{TopologyCase, TopologyEndpoint, load_topology, table_path};

/// The name of the node where a case does not care.
const THIS_NODE: &str = "this-node";
const OTHER_NODE: &str = "other-node";

/// A choice, or what a case expects of it, in the words of the table.
#[derive(Debug, PartialEq, Eq)]
struct Lists {
    cluster: Option<Vec<EndpointAddr>>,
    local: Option<Vec<EndpointAddr>>,
    all: Vec<EndpointAddr>,
    any: bool,
}

#[test]
fn every_case_of_the_table() {
    let table = load_topology(&table_path("topology.yaml")).unwrap();
    assert!(table.cases.len() >= 19, "only {} cases", table.cases.len());
    let failures: Vec<String> = table.cases.iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{} case(s) went wrong:\n{}", failures.len(), failures.join("\n"));
}

/// A pod's address may be reused while its old entry is still there.
#[test]
fn of_two_entries_for_one_address_the_living_or_the_later_counts() {
    let (living, dying) =
        (Conditions::default(), Conditions { ready: false, serving: true, terminating: true });
    for (first, second, counts) in [
        (living, dying, "first"),
        (dying, living, "second"),
        (living, living, "second"),
        (dying, dying, "second"),
    ] {
        let entry = twice([("first", first), ("second", second)]);
        let (port, family) = (port(), IpFamily::V4);
        let found = candidates(&entry, &port, family, THIS_NODE);
        let nodes: Vec<_> = found.iter().map(|candidate| candidate.endpoint.node.as_deref()).collect();
        assert_eq!(nodes, [Some(counts)], "{first:?}, then {second:?}");
    }
}

/// Two slices with the same address, told apart by the node that they name.
fn twice(entries: [(&str, Conditions); 2]) -> ServiceEntry {
    let slices = entries.iter().enumerate().map(|(i, (node, conditions))| {
        let address = Endpoint {
            conditions: *conditions,
            node: Some((*node).into()),
            ..Endpoint::new([10, 0, 0, 1].into())
        };
        let slice = slice_with(format!("slice-{i}"), 80, address);
        (Arc::clone(&slice.name.name), Arc::new(slice))
    });
    ServiceEntry { service: None, slices: slices.collect() }
}

fn failure(case: &TopologyCase) -> Option<String> {
    let (got, wanted) = (chosen(case), expected(case));
    (got != wanted).then(|| format!("{}:\n  got  {got:?}\n  want {wanted:?}", case.id))
}

fn expected(case: &TopologyCase) -> Lists {
    let list =
        |addrs: &Vec<SocketAddr>| sorted(addrs.iter().map(|a| EndpointAddr { ip: a.ip(), port: a.port() }));
    let expect = &case.expect;
    Lists {
        cluster: expect.cluster.as_ref().map(list),
        local: expect.local.as_ref().map(list),
        all: list(&expect.all),
        any: expect.any,
    }
}

fn chosen(case: &TopologyCase) -> Lists {
    let (node, zone) = (node_name(case), Some(case.node.zone.as_str()).filter(|zone| !zone.is_empty()));
    let (entry, port) = (entry(case), port());
    let found = candidates(&entry, &port, IpFamily::V4, node);
    let choice = choose(&found, policy(case), node, zone, case.prefer_same_gate);
    lists(&found, &choice)
}

fn lists(found: &[Candidate<'_>], choice: &Choice) -> Lists {
    let list = |indices: &Vec<usize>| sorted(indices.iter().map(|i| found[*i].addr));
    Lists {
        cluster: choice.cluster.as_ref().map(list),
        local: choice.local.as_ref().map(list),
        all: list(&choice.all()),
        any: choice.any,
    }
}

fn sorted(addrs: impl Iterator<Item = EndpointAddr>) -> Vec<EndpointAddr> {
    let mut list: Vec<_> = addrs.collect();
    list.sort_unstable();
    list
}

fn node_name(case: &TopologyCase) -> &str {
    if case.node.name.is_empty() { THIS_NODE } else { &case.node.name }
}

fn policy(case: &TopologyCase) -> PolicyView {
    PolicyView {
        internal: case.service.internal.into(),
        external: case.service.external.into(),
        externally_accessible: case.service.externally_accessible,
        prefer_local: case.service.prefer_local,
    }
}

fn port() -> ServicePort {
    ServicePort { name: "".into(), protocol: Protocol::Tcp, port: 80, node_port: 0 }
}

/// Each endpoint in a slice of its own, since each may have a port of its own.
fn entry(case: &TopologyCase) -> ServiceEntry {
    let slices = case.endpoints.iter().enumerate().map(|(i, spec)| {
        let slice = slice_with(format!("slice-{i}"), spec.addr.port(), endpoint(spec, node_name(case)));
        (Arc::clone(&slice.name.name), Arc::new(slice))
    });
    ServiceEntry { service: None, slices: slices.collect() }
}

fn slice_with(name: String, port: u16, endpoint: Endpoint) -> Slice {
    Slice {
        ports: vec![SlicePort { name: "".into(), protocol: Protocol::Tcp, port }],
        endpoints: vec![endpoint],
        ..Slice::new(
            NamespacedName::new("default", name),
            NamespacedName::new("default", "web"),
            IpFamily::V4,
        )
    }
}

fn endpoint(spec: &TopologyEndpoint, node: &str) -> Endpoint {
    let names = |list: &[String]| list.iter().map(|name| name.as_str().into()).collect();
    let hinted = !spec.zone_hints.is_empty() || !spec.node_hints.is_empty();
    let hints = || Box::new(Hints { zones: names(&spec.zone_hints), nodes: names(&spec.node_hints) });
    Endpoint {
        conditions: Conditions { ready: spec.ready, serving: spec.serving, terminating: spec.terminating },
        node: Some(if spec.local { node } else { OTHER_NODE }.into()),
        hints: hinted.then(hints),
        ..Endpoint::new(spec.addr.ip())
    }
}
