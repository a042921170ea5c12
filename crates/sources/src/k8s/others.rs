//! Node and ServiceCIDR -> their model values.

use ipnet::IpNet;
use model::{Interner, NamespacedName, Node};

use super::field::{self, FieldError};
use super::{labels, types};

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
        zone: field::shared(labels.and_then(|l| l.get(labels::ZONE)), names),
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
