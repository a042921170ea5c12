//! A cluster, as kube-proxy would program it and as towpath understands it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Change, Endpoint, IpFamily, NamespacedName, Service, ServicePort, ServiceType, Slice, SlicePort, Store,
    Touched, TrafficPolicy, parse_net,
};
use resolve::{Mode, ProxyConfig, resolve};
use testkit::kube_proxy::{Cluster, Port};
use towpath_shadow::{Expected, Programmed, compare, iptables};
use xtables::SavedTable;

const NODE: &str = "here";

/// What towpath makes of a cluster; Services are as old as their place in the list says.
pub fn expected(cluster: &Cluster, mode: Mode) -> Expected {
    let store = store(cluster);
    let config = ProxyConfig { mode, ..ProxyConfig::default() };
    let mut expected = Expected::new(mode);
    store.entries().for_each(|(name, _)| expected.add(&resolve(&store, &config, name)));
    expected
}

fn store(cluster: &Cluster) -> Store {
    let mut store = Store::new(NODE);
    let mut touched = Touched::default();
    let mut services: BTreeMap<NamespacedName, Service> = BTreeMap::new();
    for (i, port) in cluster.ports.iter().enumerate() {
        let name = name(port);
        let new = || Service { created: Some(i as i64), ..service(name.clone(), port) };
        add(services.entry(name.clone()).or_insert_with(new), port);
        store.apply(Change::Slice(Arc::new(slice(name, port))), &mut touched);
    }
    for service in services.into_values() {
        store.apply(Change::Service(Arc::new(service)), &mut touched);
    }
    store
}

fn name(port: &Port) -> NamespacedName {
    let (namespace, name) = port.service.split_once('/').unwrap();
    NamespacedName::new(namespace, name)
}

fn service(name: NamespacedName, port: &Port) -> Service {
    let policy = if port.external_local { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
    Service {
        name,
        kind: ServiceType::LoadBalancer,
        external_policy: policy,
        affinity_seconds: port.affinity,
        ports: vec![ServicePort {
            name: port.name.as_str().into(),
            protocol: port.protocol,
            port: port.cluster_ip.port(),
            node_port: port.node_port.unwrap_or(0),
        }],
        ..Service::default()
    }
}

/// The addresses of one family.
fn add(service: &mut Service, port: &Port) {
    service.cluster_ips.push(port.cluster_ip.ip());
    service.external_ips.extend(&port.external_ips);
    service.load_balancer_ips.extend(&port.load_balancer_ips);
    service.source_ranges.extend(port.source_ranges.iter().map(|range| parse_net(range).unwrap()));
}

fn slice(service: NamespacedName, port: &Port) -> Slice {
    let family = IpFamily::of(port.cluster_ip.ip());
    let endpoint = |endpoint: &testkit::kube_proxy::Endpoint| Endpoint {
        node: Some(if endpoint.local { NODE } else { "there" }.into()),
        ..Endpoint::new(endpoint.address.ip())
    };
    let target = port.endpoints.first().map_or(1, |endpoint| endpoint.address.port());
    Slice {
        ports: vec![SlicePort { name: port.name.as_str().into(), protocol: port.protocol, port: target }],
        endpoints: port.endpoints.iter().map(endpoint).collect(),
        ..Slice::new(
            NamespacedName::new(&*service.namespace, format!("{}-{family}", service.name)),
            service,
            family,
        )
    }
}

/// What is read of the text that kube-proxy would load, without a kernel between.
pub fn parsed(cluster: &Cluster) -> Programmed {
    let frontends = IpFamily::ALL.into_iter().flat_map(|family| {
        let text = cluster.iptables(family);
        iptables::parse(&table(&text, "nat"), &table(&text, "filter"), family)
    });
    let frontends = frontends.collect();
    Programmed { mode: Mode::Iptables, found: String::new(), consistent: true, frontends }
}

fn table(text: &str, name: &str) -> SavedTable {
    let text = text.split("COMMIT\n").find(|table| table.starts_with(&format!("*{name}\n")));
    SavedTable::parse(text.unwrap())
}

/// The differences between what kube-proxy has programmed and what towpath makes of a cluster, line by line.
pub fn lines(ours: &Cluster, programmed: &Programmed) -> Vec<String> {
    compare(&expected(ours, programmed.mode), programmed).iter().map(ToString::to_string).collect()
}

/// The example, as far as its texts are upstream's: of `default/away` they leave out the chain for the node's own
/// connections; `tests/fixtures.rs` has it.
pub fn example() -> Cluster {
    let mut cluster = Cluster::example();
    cluster.ports.retain(|port| port.service != "default/away");
    cluster
}

/// The IPv4 half of one Service.
pub fn port<'a>(cluster: &'a mut Cluster, service: &str) -> &'a mut Port {
    cluster.ports.iter_mut().find(|port| port.service == service && port.cluster_ip.is_ipv4()).unwrap()
}
