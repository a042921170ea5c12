//! One Route as objects, as a table.

use std::net::IpAddr;
use std::sync::Arc;

use dataplane::Ground;
use ipnet::IpNet;
use model::{Balance, IpFamily, NamespacedName, NodeFacts, Protocol, Scheduler, ServicePortName, parse_net};
use resolve::{DetectLocal, Mode, ProxyConfig, Vip};

use super::*;
use crate::text;

/// A node at 192.168.0.2, with pods in 10.244.0.0/16 and Services in 10.96.0.0/12.
fn front() -> Front {
    let ips = ["127.0.0.1", "192.168.0.2", "169.254.1.1"];
    let kernel_addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    let facts = NodeFacts { kernel_addresses, ..NodeFacts::default() };
    let net = |text: &str| parse_net(text).unwrap();
    let detect_local = DetectLocal::ClusterCidr(vec![net("10.244.0.0/16")]);
    let scheduler = Scheduler::Lc;
    let config = ProxyConfig { mode: Mode::Ipvs, detect_local, scheduler, ..ProxyConfig::default() };
    let service_cidrs = [net("10.96.0.0/12")];
    Front::new(&Ground { config: &config, facts: &facts, service_cidrs: &service_cidrs }, IpFamily::V4)
}

/// Endpoints by their last number; none: refused.
fn decision(endpoints: &[u8]) -> Decision {
    let endpoint = |n: &u8| EndpointAddr { ip: [10, 244, 0, *n].into(), port: 8080 };
    let list: Arc<[EndpointAddr]> = endpoints.iter().map(endpoint).collect();
    if list.is_empty() { Decision::Reject } else { Decision::Dnat(list) }
}

fn route(vips: &[(&str, VipKind)], node_port: Option<u16>, internal: &[u8], external: &[u8]) -> Route {
    let service = NamespacedName::new("a", "b");
    let vip = |(ip, kind): &(&str, VipKind)| Vip {
        ip: ip.parse::<IpAddr>().unwrap(),
        kind: *kind,
        allowed_sources: None,
    };
    Route {
        name: ServicePortName { service, port: "".into(), protocol: Protocol::Tcp },
        family: IpFamily::V4,
        port: 80,
        vips: vips.iter().map(vip).collect(),
        node_port,
        node_port_sources: None,
        shadowed: Vec::new(),
        internal: decision(internal),
        external: decision(external),
        short_circuit: None,
        affinity_seconds: None,
        hairpin: Vec::new(),
        serving: Arc::default(),
        health_check_port: None,
        drain: None,
        balance: Balance::default(),
        by_rules: false,
    }
}

/// The objects as lines; records are left out, since each virtual server has one.
fn lines(route: &Route) -> Vec<String> {
    let objects = lower(&front(), route);
    let is = |kind: fn(&Key) -> bool| objects.iter().filter(|(key, _)| kind(key)).count();
    let servers = is(|key| matches!(key, Key::Server(_)));
    assert_eq!(servers, is(|key| key.recorded().is_some()), "{objects:?}");
    text::all(objects.iter().map(|(key, value)| (key, value))).lines().map(str::to_owned).collect()
}

#[test]
fn frontends_with_endpoints_are_virtual_servers() {
    use VipKind::{ClusterIp, ExternalIp, LoadBalancer};
    let cluster_ip = &[("10.96.0.1", ClusterIp)][..];
    for (what, vips, node_port, internal, external, want) in [
        (
            "a ClusterIP has the internal list",
            cluster_ip,
            None,
            &[5, 6][..],
            &[][..],
            &[
                "-A -t 10.96.0.1:80 -s lc",
                "-a -t 10.96.0.1:80 -r 10.244.0.5:8080 -m -w 1",
                "-a -t 10.96.0.1:80 -r 10.244.0.6:8080 -m -w 1",
            ][..],
        ),
        (
            "an address outside of the ServiceCIDR has the external list, and a route",
            &[("198.51.100.7", LoadBalancer)],
            None,
            &[5],
            &[6],
            &[
                "ip route add local 198.51.100.7/32 dev lo proto 107 src 192.168.0.2",
                "-A -t 198.51.100.7:80 -s lc",
                "-a -t 198.51.100.7:80 -r 10.244.0.6:8080 -m -w 1",
            ],
        ),
        (
            "an address of the node needs no route",
            &[("192.168.0.2", ExternalIp)],
            None,
            &[],
            &[6],
            &["-A -t 192.168.0.2:80 -s lc", "-a -t 192.168.0.2:80 -r 10.244.0.6:8080 -m -w 1"],
        ),
        (
            "without endpoints there is the route, which brings packets to their refusal",
            &[("198.51.100.7", ExternalIp)],
            Some(30_080),
            &[5],
            &[],
            &["ip route add local 198.51.100.7/32 dev lo proto 107 src 192.168.0.2"],
        ),
        (
            "a NodePort is at addresses that others can use",
            &[],
            Some(30_080),
            &[],
            &[5],
            &["-A -t 192.168.0.2:30080 -s lc", "-a -t 192.168.0.2:30080 -r 10.244.0.5:8080 -m -w 1"],
        ),
    ] {
        assert_eq!(lines(&route(vips, node_port, internal, external)), want, "{what}");
    }
}

#[test]
fn a_service_says_how_its_connections_are_spread() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let weights = [(net("10.244.0.0/24"), 3), (net("10.244.0.6/32"), 9)];
    let mut route = route(&[("10.96.0.1", VipKind::ClusterIp)], None, &[5, 6], &[]);
    route.balance = Balance { scheduler: Some(Scheduler::Wrr), weights: weights.into() };
    route.affinity_seconds = Some(60);
    let want = [
        "-A -t 10.96.0.1:80 -s wrr -p 60",
        "-a -t 10.96.0.1:80 -r 10.244.0.5:8080 -m -w 3",
        "-a -t 10.96.0.1:80 -r 10.244.0.6:8080 -m -w 9",
    ];
    assert_eq!(lines(&route), want);
}

#[test]
fn what_is_balanced_by_rules_has_no_virtual_server_and_needs_no_route() {
    let vips = [("10.96.0.1", VipKind::ClusterIp), ("1.2.3.4", VipKind::LoadBalancer)];
    let route = route(&vips, Some(30080), &[1, 2], &[1]);
    assert!(!lower(&front(), &route).is_empty());
    assert_eq!(lower(&front(), &Route { by_rules: true, ..route }), []);
}
