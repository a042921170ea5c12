//! Made-up clusters.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use model::{Change, Endpoint, IpFamily, NamespacedName, Protocol, Service, ServicePort, Slice, SlicePort};
use serde_json::{Value, json};

/// How large a cluster is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) services: u32,
    pub(crate) endpoints: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Services x {} endpoints", self.services, self.endpoints)
    }
}

/// ClusterIP of the n-th Service.
pub(crate) fn cluster_ip(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a60_0000 + n + 1)
}

/// Address of an endpoint: distinct for every Service and index below 64.
pub(crate) fn endpoint_ip(service: u32, index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1400_0000 + service * 64 + index)
}

/// Where an endpoint is: one in a hundred on this node, as on a node of a cluster with a hundred.
fn node(service: u32, index: u32) -> String {
    format!("node-{}", (service + index) % 100)
}

pub(crate) fn name(n: u32) -> NamespacedName {
    NamespacedName::new(format!("ns-{}", n % 50), format!("service-{n}"))
}

/// The n-th Service, as a change.
pub(crate) fn service(n: u32) -> Change {
    Change::Service(Arc::new(Service {
        name: name(n),
        created: Some(0),
        cluster_ips: vec![IpAddr::V4(cluster_ip(n))],
        ports: vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: 0 }],
        ..Service::default()
    }))
}

/// Its slice with these endpoints.
pub(crate) fn slice(n: u32, endpoints: impl Iterator<Item = u32>) -> Change {
    let endpoint =
        |index| Endpoint { node: Some(node(n, index).into()), ..Endpoint::new(endpoint_ip(n, index).into()) };
    Change::Slice(Arc::new(Slice {
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: endpoints.map(endpoint).collect(),
        ..Slice::new(
            NamespacedName::new(format!("ns-{}", n % 50), format!("service-{n}-abcde")),
            name(n),
            IpFamily::V4,
        )
    }))
}

/// A whole cluster, slices after Services.
pub(crate) fn cluster(size: Size) -> Vec<Change> {
    let slices = (0..size.services).map(|n| slice(n, 0..size.endpoints));
    (0..size.services).map(service).chain(slices).collect()
}

/// The n-th Service as the API prints it.
pub(crate) fn service_json(n: u32) -> Value {
    let name = name(n);
    let ip = cluster_ip(n).to_string();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": &*name.namespace, "name": &*name.name, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 }]
        }
    })
}

/// Its slice as the API prints it.
pub(crate) fn slice_json(n: u32, endpoints: impl Iterator<Item = u32>) -> Value {
    let name = name(n);
    let endpoint = |index: u32| {
        json!({
            "addresses": [endpoint_ip(n, index).to_string()],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": node(n, index),
            "targetRef": { "kind": "Pod", "namespace": &*name.namespace, "name": format!("{}-{index}", name.name) }
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": &*name.namespace, "name": format!("{}-abcde", name.name),
            "labels": { "kubernetes.io/service-name": &*name.name }
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints.map(endpoint).collect::<Vec<_>>()
    })
}
