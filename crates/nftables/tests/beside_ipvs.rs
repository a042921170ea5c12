//! Real packets through our rules and IPVS together. Virtual servers and routes are made here as mode ipvs makes them.
//! Needs root and a kernel with IPVS: `cargo xtask vm 6.12 --program towpath-nftables:beside_ipvs`.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod scenery;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use dataplane::Operate;
use libtest_mimic::{Arguments, Completion, Trial};
use model::Protocol;
use netlink::ipvs::{self, Command, Key, RealServer, VirtualServer};
use scenery::{SCENE, engine};
use testkit::netns::NetNs;
use testkit::probe::Outcome;
use testkit::world::{Layout, World};
use towpath_nftables::{Nftables, Style};

const ANSWER: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(500);
/// Enough for the scheduler rr to come round.
const TRIES: usize = 4;

const NODE: &[&str] = &["192.168.0.2", "192.168.9.2", "fd00:192::2"];
/// A pod that is no endpoint, an allowed client, a stranger.
const CLIENTS: &[&str] =
    &["10.244.0.77", "203.0.113.2", "203.0.114.2", "fd00:244::77", "2001:db8:1::2", "2001:db8:2::2"];
const WEB: &[&str] = &["10.244.0.5:8080", "10.244.1.7:8080"];
const SHOP: &[&str] = &["10.244.0.6:8080", "10.244.1.8:8080"];
const SHOP_HERE: &[&str] = &["10.244.0.6:8080"];
const HERE: &[&str] = &["10.244.0.9:8080"];
const WEB6: &[&str] = &["[fd00:244::5]:8080", "[fd00:244:1::7]:8080"];
const SHOP6: &[&str] = &["[fd00:244::6]:8080", "[fd00:244:1::8]:8080"];
const SHOP6_HERE: &[&str] = &["[fd00:244::6]:8080"];
const HERE6: &[&str] = &["[fd00:244::9]:8080"];

/// What mode ipvs makes of the scene: for each frontend the list of everybody else.
const SERVERS: &[(&str, &[&str])] = &[
    ("10.96.0.20:80", WEB),
    ("192.168.0.2:30080", WEB),
    ("10.96.0.30:443", SHOP),
    ("198.51.100.7:443", SHOP_HERE),
    ("192.168.0.2:30443", SHOP_HERE),
    ("10.96.0.40:81", HERE),
    ("198.51.100.9:81", HERE),
    ("192.168.9.2:81", HERE),
    ("192.168.0.2:30081", HERE),
    ("[fd00:96::20]:80", WEB6),
    ("[fd00:192::2]:30080", WEB6),
    ("[2001:db8:f::7]:443", SHOP6_HERE),
    ("[fd00:192::2]:30443", SHOP6_HERE),
    ("[fd00:96::40]:81", HERE6),
    ("[2001:db8:f::9]:81", HERE6),
];

#[derive(Clone, Copy, Debug)]
enum Want {
    /// These endpoints, and they see the client.
    Plain(&'static [&'static str]),
    /// These endpoints, and they see the node.
    Masqueraded(&'static [&'static str]),
    Refusal,
    Silence,
}
use Want::{Masqueraded, Plain, Refusal, Silence};

const FLOWS: &[(&str, &str, Want)] = &[
    ("10.244.0.77", "10.96.0.20:80", Plain(WEB)),
    ("203.0.113.2", "10.96.0.20:80", Masqueraded(WEB)),
    ("192.168.0.2", "10.96.0.20:80", Masqueraded(WEB)),
    ("203.0.113.2", "192.168.0.2:30080", Masqueraded(WEB)),
    ("10.244.0.77", "192.168.0.2:30080", Masqueraded(WEB)),
    ("192.168.0.2", "192.168.0.2:30080", Masqueraded(WEB)),
    ("203.0.113.2", "198.51.100.7:443", Plain(SHOP_HERE)),
    ("203.0.114.2", "198.51.100.7:443", Silence),
    ("203.0.114.2", "192.168.0.2:30443", Plain(SHOP_HERE)),
    ("10.244.0.77", "192.168.0.2:30443", Plain(SHOP)),
    ("192.168.0.2", "192.168.0.2:30443", Masqueraded(SHOP)),
    ("203.0.114.2", "198.51.100.9:81", Plain(HERE)),
    ("10.244.0.77", "198.51.100.9:81", Plain(HERE)),
    ("192.168.0.2", "198.51.100.9:81", Masqueraded(HERE)),
    ("203.0.114.2", "192.168.9.2:81", Plain(HERE)),
    ("10.244.0.9", "10.96.0.40:81", Masqueraded(HERE)),
    ("10.244.0.9", "198.51.100.9:81", Masqueraded(HERE)),
    ("10.244.0.9", "192.168.0.2:30081", Masqueraded(HERE)),
    ("10.244.0.77", "10.96.0.20:81", Refusal),
    ("192.168.0.2", "10.96.0.20:81", Refusal),
    ("203.0.114.2", "198.51.100.9:22", Refusal),
    ("10.244.0.77", "10.96.0.20:30080", Refusal),
    ("10.244.0.77", "10.96.77.1:80", Silence),
    ("fd00:244::77", "[fd00:96::20]:80", Plain(WEB6)),
    ("2001:db8:1::2", "[fd00:96::20]:80", Masqueraded(WEB6)),
    ("fd00:192::2", "[fd00:96::20]:80", Masqueraded(WEB6)),
    ("2001:db8:1::2", "[fd00:192::2]:30080", Masqueraded(WEB6)),
    ("2001:db8:1::2", "[2001:db8:f::7]:443", Plain(SHOP6_HERE)),
    ("2001:db8:2::2", "[2001:db8:f::7]:443", Silence),
    ("fd00:244::77", "[fd00:192::2]:30443", Plain(SHOP6)),
    ("fd00:192::2", "[fd00:192::2]:30443", Masqueraded(SHOP6)),
    ("fd00:192::2", "[2001:db8:f::9]:81", Masqueraded(HERE6)),
    ("fd00:244::9", "[fd00:96::40]:81", Masqueraded(HERE6)),
    ("fd00:244::77", "[2001:db8:f::9]:22", Refusal),
];

