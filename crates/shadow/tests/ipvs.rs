//! Virtual servers as the kernel lists them, compared. No kernel here has IPVS, so they are values.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod support;

use std::net::{IpAddr, SocketAddr};

use netlink::ipvs::{Destination, Key, PERSISTENT, RealServer, Stats, VirtualServer};
use resolve::Mode;
use support::{lines, port};
use testkit::kube_proxy::{Cluster, Port};
use towpath_shadow::Programmed;
use towpath_shadow::ipvs::{Addresses, Server, parse};

/// Another address of the node than those of the cluster: it has NodePorts too.
const SECOND: &str = "192.168.0.3";

/// kube-proxy's virtual servers, where Local without a local endpoint is the whole list.
fn servers(cluster: &Cluster) -> Vec<Server> {
    let mut all = Vec::new();
    for port in &cluster.ports {
        let to = |ip: IpAddr, number: u16, local: bool| server(port, SocketAddr::new(ip, number), local);
        let number = port.cluster_ip.port();
        all.push(to(port.cluster_ip.ip(), number, false));
        let vips = port.external_ips.iter().chain(&port.load_balancer_ips);
        all.extend(vips.map(|ip| to(*ip, number, port.external_local)));
        for (ip, node_port) in node_ips(cluster).into_iter().filter_map(|ip| Some((ip, port.node_port?))) {
            if ip.is_ipv4() == port.cluster_ip.is_ipv4() {
                all.push(to(ip, node_port, port.external_local));
            }
        }
    }
    all
}

fn node_ips(cluster: &Cluster) -> Vec<IpAddr> {
    cluster.node_ips.iter().copied().chain([SECOND.parse().unwrap()]).collect()
}

fn server(port: &Port, address: SocketAddr, local: bool) -> Server {
    let near: Vec<_> = port.endpoints.iter().filter(|e| !local || e.local).collect();
    let used = if near.is_empty() { port.endpoints.iter().collect() } else { near };
    Server {
        server: VirtualServer {
            key: Key::Address {
                address: address.ip(),
                protocol: port.protocol.number(),
                port: address.port(),
            },
            scheduler: "rr".into(),
            flags: if port.affinity.is_some() { PERSISTENT } else { 0 },
            timeout: port.affinity.unwrap_or(0),
            prefix: 32,
        },
        destinations: used.iter().map(|e| destination(e.address, 1)).collect(),
    }
}

fn destination(address: SocketAddr, weight: u32) -> Destination {
    let server = RealServer::masquerade(address, weight);
    Destination { server, active: 0, inactive: 0, persistent: 0, stats: Stats::default() }
}

fn programmed(cluster: &Cluster, servers: &[Server]) -> Programmed {
    let vips = cluster.ports.iter().flat_map(|port| {
        [port.cluster_ip.ip()]
            .into_iter()
            .chain(port.external_ips.clone())
            .chain(port.load_balancer_ips.clone())
    });
    let addresses = Addresses { bound: vips.collect(), node: node_ips(cluster).into_iter().collect() };
    let frontends = parse(servers, &addresses);
    Programmed { mode: Mode::Ipvs, found: String::new(), consistent: true, frontends }
}

#[test]
fn an_equal_cluster_has_no_difference() {
    let cluster = Cluster::example();
    assert!(lines(&cluster, &programmed(&cluster, &servers(&cluster))).is_empty());
}

#[test]
fn changes_show_without_names_of_what_only_kube_proxy_has() {
    let ours = Cluster::example();
    let mut theirs = Cluster::example();
    port(&mut theirs, "default/web").endpoints.truncate(1);
    port(&mut theirs, "default/sticky").affinity = Some(60);
    port(&mut theirs, "default/local").node_port = Some(30_099);
    let mut servers = servers(&theirs);
    let foreign: SocketAddr = "198.51.100.1:80".parse().unwrap();
    servers.push(server(&theirs.ports[0], foreign, false));
    assert_eq!(
        lines(&ours, &programmed(&theirs, &servers)),
        [
            "of no known Service: nodePort 30099/tcp (IPv4): kube-proxy serves it, towpath does not",
            "default/local:http nodePort 30082/tcp (IPv4): towpath serves it, kube-proxy has no rule for it",
            "default/sticky 10.96.0.13:80/tcp: kube-proxy keeps clients for 60 s, towpath keeps clients for 10800 s",
            "default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): \
             towpath sends to 10.244.2.7:8080 too, kube-proxy does not",
        ]
    );
}

#[test]
fn a_real_server_of_weight_0_gets_nothing_new() {
    let cluster = Cluster::example();
    let mut servers = servers(&cluster);
    let gone: SocketAddr = "10.244.9.9:8080".parse().unwrap();
    servers.iter_mut().for_each(|server| server.destinations.push(destination(gone, 0)));
    assert!(lines(&cluster, &programmed(&cluster, &servers)).is_empty());
}
