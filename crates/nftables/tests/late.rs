//! What becomes of packets to VIPs that IPVS does not take: VIPs are local addresses, as mode ipvs makes them, and no
//! virtual server is there. In network namespaces of their own; needs root, no IPVS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scenery;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use model::Protocol::{self, Tcp, Udp};
use scenery::{SCENE, engine};
use testkit::netns::NetNs;
use testkit::probe::{Outcome, ping, probe};
use testkit::server::Greeters;
use towpath_nftables::{Nftables, Style};

const ANSWER: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_millis(300);
const CLIENTS: [&str; 2] = ["192.168.0.1", "fd00:192::1"];
/// A port of the node that no Service has, a health port and a nodePort of the scene.
const PORTS: [u16; 3] = [22, 32000, 30081];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Answer,
    Refusal,
    Silence,
}
use Want::{Answer, Refusal, Silence};

/// Address, port, and what comes of a connection to it. A node's other nodePort frontends are not served here, so that
/// the node's own socket answers on its addresses.
const CONNECTIONS: &[(&str, u16, Want)] = &[
    ("192.168.0.2", 22, Answer),
    ("10.96.0.20", 22, Refusal),
    ("10.96.0.20", 80, Refusal),
    ("10.96.0.20", 30081, Refusal),
    ("10.96.0.20", 32000, Refusal),
    ("10.96.77.1", 22, Silence),
    ("198.51.100.9", 22, Refusal),
    ("198.51.100.9", 30081, Refusal),
    ("198.51.100.7", 32000, Answer),
    ("fd00:192::2", 22, Answer),
    ("fd00:96::20", 22, Refusal),
    ("fd00:96::7777", 22, Silence),
    ("2001:db8:f::9", 22, Refusal),
    ("2001:db8:f::7", 32000, Answer),
];

const PINGS: &[(&str, bool)] = &[
    ("192.168.0.2", true),
    ("10.96.0.20", true),
    ("198.51.100.9", true),
    ("10.96.77.1", false),
    ("fd00:96::20", true),
    ("2001:db8:f::9", true),
    ("fd00:96::7777", false),
];

/// A node and a client that reaches it.
struct World {
    node: NetNs,
    client: NetNs,
    _servers: Greeters,
}

fn world() -> World {
    let (node, client) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    let peer = client.path();
    node.ip_batch(&format!(
        "link add name eth0 type veth peer name eth0 netns {peer}
        address add 192.168.0.2/24 dev eth0
        address add 192.168.9.2/24 dev eth0
        address add fd00:192::2/64 dev eth0 nodad
        link set eth0 up
        route add default via 192.168.0.1
        route add default via fd00:192::1
        route add local 10.96.0.0/16 dev lo src 192.168.0.2
        route add local 198.51.100.7 dev lo src 192.168.0.2
        route add local 198.51.100.9 dev lo src 192.168.0.2
        route add local fd00:96::/112 dev lo src fd00:192::2
        route add local 2001:db8:f::7 dev lo src fd00:192::2
        route add local 2001:db8:f::9 dev lo src fd00:192::2"
    ))
    .unwrap();
    client
        .ip_batch(
            "address add 192.168.0.1/24 dev eth0
            address add fd00:192::1/64 dev eth0 nodad
            link set eth0 up
            route add default via 192.168.0.2
            route add default via fd00:192::2",
        )
        .unwrap();
    // Refusals are not to be counted out either.
    node.set_sysctls(&[("ipv6/bindv6only", "1"), ("ipv4/icmp_ratelimit", "0"), ("ipv6/icmp/ratelimit", "0")])
        .unwrap();
    let any = ["0.0.0.0", "::"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let addresses = PORTS.iter().flat_map(|port| any.map(|ip| SocketAddr::new(ip, *port)));
    let servers = Greeters::start(&node, &addresses.collect::<Vec<_>>()).unwrap();
    World { node, client, _servers: servers }
}

impl World {
    fn connect(&self, from: &NetNs, to: (&str, u16), protocol: Protocol, want: Want) -> Want {
        let to = SocketAddr::new(to.0.parse().unwrap(), to.1);
        let timeout = if want == Silence { SILENCE } else { ANSWER };
        match probe(from, None, to, protocol, timeout).unwrap() {
            Outcome::Answered { .. } => Answer,
            Outcome::Refused => Refusal,
            Outcome::TimedOut => Silence,
            Outcome::Other(text) => panic!("{to}: {text}"),
        }
    }

    /// The places that connections come from.
    fn places(&self) -> [(&'static str, &NetNs); 2] {
        [("a client", &self.client), ("the node", &self.node)]
    }
}

#[test]
fn a_vip_answers_for_its_frontends_alone() {
    let world = world();
    for (ip, port, _) in CONNECTIONS {
        let got = world.connect(&world.client, (ip, *port), Tcp, Answer);
        let open = PORTS.contains(port);
        assert_eq!(got == Answer, open, "without rules every port of the node is open: {ip} {port}");
    }
    let mut engine = world.node.run(|| engine(SCENE, Nftables::open_as(Style::Ipvs).unwrap())).unwrap();
    engine.sync().unwrap();
    for (place, from) in world.places() {
        for (ip, port, want) in CONNECTIONS {
            let got = world.connect(from, (ip, *port), Tcp, *want);
            assert_eq!(got, *want, "TCP from {place} to {ip} port {port}");
            // Health is asked for by TCP.
            let want = if *port == 32000 { Refusal } else { *want };
            let got = world.connect(from, (ip, *port), Udp, want);
            assert_eq!(got, want, "UDP from {place} to {ip} port {port}");
        }
    }
}

#[test]
fn a_vip_answers_ping() {
    let world = world();
    let mut engine = world.node.run(|| engine(SCENE, Nftables::open_as(Style::Ipvs).unwrap())).unwrap();
    engine.sync().unwrap();
    let nodes = ["192.168.0.2", "fd00:192::2"];
    for ((place, from), sources) in world.places().into_iter().zip([CLIENTS, nodes]) {
        for (ip, answers) in PINGS {
            let to: IpAddr = ip.parse().unwrap();
            let source = sources[usize::from(to.is_ipv6())].parse().unwrap();
            let got = ping(from, source, to, if *answers { ANSWER } else { SILENCE }).unwrap();
            assert_eq!(matches!(got, Outcome::Other(_)), *answers, "from {place} to {ip}: {got:?}");
        }
    }
}