fn main() -> ExitCode {
    let trial = Trial::ignorable_test("packets_go_where_they_should", || match kernel() {
        Ok(()) => {
            packets_go_where_they_should();
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn kernel() -> Result<(), String> {
    let ns = NetNs::new().map_err(|error| format!("needs root: {error:#}"))?;
    let open = ns.run(ipvs::open).map_err(|error| error.to_string())?;
    let open = open.map_err(|error| error.to_string())?;
    open.map(drop).ok_or_else(|| "this kernel has no IPVS".to_owned())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn world() -> World {
    let mut layout = Layout::of_node(NODE.iter().map(|text| ip(text)));
    layout.hosts.extend(CLIENTS.iter().map(|text| ip(text)));
    let endpoints = [WEB, SHOP, HERE, WEB6, SHOP6, HERE6].concat();
    for endpoint in endpoints.iter().map(|text| text.parse::<SocketAddr>().unwrap()) {
        layout.hosts.insert(endpoint.ip());
        layout.serve(endpoint);
    }
    World::new(&layout).unwrap()
}

fn make_servers(node: &NetNs) {
    let commands = SERVERS.iter().flat_map(|(server, endpoints)| {
        let address: SocketAddr = server.parse().unwrap();
        let key = Key::Address { address: address.ip(), protocol: 6, port: address.port() };
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        let add = VirtualServer { key, scheduler: "rr".into(), flags: 0, timeout: 0, prefix };
        let real = endpoints
            .iter()
            .map(move |e| Command::AddDestination(key, RealServer::masquerade(e.parse().unwrap(), 1)));
        [Command::Add(add)].into_iter().chain(real)
    });
    let commands: Vec<Command> = commands.collect();
    let refused = node.run(|| ipvs::apply(&mut ipvs::open().unwrap().unwrap(), &commands).unwrap()).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    node.set_sysctls(&[("ipv4/vs/conntrack", "1")]).unwrap();
}

fn make_routes(node: &NetNs) {
    let routes = [
        ("10.96.0.0/16", NODE[0]),
        ("198.51.100.7", NODE[0]),
        ("198.51.100.9", NODE[0]),
        ("fd00:96::/112", NODE[2]),
        ("2001:db8:f::7", NODE[2]),
        ("2001:db8:f::9", NODE[2]),
    ];
    let lines = routes.map(|(net, source)| format!("route add local {net} dev lo src {source}\n"));
    node.ip_batch(&lines.concat()).unwrap();
}

fn packets_go_where_they_should() {
    let world = world();
    let node = world.node();
    let mut engine = node.run(|| engine(SCENE, Nftables::open_as(Style::Ipvs).unwrap())).unwrap();
    engine.sync().unwrap();
    make_servers(node);
    make_routes(node);
    let wrong: Vec<String> = FLOWS.iter().filter_map(|flow| check(&world, flow).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It is our rules that do it: IPVS alone brings an endpoint its own address as the client's.
    engine.dataplane_mut().remove().unwrap();
    let alone = ("10.244.0.9", "10.96.0.40:81", Silence);
    assert_eq!(check(&world, &alone), Ok(()));
}

fn check(world: &World, (from, to, want): &(&str, &str, Want)) -> Result<(), String> {
    let (source, destination) = (ip(from), to.parse().unwrap());
    let timeout = if matches!(want, Silence) { SILENCE } else { ANSWER };
    let tries = if matches!(want, Plain(_) | Masqueraded(_)) { TRIES } else { 1 };
    let mut seen = BTreeSet::new();
    for _ in 0..tries {
        let outcome = world.probe(source, destination, Protocol::Tcp, timeout).unwrap();
        let good = match (&outcome, want) {
            (Outcome::Answered { seen_source, .. }, Plain(_)) => seen_source.ip() == source,
            // The node's links to the hosts have addresses of their own, which masquerading takes.
            (Outcome::Answered { seen_source, .. }, Masqueraded(_)) => {
                seen_source.ip() != source && world.is_node_address(seen_source.ip())
            }
            (Outcome::Refused, Refusal) | (Outcome::TimedOut, Silence) => true,
            _ => false,
        };
        if !good {
            return Err(format!("{from} -> {to}: {outcome:?}, not {want:?}"));
        }
        if let Outcome::Answered { endpoint, .. } = outcome {
            seen.insert(endpoint.to_string());
        }
    }
    reached(from, to, &seen, *want)
}

/// All endpoints that rr goes round; of a choice by chance, some.
fn reached(from: &str, to: &str, seen: &BTreeSet<String>, want: Want) -> Result<(), String> {
    let (Plain(list) | Masqueraded(list)) = want else { return Ok(()) };
    let list: BTreeSet<String> = list.iter().map(|text| (*text).to_owned()).collect();
    let by_chance = [SHOP, SHOP6].iter().any(|shop| shop.len() == list.len() && list.contains(shop[0]));
    let good = if by_chance { seen.is_subset(&list) } else { *seen == list };
    if good { Ok(()) } else { Err(format!("{from} -> {to}: reached {seen:?}, not {list:?}")) }
}
