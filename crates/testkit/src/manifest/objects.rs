//! One API object of each kind, from the table's short spelling.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::cases::{EndpointSpec, NodeConfig, PortSpec, ServiceSpec, SliceSpec};

const CREATED: &str = "2026-01-01T00:00:00Z";

/// A Service.
pub fn service(spec: &ServiceSpec) -> Value {
    let (namespace, name) = split_name(&spec.name);
    let ingress: Vec<Value> = spec
        .lb_ingress
        .iter()
        .map(|i| without_nulls(json!({ "ip": i.ip, "ipMode": i.ip_mode.map(|m| m.as_str()) })))
        .collect();
    let balancer = if ingress.is_empty() { json!({}) } else { json!({ "ingress": ingress }) };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": without_nulls(json!({
            "name": name,
            "namespace": namespace,
            "creationTimestamp": spec.created.as_deref().unwrap_or(CREATED),
            "annotations": Some(&spec.annotations).filter(|annotations| !annotations.is_empty()),
        })),
        "spec": service_spec(spec),
        "status": { "loadBalancer": balancer },
    })
}

fn service_spec(spec: &ServiceSpec) -> Value {
    let families: Vec<&str> = spec.cluster_ips.iter().map(|ip| family_name(*ip)).collect();
    let external_policy = spec.external_traffic_policy.or((spec.kind != "ClusterIP").then(Default::default));
    without_nulls(json!({
        "type": spec.kind,
        "clusterIP": spec.cluster_ips.first(),
        "clusterIPs": spec.cluster_ips,
        "ipFamilies": families,
        "ipFamilyPolicy": if families.len() > 1 { "PreferDualStack" } else { "SingleStack" },
        "externalIPs": non_empty(&spec.external_ips),
        "loadBalancerSourceRanges": non_empty(&spec.lb_source_ranges),
        "internalTrafficPolicy": spec.internal_traffic_policy.as_str(),
        "externalTrafficPolicy": external_policy.map(|p| p.as_str()),
        "healthCheckNodePort": spec.health_check_node_port,
        "allocateLoadBalancerNodePorts": allocates_node_ports(spec),
        "sessionAffinity": spec.session_affinity.as_deref().unwrap_or("None"),
        "sessionAffinityConfig": spec.affinity_timeout.map(|t| json!({ "clientIP": { "timeoutSeconds": t } })),
        "ports": spec.ports.iter().map(service_port).collect::<Vec<_>>(),
    }))
}

fn allocates_node_ports(spec: &ServiceSpec) -> Option<bool> {
    (spec.kind == "LoadBalancer").then(|| spec.ports.iter().any(|p| p.node_port.is_some()))
}

fn service_port(port: &PortSpec) -> Value {
    without_nulls(json!({
        "name": Some(&port.name).filter(|n| !n.is_empty()),
        "protocol": port.protocol.0.as_str().to_uppercase(),
        "port": port.port,
        "targetPort": port.port,
        "nodePort": port.node_port,
    }))
}

/// An EndpointSlice; its name is the Service's with a number.
pub fn slice(spec: &SliceSpec, number: usize) -> Value {
    let (namespace, service) = split_name(&spec.service);
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-{number}"),
            "namespace": namespace,
            "creationTimestamp": CREATED,
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": if spec.family == 6 { "IPv6" } else { "IPv4" },
        "ports": spec.ports.iter().map(slice_port).collect::<Vec<_>>(),
        "endpoints": spec.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn slice_port(port: &PortSpec) -> Value {
    json!({ "name": port.name, "protocol": port.protocol.0.as_str().to_uppercase(), "port": port.port })
}

fn endpoint(spec: &EndpointSpec) -> Value {
    let named = |names: &[String]| {
        non_empty(names).map(|n| n.iter().map(|n| json!({ "name": n })).collect::<Vec<_>>())
    };
    let hints =
        without_nulls(json!({ "forZones": named(&spec.zone_hints), "forNodes": named(&spec.node_hints) }));
    let conditions = json!({ "ready": spec.ready, "serving": spec.serving, "terminating": spec.terminating });
    without_nulls(json!({
        "addresses": [spec.ip],
        "conditions": without_nulls(conditions),
        "nodeName": spec.node,
        "hints": hints.as_object().filter(|h| !h.is_empty()),
    }))
}

/// The Node object of a case.
pub fn node(config: &NodeConfig) -> Value {
    let node = &config.node;
    node_object(&node.node_name, node.node_ip.iter(), &node.zone, &[])
}

/// A Node object; without a zone it has no label for one.
pub fn node_object(
    name: &str,
    addresses: impl IntoIterator<Item = IpAddr>,
    zone: &str,
    pod_cidrs: &[String],
) -> Value {
    let mut labels = json!({ "kubernetes.io/hostname": name });
    if !zone.is_empty() {
        labels["topology.kubernetes.io/zone"] = json!(zone);
    }
    let mut addresses: Vec<Value> =
        addresses.into_iter().map(|ip| json!({ "type": "InternalIP", "address": ip })).collect();
    addresses.push(json!({ "type": "Hostname", "address": name }));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "creationTimestamp": CREATED, "labels": labels },
        "spec": without_nulls(json!({ "podCIDR": pod_cidrs.first(), "podCIDRs": non_empty(pod_cidrs) })),
        "status": { "addresses": addresses },
    })
}

/// The ServiceCIDR of a case.
pub fn service_cidr(config: &NodeConfig) -> Value {
    service_cidr_object(&config.node.service_cidrs)
}

/// The ServiceCIDR that every cluster has.
pub fn service_cidr_object(cidrs: &[String]) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes", "creationTimestamp": CREATED },
        "spec": { "cidrs": cidrs },
    })
}

/// Splits `namespace/name`; a name alone is in `default`.
fn split_name(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or(("default", text))
}

fn family_name(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn non_empty<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

/// An API object has no field whose value is null: it has no such field.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{FlowTable, Mode, load_flows, table_path};

    fn table() -> FlowTable {
        load_flows(&table_path("flows.yaml")).unwrap()
    }

    #[test]
    fn a_service_has_what_the_api_has() {
        let table = table();
        let case = table.cases.iter().find(|c| c.id == "overall-mix").unwrap();
        let made = service(&case.services[4]);
        assert_eq!(made["metadata"]["namespace"], "ns5");
        assert_eq!(made["spec"]["loadBalancerSourceRanges"], json!([" 203.0.113.0/25"]));
        assert_eq!(made["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10800);
        assert_eq!(made["status"]["loadBalancer"], json!({ "ingress": [{ "ip": "5.6.7.8" }] }));
        assert_eq!(made["spec"]["ports"][0]["nodePort"], 3002);
        assert_eq!(made["spec"].get("externalIPs"), None);
    }

    #[test]
    fn conditions_only_where_given() {
        let table = table();
        let case = table.cases.iter().find(|c| c.id == "d-nodename-nil-is-not-local").unwrap();
        let made = slice(&case.endpoint_slices[0], 0);
        assert_eq!(made["endpoints"], json!([{ "addresses": ["10.180.0.1"], "conditions": {} }]));
        assert_eq!(made["metadata"]["labels"]["kubernetes.io/service-name"], "svc1");
    }

    #[test]
    fn the_node_has_no_zone_label_without_a_zone() {
        let table = table();
        let mut config = table.config(&table.cases[0], Mode::Nftables);
        assert_eq!(node(&config)["metadata"]["labels"].as_object().unwrap().len(), 1);
        config.node.zone = "a".to_owned();
        assert_eq!(node(&config)["metadata"]["labels"]["topology.kubernetes.io/zone"], "a");
    }
}
