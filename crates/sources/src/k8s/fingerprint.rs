//! A 64-bit digest of what a change says, to tell a real change from a rewrite of the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use model::{Change, Endpoint, ImportSlice, Node, Pod, Service, ServiceImport, ServicePort, Slice};

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
        Change::Namespace(value) => {
            let model::Namespace { name, labels } = &**value;
            (name, labels).hash(into);
        }
        Change::ServiceImport(value) => import(value, into),
        Change::ImportSlice(value) => import_slice(value, into),
        other => format!("{other:?}").hash(into),
    }
    hasher.finish()
}

fn service(value: &Service, into: &mut DefaultHasher) {
    #[rustfmt::skip]
    let Service {
        name, created, kind, cluster_ips, headless, external_name, external_ips, load_balancer_ips, load_balancer_hosts,
        source_ranges, internal_policy, external_policy, affinity_seconds, health_check_node_port, drain_deadline,
        other_proxy, balance,
        prefer_local, no_local, strict_source_ranges, ports: list, labels,
    } = value;
    (name, created, *kind as u8, other_proxy, balance).hash(into);
    (cluster_ips, external_ips, load_balancer_ips, source_ranges).hash(into);
    (*internal_policy as u8, *external_policy as u8).hash(into);
    drain_deadline.hash(into);
    (headless, external_name, load_balancer_hosts, labels).hash(into);
    (affinity_seconds, health_check_node_port, prefer_local, no_local, strict_source_ranges).hash(into);
    ports(list, into);
}

fn ports(list: &[ServicePort], into: &mut DefaultHasher) {
    list.len().hash(into);
    for port in list {
        let ServicePort { name, protocol, port, node_port } = port;
        (name, protocol, port, node_port).hash(into);
    }
}

fn import(value: &ServiceImport, into: &mut DefaultHasher) {
    let ServiceImport { name, headless, ips, ports: list, labels } = value;
    (name, headless, ips, labels).hash(into);
    ports(list, into);
}

fn import_slice(value: &ImportSlice, into: &mut DefaultHasher) {
    let ImportSlice { slice: own, import, cluster, for_service } = value;
    (import, cluster, for_service).hash(into);
    slice(own, into);
}

fn slice(value: &Slice, into: &mut DefaultHasher) {
    let Slice { name, service, family, ports, endpoints, labels } = value;
    (name, service, family, labels, ports.len()).hash(into);
    for port in ports {
        let model::SlicePort { name, protocol, port } = port;
        (name, protocol, port).hash(into);
    }
    endpoints.len().hash(into);
    endpoints.iter().for_each(|one| endpoint(one, into));
}

fn endpoint(value: &Endpoint, into: &mut DefaultHasher) {
    let Endpoint { ip, conditions, node, hints, dns } = value;
    let model::Conditions { ready, serving, terminating } = conditions;
    (ip, ready, serving, terminating, node, dns, hints.is_some()).hash(into);
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
    let Pod { name, node, ips, host_network, terminating, finished, dns_opt_out, dns } = value;
    (name, node, ips, host_network, terminating, finished, dns_opt_out, dns.is_some()).hash(into);
    if let Some(dns) = dns {
        let model::PodDns { policy, searches, ndots } = &**dns;
        (policy, searches, ndots).hash(into);
    }
}
