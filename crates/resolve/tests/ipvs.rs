//! What mode ipvs has otherwise than the others: whose other ports are refused, and who chooses an endpoint.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::sync::Arc;

use model::{
    Balance, Change, Endpoint, EndpointAddr, IpFamily, NamespacedName, Protocol, Scheduler, Service,
    ServicePort, ServiceType, Slice, SlicePort, Store, Touched, TrafficPolicy,
};
use towpath_resolve::{DetectLocal, Explanation, Mode, Packet, PacketVerdict, ProxyConfig, explain, resolve};

const NODE: &str = "192.0.2.10";
const POD: &str = "10.244.1.9";
const OUTSIDE: &str = "203.0.113.7";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name() -> NamespacedName {
    NamespacedName::new("shop", "web")
}

/// A load balancer's Service with an address that the node has too, and one that it has not.
fn service() -> Service {
    Service {
        name: name(),
        kind: ServiceType::LoadBalancer,
        cluster_ips: vec![ip("10.96.0.20")],
        external_ips: vec![ip("192.0.2.11"), ip("10.96.9.9")],
        load_balancer_ips: vec![ip("198.51.100.1")],
        ports: vec![ServicePort { name: "p".into(), protocol: Protocol::Tcp, port: 80, node_port: 30080 }],
        ..Service::default()
    }
}

