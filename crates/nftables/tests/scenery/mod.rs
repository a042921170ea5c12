//! Small clusters as the store takes them, and engines that know them.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::IpAddr;
use std::sync::Arc;

use dataplane::Engine;
use model::{
    Change, Conditions, Endpoint, IpFamily, NamespacedName, Node, Service, ServicePort, ServiceType, Slice,
    SlicePort, Store, TrafficPolicy, parse_net,
};
use resolve::{DetectLocal, Mode, ProxyConfig};
use testkit::cases::{EndpointSpec, PortSpec, ServiceSpec, SliceSpec};
use testkit::scene::{NODE_NAME, Scene};
use towpath_nftables::{Nftables, Style};

/// The node's addresses, as its kernel has them.
pub const NODE_IPS: [&str; 6] = ["127.0.0.1", "::1", "192.168.0.2", "192.168.9.2", "fd00:192::2", "fe80::2"];

/// A ClusterIP with a NodePort; a load balancer of policy Local with limited sources, and endpoints here and elsewhere; one
/// whose endpoints are all here, at an address of the node too; one without endpoints.
pub const SCENE: &str = "
services:
- name: a/web
  type: NodePort
  cluster_ips: [10.96.0.20, 'fd00:96::20']
  ports: [{name: http, port: 80, node_port: 30080}]
- name: a/shop
  type: LoadBalancer
  cluster_ips: [10.96.0.30, 'fd00:96::30']
  lb_ingress: [{ip: 198.51.100.7}, {ip: '2001:db8:f::7'}]
  lb_source_ranges: [203.0.113.0/25, '2001:db8:1::/64']
  external_traffic_policy: Local
  health_check_node_port: 32000
  ports: [{name: http, port: 443, node_port: 30443}]
- name: a/here
  type: NodePort
  cluster_ips: [10.96.0.40, 'fd00:96::40']
  external_ips: [198.51.100.9, 192.168.9.2, '2001:db8:f::9']
  external_traffic_policy: Local
  ports: [{name: http, port: 81, node_port: 30081}]
- name: a/idle
  type: NodePort
  cluster_ips: [10.96.0.50, 'fd00:96::50']
  external_ips: [198.51.100.9]
  ports: [{name: http, port: 82, protocol: udp, node_port: 30082}]
slices:
- service: a/web
  ports: &ports [{name: http, port: 8080}]
  endpoints: [{ip: 10.244.0.5, node: test-node}, {ip: 10.244.1.7, node: other}]
- service: a/web
  family: 6
  ports: *ports
  endpoints: [{ip: 'fd00:244::5', node: test-node}, {ip: 'fd00:244:1::7', node: other}]
- service: a/shop
  ports: *ports
  endpoints: [{ip: 10.244.0.6, node: test-node}, {ip: 10.244.1.8, node: other}]
- service: a/shop
  family: 6
  ports: *ports
  endpoints: [{ip: 'fd00:244::6', node: test-node}, {ip: 'fd00:244:1::8', node: other}]
- service: a/here
  ports: *ports
  endpoints: [{ip: 10.244.0.9, node: test-node}]
- service: a/here
  family: 6
  ports: *ports
  endpoints: [{ip: 'fd00:244::9', node: test-node}]
";

/// An engine that knows a scene and has not programmed it yet.
pub fn engine(text: &str, dataplane: Nftables) -> Engine<Nftables> {
    let nets = ["10.244.0.0/16", "fd00:244::/32"].map(|net| parse_net(net).unwrap());
    let mode = if dataplane.style() == Style::Ipvs { Mode::Ipvs } else { Mode::Nftables };
    let config =
        ProxyConfig { mode, detect_local: DetectLocal::ClusterCidr(nets.to_vec()), ..ProxyConfig::default() };
    let mut engine = Engine::new(Store::new(NODE_NAME), config, dataplane, &[]);
    changes(&Scene::parse(text).unwrap()).into_iter().for_each(|change| engine.handle(change));
    engine
}

/// These addresses of the kernel.
pub fn addresses(ips: &[&str]) -> Change {
    Change::KernelAddresses(ips.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn changes(scene: &Scene) -> Vec<Change> {
    let primary: Vec<IpAddr> = ["192.168.0.2", "fd00:192::2"].map(|ip| ip.parse().unwrap()).to_vec();
    let node = Node { name: NODE_NAME.into(), addresses: primary, ..Node::default() };
    let cidrs = ["10.96.0.0/16", "fd00:96::/112"].map(|net| parse_net(net).unwrap()).to_vec();
    let mut all = vec![
        Change::Node(Box::new(node)),
        Change::ServiceCidr { name: "kubernetes".into(), cidrs },
        addresses(&NODE_IPS),
    ];
    all.extend(scene.services.iter().map(|spec| Change::Service(service(spec).into())));
    all.extend(scene.slices.iter().zip(0..).map(|(spec, n)| Change::Slice(slice(spec, n).into())));
    all
}

fn name(text: &str) -> NamespacedName {
    let (namespace, name) = text.split_once('/').unwrap();
    NamespacedName::new(namespace, name)
}

/// A Service.
pub fn service(spec: &ServiceSpec) -> Service {
    let kind = match spec.kind.as_str() {
        "LoadBalancer" => ServiceType::LoadBalancer,
        "NodePort" => ServiceType::NodePort,
        _ => ServiceType::ClusterIp,
    };
    let port = |port: &PortSpec| ServicePort {
        name: port.name.as_str().into(),
        protocol: port.protocol.0,
        port: port.port,
        node_port: port.node_port.unwrap_or(0),
    };
    Service {
        name: name(&spec.name),
        kind,
        cluster_ips: spec.cluster_ips.clone(),
        external_ips: spec.external_ips.clone(),
        load_balancer_ips: spec.lb_ingress.iter().map(|ingress| ingress.ip).collect(),
        source_ranges: spec.lb_source_ranges.iter().map(|net| parse_net(net).unwrap()).collect(),
        internal_policy: TrafficPolicy::from(spec.internal_traffic_policy),
        external_policy: TrafficPolicy::from(spec.external_traffic_policy.unwrap_or_default()),
        affinity_seconds: spec.session_affinity.as_ref().map(|_| spec.affinity_timeout.unwrap_or(10_800)),
        health_check_node_port: spec.health_check_node_port.unwrap_or(0),
        ports: spec.ports.iter().map(port).collect(),
        ..Service::default()
    }
}

fn slice(spec: &SliceSpec, n: usize) -> Slice {
    let service = name(&spec.service);
    let endpoint = |e: &EndpointSpec| Endpoint {
        conditions: Conditions { ready: true, serving: true, terminating: false },
        node: e.node.as_deref().map(Arc::from),
        ..Endpoint::new(e.ip)
    };
    let port =
        |p: &PortSpec| SlicePort { name: p.name.as_str().into(), protocol: p.protocol.0, port: p.port };
    Slice {
        ports: spec.ports.iter().map(port).collect(),
        endpoints: spec.endpoints.iter().map(endpoint).collect(),
        ..Slice::new(
            NamespacedName::new(service.namespace.clone(), format!("slice-{n}")),
            service,
            if spec.family == 6 { IpFamily::V6 } else { IpFamily::V4 },
        )
    }
}
