//! A network namespace with real tables, and a small cluster with every feature.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataplane::Engine;
use model::{Change, IpFamily, Node, Store};
use resolve::{DetectLocal, Mode, ProxyConfig};
use testkit::netns::NetNs;
use testkit::scene::{NODE_NAME, Scene};
use testkit::scratch::Scratch;
use towpath_iptables::Iptables;
use xtables::{Tools, Variant};

use crate::spec;

/// Every feature, in both families.
pub const WORLD: &str = "
services:
- name: a/everything
  type: LoadBalancer
  cluster_ips: [10.96.0.1, 'fd00:96::1']
  external_ips: [198.51.100.1, '2001:db8:f::1']
  lb_ingress: [{ip: 1.2.3.4}, {ip: '2001:db8:f::4'}]
  lb_source_ranges: [203.0.113.0/25, '2001:db8:1::/64']
  external_traffic_policy: Local
  health_check_node_port: 32000
  ports:
  - {name: http, port: 80, node_port: 30080}
  - {name: dns, port: 53, node_port: 30053, protocol: udp}
  - {name: calls, port: 99, node_port: 30099, protocol: sctp}
- name: a/sticky
  type: NodePort
  cluster_ips: [10.96.0.17, 'fd00:96::11']
  session_affinity: ClientIP
  affinity_timeout: 600
  ports: [{name: '', port: 80, node_port: 31000}]
- name: a/idle
  type: NodePort
  cluster_ips: [10.96.0.33, 'fd00:96::21']
  external_ips: [198.51.100.1, '2001:db8:f::1']
  ports: [{name: p, port: 81, node_port: 31001}, {name: u, port: 81, node_port: 31001, protocol: udp}]
- name: a/local
  type: NodePort
  cluster_ips: [10.96.0.49, 'fd00:96::31']
  internal_traffic_policy: Local
  external_traffic_policy: Local
  ports: [{name: p, port: 80, node_port: 31002}]
slices:
- service: a/everything
  ports: &ports [{name: http, port: 8080}, {name: dns, port: 53, protocol: udp}, {name: calls, port: 99, protocol: sctp}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}, {ip: 10.244.1.2, node: other}]
- service: a/everything
  family: 6
  ports: *ports
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:1::1', node: other}]
- service: a/sticky
  ports: [{name: '', port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: a/sticky
  family: 6
  ports: [{name: '', port: 8080}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:1::1', node: other}]
- service: a/local
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.1.1, node: other}]
";

/// Reads a scene.
pub fn scene(text: &str) -> Scene {
    Scene::parse(text).unwrap()
}

/// One variant in a namespace of its own.
pub struct World {
    pub variant: Variant,
    lock: std::path::PathBuf,
}

/// Runs a test for both variants.
pub fn each_variant(test: impl Fn(&World) + Sync) {
    for variant in Variant::ALL {
        let scratch = Scratch::new().unwrap();
        let world = World { variant, lock: scratch.path().join("xtables.lock") };
        let ns = NetNs::new().unwrap();
        ns.run(|| test(&world)).unwrap();
    }
}

impl World {
    /// The programs, with a lock of their own.
    pub fn tools(&self) -> Tools {
        Tools::find(self.variant).unwrap().with_lock_file(&self.lock)
    }

    /// An engine that knows a scene and has not programmed it yet.
    pub fn engine(&self, text: &str) -> Engine<Iptables> {
        let nets = ["10.244.0.0/16", "fd00:244::/32"].map(|net| net.parse().unwrap());
        let config = ProxyConfig {
            mode: Mode::Iptables,
            detect_local: DetectLocal::ClusterCidr(nets.to_vec()),
            ..ProxyConfig::default()
        };
        let mut engine = Engine::new(Store::new(NODE_NAME), config, Iptables::open(self.tools()), &[]);
        changes(&scene(text)).into_iter().for_each(|change| engine.handle(change));
        engine
    }

    /// Loads a text for IPv4.
    pub fn restore(&self, text: &str) {
        self.tools().restore(IpFamily::V4, text).unwrap();
    }

    /// Loads a text for IPv6.
    pub fn restore6(&self, text: &str) {
        self.tools().restore(IpFamily::V6, text).unwrap();
    }

    /// A table of IPv4 as the tool prints it.
    pub fn save(&self, table: &str) -> String {
        self.tools().save_text(IpFamily::V4, table).unwrap()
    }

    /// All rules and chains of IPv4, without counters and dates.
    pub fn rules(&self) -> Vec<String> {
        let lines = |text: String| text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect();
        let tables = ["filter", "nat"].map(|table| lines(self.save(table)));
        let lines = tables.into_iter().flat_map(|lines: Vec<String>| lines);
        lines.map(|line| line.split('[').next().unwrap().to_owned()).collect()
    }

    /// Number of our chains in IPv4's nat.
    pub fn chains(&self) -> usize {
        self.save("nat").lines().filter(|line| line.starts_with(":TOWPATH-")).count()
    }

    /// `route_localnet` in this namespace.
    pub fn localnet(&self) -> String {
        let path = "/proc/sys/net/ipv4/conf/all/route_localnet";
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// Sets `route_localnet` in this namespace.
    pub fn set_localnet(&self, value: &str) {
        std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", value).unwrap();
    }

    /// Holds the xtables lock as another program would.
    pub fn hold_lock(&self) -> File {
        let file = File::create(&self.lock).unwrap();
        file.lock().unwrap();
        file
    }
}

fn changes(scene: &Scene) -> Vec<Change> {
    let node = Node { name: NODE_NAME.into(), addresses: scene.node_ips.clone(), ..Node::default() };
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let addresses = loopback.into_iter().chain(scene.node_ips.iter().copied()).collect();
    let node = [Change::Node(Box::new(node)), Change::KernelAddresses(addresses)];
    let services = scene.services.iter().map(|spec| Change::Service(spec::service(spec).into()));
    node.into_iter().chain(services).chain(spec::slices(&[], &scene.slices)).collect()
}
