//! Clusters drawn at random: equal ones have no difference, and one change shows at its Service alone.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod support;

use std::net::SocketAddr;

use model::{IpFamily, Protocol};
use proptest::prelude::*;
use resolve::Mode;
use support::{expected, parsed};
use testkit::kube_proxy::{Cluster, Endpoint, Port};
use testkit::netns::NetNs;
use towpath_shadow::{Place, Programmed, compare};

/// What one Service is made of.
#[derive(Clone, Debug)]
struct Draw {
    udp: bool,
    named: bool,
    node_port: bool,
    external: bool,
    balancer: bool,
    ranges: usize,
    local: bool,
    affinity: Option<u32>,
    endpoints: Vec<bool>,
}

fn draw() -> impl Strategy<Value = Draw> {
    let flags = prop::array::uniform6(any::<bool>());
    let affinity = prop_oneof![Just(None), (1u32..86_400).prop_map(Some)];
    (flags, 0usize..3, affinity, prop::collection::vec(any::<bool>(), 0..5)).prop_map(
        |([udp, named, node_port, external, balancer, local], ranges, affinity, endpoints)| Draw {
            udp,
            named,
            node_port,
            external,
            balancer,
            ranges,
            local,
            affinity,
            endpoints,
        },
    )
}

fn cluster(draws: &[Draw]) -> Cluster {
    let mut cluster = Cluster { pod_cidrs: vec!["10.128.0.0/9".into()], ..Cluster::default() };
    cluster.node_ips = vec![[192, 168, 0, 2].into()];
    cluster.ports = draws.iter().enumerate().map(|(i, draw)| port(i as u8, draw)).collect();
    cluster
}

fn port(i: u8, draw: &Draw) -> Port {
    let name = if draw.named { "http" } else { "" };
    let address = |a: u8, b: u8, n: u16| SocketAddr::from(([10, a, b, i + 1], n));
    let mut port = Port::new(&format!("ns-{}/svc-{i}", i % 2), name, address(96, 0, 80), &[]);
    let endpoint =
        |(e, local): (usize, &bool)| Endpoint { address: address(128, e as u8, 8080), local: *local };
    port.endpoints = draw.endpoints.iter().enumerate().map(endpoint).collect();
    port.protocol = if draw.udp { Protocol::Udp } else { Protocol::Tcp };
    port.node_port = draw.node_port.then_some(30_000 + u16::from(i));
    port.external_ips = draw.external.then(|| [192, 0, 2, i].into()).into_iter().collect();
    port.load_balancer_ips = draw.balancer.then(|| [198, 51, 100, i].into()).into_iter().collect();
    // The generator writes no firewall for a Service without endpoints; kube-proxy does in mode nftables.
    let ranges = if draw.endpoints.is_empty() { 0 } else { draw.ranges };
    port.source_ranges = (0..ranges).map(|r| format!("203.0.{r}.0/24")).collect();
    // The generator leaves out what the node's own connections get where Local has no endpoint.
    port.external_local = draw.local && draw.endpoints.contains(&true);
    port.affinity = draw.affinity;
    port
}

/// What the kernel has after kube-proxy in mode nftables has programmed the cluster.
fn through_the_kernel(cluster: &Cluster) -> Programmed {
    let ns = NetNs::new().unwrap();
    ns.nft(&cluster.nft(IpFamily::V4)).unwrap();
    ns.run(|| Place::Nftables.read().unwrap()).unwrap()
}

/// The Services that differ.
fn services(ours: &Cluster, programmed: &Programmed) -> Vec<String> {
    let differences = compare(&expected(ours, programmed.mode), programmed);
    let mut names: Vec<String> =
        differences.into_iter().map(|d| d.name.unwrap().service.to_string()).collect();
    names.dedup();
    names
}

/// Both ways to read what kube-proxy has.
fn readings(cluster: &Cluster) -> [Programmed; 2] {
    [parsed(cluster), through_the_kernel(cluster)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_clusters_do_not_differ(draws in prop::collection::vec(draw(), 1..8)) {
        let cluster = cluster(&draws);
        for programmed in readings(&cluster) {
            prop_assert_eq!(services(&cluster, &programmed), Vec::<String>::new(), "{:?}", programmed.mode);
        }
    }

    #[test]
    fn one_change_shows_at_its_service_alone(
        draws in prop::collection::vec(draw(), 1..8),
        which in any::<prop::sample::Index>(),
        change in 0..4,
    ) {
        let ours = cluster(&draws);
        let mut theirs = ours.clone();
        let at = which.index(draws.len());
        let changed = ours.ports[at].service.clone();
        let port = &mut theirs.ports[at];
        match change {
            0 => port.endpoints.push(Endpoint { address: "10.200.0.1:9".parse().unwrap(), local: true }),
            1 if !port.external_local && !port.endpoints.is_empty() => port.endpoints.truncate(port.endpoints.len() - 1),
            2 if !port.endpoints.is_empty() => port.affinity = Some(port.affinity.map_or(1, |s| s + 1)),
            _ => drop(theirs.ports.remove(at)),
        }
        for programmed in readings(&theirs) {
            prop_assert_eq!(services(&ours, &programmed), [changed.clone()], "{:?}", programmed.mode);
        }
    }
}

#[test]
fn a_contested_address_is_a_known_difference() {
    let draws: Vec<Draw> = (0..2)
        .map(|_| Draw {
            udp: false,
            named: true,
            node_port: false,
            external: true,
            balancer: false,
            ranges: 0,
            local: false,
            affinity: None,
            endpoints: vec![false],
        })
        .collect();
    let mut ours = cluster(&draws);
    ours.ports[1].external_ips = ours.ports[0].external_ips.clone();
    let mut theirs = ours.clone();
    theirs.ports[0].external_ips.clear();
    assert_eq!(
        support::lines(&ours, &parsed(&theirs)),
        ["ns-0/svc-0:http 192.0.2.0:80/tcp: kube-proxy serves ns-1/svc-1:http there \
          (meant: several Services ask for this address and port; towpath serves the oldest of them)"]
    );
    assert_eq!(parsed(&theirs).mode, Mode::Iptables);
    // The same owner with other endpoints is not meant.
    let mut theirs = ours.clone();
    theirs.ports[1].external_ips.clear();
    theirs.ports[0].endpoints.push(Endpoint { address: "10.200.0.1:9".parse().unwrap(), local: true });
    assert_eq!(
        support::lines(&ours, &parsed(&theirs)),
        ["ns-0/svc-0:http 10.96.0.1:80/tcp, 192.0.2.0:80/tcp: \
          kube-proxy sends to 10.200.0.1:9 too, towpath does not"]
    );
}
