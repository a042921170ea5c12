//! A 64-bit digest of what a change says, to tell a real change from a rewrite of the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use model::{Change, Endpoint, Node, Pod, Service, Slice};

/// The digest of an upsert: equal for equal objects. It is stable within one process only.
///
/// The structs are taken apart field by field, so that a new field in the model cannot be forgotten here.
pub fn fingerprint(change: &Change) -> u64 {
    let mut hasher = DefaultHasher::new();
    let into = &mut hasher;
    match change {
        Change::Service(value) => service(value, into),
        Change::Slice(value) => slice(value, into),
        Change::Node(value) => node(value, into),
        Change::Pod(value) => pod(value, into),
        Change::ServiceCidr { name, cidrs } => (name, cidrs).hash(into),
        Change::Namespace(name) => name.hash(into),
        other => format!("{other:?}").hash(into),
    }
    hasher.finish()
}

fn service(value: &Service, into: &mut DefaultHasher) {
    #[rustfmt::skip]
    let Service {
        name, created, kind, cluster_ips, external_ips, load_balancer_ips, source_ranges, internal_policy,
        external_policy, affinity_seconds, health_check_node_port, other_proxy, balance, ports,
    } = value;
    (name, created, *kind as u8, other_proxy, balance).hash(into);
    (cluster_ips, external_ips, load_balancer_ips, source_ranges).hash(into);
    (*internal_policy as u8, *external_policy as u8).hash(into);
    (affinity_seconds, health_check_node_port, ports.len()).hash(into);
    for port in ports {
        let model::ServicePort { name, protocol, port, node_port } = port;
        (name, protocol, port, node_port).hash(into);
    }
}

fn slice(value: &Slice, into: &mut DefaultHasher) {
    let Slice { name, service, family, ports, endpoints } = value;
    (name, service, family, ports.len()).hash(into);
    for port in ports {
        let model::SlicePort { name, protocol, port } = port;
        (name, protocol, port).hash(into);
    }
    endpoints.len().hash(into);
    endpoints.iter().for_each(|one| endpoint(one, into));
}

fn endpoint(value: &Endpoint, into: &mut DefaultHasher) {
    let Endpoint { ip, conditions, node, hints } = value;
    let model::Conditions { ready, serving, terminating } = conditions;
    (ip, ready, serving, terminating, node, hints.is_some()).hash(into);
    if let Some(hints) = hints {
        let model::Hints { zones, nodes } = &**hints;
        (zones, nodes).hash(into);
    }
}

fn node(value: &Node, into: &mut DefaultHasher) {
    let Node { name, addresses, pod_cidrs, zone, deleting, taints } = value;
    (name, addresses, pod_cidrs, zone, deleting, taints).hash(into);
}

fn pod(value: &Pod, into: &mut DefaultHasher) {
    let Pod { name, node, ips, host_network } = value;
    (name, node, ips, host_network).hash(into);
}
