//! Node, ServiceCIDR and Pod -> their model values.

use ipnet::IpNet;
use model::{Interner, NamespacedName, Node, Pod};

use super::field::{self, FieldError};
use super::types;

/// Converts a Node. Addresses that are no IP address are left out and reported in `warnings`.
pub(super) fn node(
    name: &NamespacedName,
    object: &types::Node,
    names: &mut Interner,
    warnings: &mut Vec<FieldError>,
) -> Node {
    let metadata = object.metadata.as_ref();
    let labels = metadata.and_then(|m| m.labels.as_ref());
    let taints = object.spec.iter().flat_map(|s| &s.taints).flatten();
    Node {
        name: names.get(&name.name),
        addresses: field::addresses(node_addresses(object), warnings),
        pod_cidrs: pod_cidrs(object, warnings),
        zone: field::shared(labels.and_then(|l| l.zone.as_ref()), names),
        deleting: metadata.is_some_and(|m| m.deletion_timestamp.is_some()),
        taints: taints.filter_map(|taint| field::shared(taint.key.as_ref(), names)).collect(),
    }
}

/// Every InternalIP, then every ExternalIP, with their paths; host names are no addresses.
fn node_addresses(object: &types::Node) -> Vec<(String, &str)> {
    let of_kind = |kind: &'static str| {
        let list = object.status.iter().flat_map(|s| &s.addresses).flatten().enumerate();
        list.filter(move |(_, entry)| entry.kind.as_deref() == Some(kind)).map(|(i, entry)| {
            (format!("status.addresses[{i}].address"), entry.address.as_deref().unwrap_or_default())
        })
    };
    of_kind("InternalIP").chain(of_kind("ExternalIP")).collect()
}

fn pod_cidrs(object: &types::Node, warnings: &mut Vec<FieldError>) -> Vec<IpNet> {
    let Some(spec) = &object.spec else {
        return Vec::new();
    };
    let mut texts: Vec<_> = field::entries("spec.podCIDRs", spec.pod_cidrs.as_ref()).collect();
    if texts.is_empty() {
        let single = spec.pod_cidr.as_deref().filter(|text| !text.is_empty());
        texts.extend(single.map(|text| ("spec.podCIDR".to_owned(), text)));
    }
    field::networks(texts, warnings)
}

/// The CIDRs of a ServiceCIDR.
pub(super) fn service_cidrs(object: &types::ServiceCidr, warnings: &mut Vec<FieldError>) -> Vec<IpNet> {
    let cidrs = object.spec.as_ref().and_then(|s| s.cidrs.as_ref());
    field::networks(field::entries("spec.cidrs", cidrs), warnings)
}

/// Converts a Pod.
pub(super) fn pod(
    name: NamespacedName,
    object: &types::Pod,
    names: &mut Interner,
    warnings: &mut Vec<FieldError>,
) -> Pod {
    let spec = object.spec.as_ref();
    Pod {
        name,
        node: field::shared(spec.and_then(|s| s.node_name.as_ref()), names),
        ips: field::addresses(pod_addresses(object), warnings),
        host_network: spec.and_then(|s| s.host_network).unwrap_or(false),
    }
}

/// `status.podIPs`, or `status.podIP` where that list is empty.
fn pod_addresses(object: &types::Pod) -> Vec<(String, &str)> {
    let Some(status) = &object.status else {
        return Vec::new();
    };
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let list = status.pod_ips.iter().flatten().enumerate().filter(|(_, entry)| given(&entry.ip));
    let mut texts: Vec<_> = list
        .map(|(i, entry)| (format!("status.podIPs[{i}].ip"), entry.ip.as_deref().unwrap_or_default()))
        .collect();
    if texts.is_empty() && given(&status.pod_ip) {
        texts.extend(status.pod_ip.as_deref().map(|text| ("status.podIP".to_owned(), text)));
    }
    texts
}
