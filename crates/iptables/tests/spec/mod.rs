//! The Services, slices and nodes of `cases/flows.yaml` as the store takes them.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use model::{
    Change, Conditions, Endpoint, Hints, IpFamily, NamespacedName, NoLocal, Node, Service, ServicePort,
    ServiceType, Slice, SlicePort, TrafficPolicy, parse_net,
};
use resolve::{DetectLocal, Mode, NodePortSelector, ProxyConfig};
use testkit::cases::{FlowCase, IpMode, NodeConfig, Policy, ServiceSpec, SliceSpec};

/// `namespace/name`.
pub fn name(text: &str) -> NamespacedName {
    let (namespace, name) = text.split_once('/').unwrap();
    NamespacedName::new(namespace, name)
}

fn nets(texts: &[String]) -> Vec<IpNet> {
    texts.iter().map(|text| parse_net(text).unwrap()).collect()
}

/// What the flags of a case mean.
pub fn proxy_config(config: &NodeConfig) -> ProxyConfig {
    let node = &config.node;
    ProxyConfig {
        mode: Mode::Iptables,
        detect_local: DetectLocal::ClusterCidr(nets(&node.local_pod_cidrs)),
        masquerade_all: node.masquerade_all,
        nodeport_addresses: nets(&config.nodeport_addresses).into_iter().map(NodePortSelector::Net).collect(),
        localhost_nodeports: node.localhost_nodeports,
        ..ProxyConfig::default()
    }
}

/// Everything of a case but its slices.
pub fn setting(case: &FlowCase, config: &NodeConfig) -> Vec<Change> {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let node = Node {
        name: config.node.node_name.as_str().into(),
        addresses: config.node.node_ip.iter().collect(),
        zone: (!config.node.zone.is_empty()).then(|| config.node.zone.as_str().into()),
        ..Node::default()
    };
    let cidrs = nets(&config.node.service_cidrs);
    let addresses = loopback.into_iter().chain(config.node.node_ips.iter().copied());
    let node = [
        Change::Node(Box::new(node)),
        Change::ServiceCidr { name: "kubernetes".into(), cidrs },
        Change::KernelAddresses(addresses.collect()),
    ];
    node.into_iter().chain(case.services.iter().map(|spec| Change::Service(service(spec).into()))).collect()
}

/// A Service.
pub fn service(spec: &ServiceSpec) -> Service {
    let kind = match spec.kind.as_str() {
        "ClusterIP" => ServiceType::ClusterIp,
        "NodePort" => ServiceType::NodePort,
        "LoadBalancer" => ServiceType::LoadBalancer,
        other => panic!("{other}"),
    };
    let policy = |policy: Policy| TrafficPolicy::from(policy);
    let vips = spec.lb_ingress.iter().filter(|ingress| ingress.ip_mode != Some(IpMode::Proxy));
    let sticky = spec.session_affinity.as_deref() == Some("ClientIP");
    Service {
        name: name(&spec.name),
        created: spec.created.as_ref().map(|text| digits(text)),
        kind,
        cluster_ips: spec.cluster_ips.clone(),
        external_ips: spec.external_ips.clone(),
        load_balancer_ips: vips.map(|ingress| ingress.ip).collect(),
        source_ranges: nets(&spec.lb_source_ranges),
        internal_policy: policy(spec.internal_traffic_policy),
        external_policy: policy(spec.external_traffic_policy.unwrap_or_default()),
        affinity_seconds: sticky.then(|| spec.affinity_timeout.unwrap_or(10_800)),
        health_check_node_port: spec.health_check_node_port.unwrap_or(0),
        strict_source_ranges: says(spec, "strict-source-ranges", "true"),
        prefer_local: says(spec, "prefer-local", "true"),
        no_local: if says(spec, "no-local", "reject") { NoLocal::Reject } else { NoLocal::Drop },
        ports: spec.ports.iter().map(service_port).collect(),
        ..Service::default()
    }
}

/// Whether an annotation of ours has this value.
fn says(spec: &ServiceSpec, annotation: &str, value: &str) -> bool {
    spec.annotations.get(&format!("towpath.dev/{annotation}")).is_some_and(|found| found == value)
}

/// A number that grows with the time.
fn digits(time: &str) -> i64 {
    time.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

fn service_port(port: &testkit::cases::PortSpec) -> ServicePort {
    ServicePort {
        name: port.name.as_str().into(),
        protocol: port.protocol.0,
        port: port.port,
        node_port: port.node_port.unwrap_or(0),
    }
}

/// The n-th slice of a world.
pub fn slice(spec: &SliceSpec, n: usize) -> Slice {
    let service = name(&spec.service);
    let list = |texts: &[String]| texts.iter().map(|text| Arc::from(text.as_str())).collect::<Vec<_>>();
    let endpoint = |e: &testkit::cases::EndpointSpec| Endpoint {
        conditions: Conditions {
            ready: e.ready.unwrap_or(true),
            serving: e.serving.unwrap_or(true),
            terminating: e.terminating.unwrap_or(false),
        },
        node: e.node.as_deref().map(Arc::from),
        hints: (!e.zone_hints.is_empty() || !e.node_hints.is_empty())
            .then(|| Box::new(Hints { zones: list(&e.zone_hints), nodes: list(&e.node_hints) })),
        ..Endpoint::new(e.ip)
    };
    let port = |p: &testkit::cases::PortSpec| SlicePort {
        name: p.name.as_str().into(),
        protocol: p.protocol.0,
        port: p.port,
    };
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

/// What makes `specs` of `before` slices.
pub fn slices(before: &[SliceSpec], specs: &[SliceSpec]) -> Vec<Change> {
    let now: Vec<Slice> = specs.iter().zip(0..).map(|(spec, n)| slice(spec, n)).collect();
    let old = before.iter().zip(0..).map(|(spec, n)| slice(spec, n).name);
    let gone: Vec<_> = old.filter(|name| now.iter().all(|slice| slice.name != *name)).collect();
    let gone = gone.into_iter().map(Change::SliceGone);
    now.into_iter().map(|slice| Change::Slice(slice.into())).chain(gone).collect()
}
