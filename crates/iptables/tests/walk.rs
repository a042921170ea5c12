//! How many rules a first packet meets, with many Services.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataplane::{Engine, Operate};
use machine::Kernel;
use model::{
    Change, Endpoint, EndpointAddr, IpFamily, NamespacedName, Protocol, Service, ServicePort, ServiceType,
    Slice, SlicePort, Store,
};
use resolve::{Mode, Packet, ProxyConfig};
use towpath_iptables::Iptables;

const SERVICES: u16 = 10_000;
/// All of the default range of nodePorts.
const NODE_PORTS: u16 = 2_768;
const FIRST_NODE_PORT: u16 = 30_000;
const NODE: &str = "192.0.2.10";

#[test]
fn a_first_packet_walks_few_rules() {
    let config = ProxyConfig { mode: Mode::Iptables, ..ProxyConfig::default() };
    let mut engine = Engine::new(Store::new("node"), config, Iptables::offline(), &[]);
    engine.handle(Change::KernelAddresses(vec![NODE.parse().unwrap()]));
    for n in 0..SERVICES {
        engine.handle(Change::Service(service(n).into()));
        // Every other one is idle, so that the tree of filter is large too.
        if n % 2 == 0 {
            engine.handle(Change::Slice(slice(n).into()));
        }
    }
    engine.settle();
    let objects: Vec<_> = engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect();
    let kernel = Kernel::new(&engine.dataplane().render(&objects), engine.store().facts());
    let mut most = 0;
    for n in [0, 1, SERVICES / 2, SERVICES - 2, SERVICES - 1] {
        let vips = service(n).cluster_ips.into_iter().map(|ip| (ip, 80));
        let port = (NODE.parse().unwrap(), FIRST_NODE_PORT + n.min(NODE_PORTS - 1));
        for (ip, port) in vips.chain([port]) {
            most = most.max(kernel.walked(&packet(ip, port)).unwrap());
        }
    }
    assert!((60..=300).contains(&most), "{most} rules");
}

fn packet(ip: IpAddr, port: u16) -> Packet {
    let from = if ip.is_ipv4() { "203.0.113.2" } else { "2001:db8:5::5" };
    let from = from.parse().unwrap();
    Packet { from, interface: None, to: EndpointAddr { ip, port }, protocol: Protocol::Tcp }
}

fn name(n: u16) -> NamespacedName {
    NamespacedName::new("a", format!("s{n}"))
}

fn service(n: u16) -> Service {
    let node_port = if n < NODE_PORTS { FIRST_NODE_PORT + n } else { 0 };
    let v4 = Ipv4Addr::from(0x0a60_0001 + u32::from(n));
    let v6 = Ipv6Addr::from((0xfd00_0096 << 96) + 1 + u128::from(n));
    Service {
        name: name(n),
        kind: ServiceType::NodePort,
        cluster_ips: vec![v4.into(), v6.into()],
        ports: vec![ServicePort { name: "p".into(), protocol: Protocol::Tcp, port: 80, node_port }],
        ..Service::default()
    }
}

fn slice(n: u16) -> Slice {
    let ip = Ipv4Addr::from(0x0af4_0000 + u32::from(n)).into();
    let endpoint = Endpoint::new(ip);
    Slice {
        ports: vec![SlicePort { name: "p".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: vec![endpoint],
        ..Slice::new(name(n), name(n), IpFamily::V4)
    }
}