fn slice(endpoints: &[(&str, &str)]) -> Slice {
    let endpoint = |(address, node): &(&str, &str)| Endpoint {
        node: Some((*node).into()),
        ..Endpoint::new(ip(address))
    };
    Slice {
        ports: vec![SlicePort { name: "p".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: endpoints.iter().map(endpoint).collect(),
        ..Slice::new(NamespacedName::new("shop", "web-x"), name(), IpFamily::V4)
    }
}

const HERE_AND_THERE: &[(&str, &str)] = &[("10.244.1.5", "node"), ("10.244.2.7", "other")];
const THERE: &[(&str, &str)] = &[("10.244.2.7", "other")];
const HERE: &[(&str, &str)] = &[("10.244.1.5", "node")];

fn store(service: Service, endpoints: &[(&str, &str)]) -> Store {
    let mut store = Store::new("node");
    let addresses = ["127.0.0.1", NODE, "192.0.2.11"].map(ip).to_vec();
    for change in [
        Change::KernelAddresses(addresses),
        Change::ServiceCidr { name: "kubernetes".into(), cidrs: vec!["10.96.0.0/16".parse().unwrap()] },
        Change::Service(Arc::new(service)),
        Change::Slice(Arc::new(slice(endpoints))),
    ] {
        store.apply(change, &mut Touched::default());
    }
    store
}

fn ask(store: &Store, mode: Mode, from: &str, to: &str, protocol: Protocol) -> Explanation {
    let config = ProxyConfig {
        mode,
        detect_local: DetectLocal::ClusterCidr(vec!["10.244.1.0/24".parse().unwrap()]),
        scheduler: Scheduler::Sed,
        ..ProxyConfig::default()
    };
    let (address, port) = to.rsplit_once(':').unwrap();
    let to = EndpointAddr { ip: ip(address), port: port.parse().unwrap() };
    explain(store, &config, &Packet { from: ip(from), interface: None, to, protocol })
}

#[test]
fn ports_and_addresses_without_a_service() {
    use PacketVerdict::{Dnat, Drop, None, Reject};
    let store = store(service(), HERE_AND_THERE);
    for (to, ipvs, nftables, iptables) in [
        ("10.96.0.20:80", Dnat, Dnat, Dnat),
        ("10.96.0.20:81", Reject, Reject, None),
        ("10.96.0.99:80", Drop, Drop, None),
        ("198.51.100.1:80", Dnat, Dnat, Dnat),
        ("198.51.100.1:81", Reject, None, None),
        // An externalIP within a ServiceCIDR.
        ("10.96.9.9:81", Reject, Drop, None),
        // An externalIP that the node has: its other ports are the node's.
        ("192.0.2.11:80", Dnat, Dnat, Dnat),
        ("192.0.2.11:22", None, None, None),
        ("192.0.2.11:30080", Dnat, None, Dnat),
        ("192.0.2.10:30080", Dnat, Dnat, Dnat),
        ("192.0.2.10:22", None, None, None),
        ("127.0.0.1:30080", None, None, Dnat),
        ("198.51.100.1:30080", Reject, None, None),
        ("198.51.100.2:80", None, None, None),
    ] {
        for (mode, want) in [(Mode::Ipvs, ipvs), (Mode::Nftables, nftables), (Mode::Iptables, iptables)] {
            for from in [OUTSIDE, POD, NODE] {
                let verdict = ask(&store, mode, from, to, Protocol::Tcp).verdict;
                assert_eq!(verdict, want, "{mode:?}: {from} to {to}");
            }
        }
    }
    let udp = ask(&store, Mode::Ipvs, POD, "198.51.100.1:80", Protocol::Udp);
    assert_eq!(udp.verdict, Reject, "another protocol");
}

#[test]
fn a_service_without_ports_has_no_address_that_is_routed() {
    let store = store(Service { ports: vec![], ..service() }, &[]);
    let verdict = ask(&store, Mode::Ipvs, POD, "198.51.100.1:80", Protocol::Tcp).verdict;
    assert_eq!(verdict, PacketVerdict::None);
}

#[test]
fn internal_policy_local_never_leaks() {
    for (endpoints, want) in
        [(HERE_AND_THERE, &["10.244.1.5:8080"][..]), (THERE, &[]), (HERE, &["10.244.1.5:8080"])]
    {
        let store = store(Service { internal_policy: TrafficPolicy::Local, ..service() }, endpoints);
        let answer = ask(&store, Mode::Ipvs, POD, "10.96.0.20:80", Protocol::Tcp);
        let found: Vec<String> = answer.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(found, want, "{endpoints:?}");
        assert_eq!(answer.verdict == PacketVerdict::Drop, want.is_empty(), "{endpoints:?}");
    }
}

/// Who chooses: IPVS, or, for sources that get other endpoints than everybody, nf_tables before it.
#[test]
fn the_scheduler_is_named_where_it_chooses() {
    let local = TrafficPolicy::Local;
    let cluster = TrafficPolicy::Cluster;
    for (policy, endpoints, from, to, count, scheduled) in [
        (cluster, HERE_AND_THERE, OUTSIDE, "198.51.100.1:80", 2, true),
        (cluster, HERE_AND_THERE, POD, "198.51.100.1:80", 2, true),
        (local, HERE_AND_THERE, OUTSIDE, "198.51.100.1:80", 1, true),
        (local, HERE_AND_THERE, OUTSIDE, "192.0.2.10:30080", 1, true),
        (local, HERE_AND_THERE, POD, "198.51.100.1:80", 2, false),
        (local, HERE_AND_THERE, NODE, "198.51.100.1:80", 2, false),
        (local, HERE_AND_THERE, NODE, "192.0.2.10:30080", 2, false),
        (local, HERE_AND_THERE, POD, "10.96.0.20:80", 2, true),
        (local, HERE, POD, "198.51.100.1:80", 1, true),
        (local, THERE, POD, "198.51.100.1:80", 1, false),
        (local, THERE, OUTSIDE, "198.51.100.1:80", 0, false),
    ] {
        for (own, word) in [(None, "sed"), (Some(Scheduler::Lc), "lc")] {
            let balance = Balance { scheduler: own, ..Balance::default() };
            let store = store(Service { external_policy: policy, balance, ..service() }, endpoints);
            let answer = ask(&store, Mode::Ipvs, from, to, Protocol::Tcp);
            let place = format!("{policy:?}, {endpoints:?}, {from} to {to}");
            assert_eq!(answer.endpoints.len(), count, "{place}");
            let by = format!(", by scheduler {word}");
            assert_eq!(answer.reason.ends_with(&by), scheduled, "{place}: {}", answer.reason);
            for mode in [Mode::Nftables, Mode::Iptables] {
                let reason = ask(&store, mode, from, to, Protocol::Tcp).reason;
                assert!(!reason.contains("scheduler"), "{place}, {mode:?}: {reason}");
            }
        }
    }
}

#[test]
fn a_change_of_the_balance_alone_touches_the_service_and_reaches_its_routes() {
    let mut store = store(service(), HERE_AND_THERE);
    let weights: Arc<[_]> = [("10.244.1.0/24".parse().unwrap(), 3)].into();
    let config = ProxyConfig::default();
    for (scheduler, weights, touched) in [
        (None, Arc::default(), false),
        (Some(Scheduler::Lc), Arc::default(), true),
        (Some(Scheduler::Lc), Arc::clone(&weights), true),
        (Some(Scheduler::Lc), [("10.244.1.0/24".parse().unwrap(), 3)].into(), false),
        (None, Arc::default(), true),
    ] {
        let balance = Balance { scheduler, weights };
        let mut found = Touched::default();
        let changed = Service { balance: balance.clone(), ..service() };
        store.apply(Change::Service(Arc::new(changed)), &mut found);
        assert_eq!(found.services.contains(&name()), touched, "{balance:?}");
        let routes = resolve(&store, &config, &name()).routes;
        assert!(!routes.is_empty() && routes.iter().all(|route| route.balance == balance), "{balance:?}");
    }
}

/// A server on this node may answer at the VIPs of one Service: IPVS would keep packets from it.
#[test]
fn one_service_may_be_balanced_by_rules() {
    let store = store(service(), HERE_AND_THERE);
    for (by_rules, scheduler) in
        [(None, true), (Some(NamespacedName::new("shop", "other")), true), (Some(name()), false)]
    {
        let config = ProxyConfig { mode: Mode::Ipvs, by_rules: by_rules.clone(), ..ProxyConfig::default() };
        let routes = resolve(&store, &config, &name()).routes;
        assert!(routes.iter().all(|route| route.by_rules != scheduler), "{by_rules:?}");
        let to = EndpointAddr { ip: ip("10.96.0.20"), port: 80 };
        let packet = Packet { from: ip(POD), interface: None, to, protocol: Protocol::Tcp };
        let reason = explain(&store, &config, &packet).reason;
        assert_eq!(reason.contains("by scheduler"), scheduler, "{reason}");
    }
}
