//! The leftovers that tests are made of are no scenery: packets through them reach endpoints. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::{clear, restore};
use model::{IpFamily, Protocol};
use testkit::kube_proxy::{Cluster, foreign, kubelet};
use testkit::probe::Outcome;
use testkit::world::{Layout, World};
use xtables::Variant;

const SILENCE: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_secs(3);

/// Addresses of one family: a pod, two clients outside, endpoints.
struct Places {
    pod: IpAddr,
    allowed: IpAddr,
    stranger: IpAddr,
    endpoints: [SocketAddr; 2],
}

fn places(family: IpFamily) -> Places {
    let [pod, allowed, stranger] = match family {
        IpFamily::V4 => ["10.244.2.9", "203.0.113.2", "198.51.100.2"],
        IpFamily::V6 => ["fd00:244:2::9", "fd00:203::2", "fd00:198::2"],
    }
    .map(|ip| ip.parse().unwrap());
    let endpoints = match family {
        IpFamily::V4 => ["10.244.1.5:8080", "10.244.2.7:8080"],
        IpFamily::V6 => ["[fd00:244:1::5]:8080", "[fd00:244:2::7]:8080"],
    };
    Places { pod, allowed, stranger, endpoints: endpoints.map(|address| address.parse().unwrap()) }
}

fn world() -> World {
    let cluster = Cluster::example();
    let mut layout = Layout::of_node(cluster.node_ips.iter().copied());
    for family in IpFamily::ALL {
        let places = places(family);
        layout.hosts.extend([places.pod, places.allowed, places.stranger]);
        layout.hosts.extend(places.endpoints.map(|endpoint| endpoint.ip()));
        places.endpoints.into_iter().for_each(|endpoint| layout.serve(endpoint));
    }
    World::new(&layout).unwrap()
}

/// What should come of a packet: an answer of one of so many first endpoints, a refusal, or nothing.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Answer(&'static [usize]),
    Refusal,
    Silence,
}

const BOTH: Expected = Expected::Answer(&[0, 1]);
const NEAR: Expected = Expected::Answer(&[0]);

fn check(world: &World, family: IpFamily) {
    use Protocol::{Tcp, Udp};
    let Places { pod, allowed, stranger, endpoints } = places(family);
    let node = if family == IpFamily::V4 { "192.168.0.2" } else { "fd00:192::2" };
    let service = |last: u16| match family {
        IpFamily::V4 => format!("10.96.0.{last}"),
        IpFamily::V6 => format!("fd00:96::{last}"),
    };
    let balancer = |last: u16| match family {
        IpFamily::V4 => format!("5.5.5.{last}"),
        IpFamily::V6 => format!("fd00:5::{last}"),
    };
    let flows = [
        (pod, service(10), 80, Tcp, BOTH),
        (stranger, node.to_owned(), 30080, Tcp, BOTH),
        (allowed, balancer(11), 80, Tcp, BOTH),
        (stranger, balancer(11), 80, Tcp, Expected::Silence),
        (stranger, balancer(12), 80, Tcp, NEAR),
        (stranger, node.to_owned(), 30082, Tcp, NEAR),
        (pod, balancer(12), 80, Tcp, BOTH),
        (pod, service(13), 80, Tcp, BOTH),
        (pod, service(14), 80, Tcp, Expected::Refusal),
        (stranger, node.to_owned(), 30084, Tcp, Expected::Refusal),
        (stranger, node.to_owned(), 30085, Tcp, Expected::Silence),
        (pod, service(16), 80, Udp, BOTH),
    ];
    for (source, destination, port, protocol, expected) in flows {
        let destination = SocketAddr::new(destination.parse().unwrap(), port);
        let patience = if matches!(expected, Expected::Silence) { SILENCE } else { ANSWER };
        let outcome = world.probe(source, destination, protocol, patience).unwrap();
        let is_good = match (expected, &outcome) {
            (Expected::Answer(which), Outcome::Answered { endpoint, .. }) => {
                which.iter().any(|i| endpoints[*i] == *endpoint)
            }
            (Expected::Refusal, Outcome::Refused) | (Expected::Silence, Outcome::TimedOut) => true,
            _ => false,
        };
        assert!(is_good, "{protocol} {source} -> {destination}: {outcome:?}, not {expected:?}");
    }
}

/// After removal nobody answers for a Service any more.
fn check_gone(world: &World) {
    for family in IpFamily::ALL {
        let service = if family == IpFamily::V4 { "10.96.0.10:80" } else { "[fd00:96::10]:80" };
        let outcome =
            world.probe(places(family).pod, service.parse().unwrap(), Protocol::Tcp, SILENCE).unwrap();
        assert!(!matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    }
}

#[test]
fn through_the_chains_of_iptables_mode() {
    let world = world();
    for variant in Variant::ALL {
        for family in IpFamily::ALL {
            restore(world.node(), variant, family, &kubelet(family));
            restore(world.node(), variant, family, &foreign(family));
            restore(world.node(), variant, family, &Cluster::example().iptables(family));
            check(&world, family);
        }
        assert!(clear(world.node()).failed.is_empty());
        check_gone(&world);
    }
}

#[test]
fn through_the_tables_of_nftables_mode() {
    let world = world();
    for family in IpFamily::ALL {
        world.node().nft(&Cluster::example().nft(family)).unwrap();
        check(&world, family);
    }
    assert!(clear(world.node()).failed.is_empty());
    check_gone(&world);
}
