//! [`model::Change`] -> Kubernetes JSON with just the fields that are read: the way back of [`super::decode`].

use std::fmt::Display;

use model::{
    Change, Endpoint, ImportSlice, Labels, Namespace, Node, Service, ServiceImport, ServicePort, ServiceType,
    Slice, TrafficPolicy,
};
use serde_json::{Map, Value, json};

use super::time::rfc3339;
use super::{Kind, labels, pod};

/// The object of an upsert, such that decoding it gives the same upsert; `None` for any other change.
pub fn encode(change: &Change) -> Option<Value> {
    match change {
        Change::Service(value) => Some(service(value)),
        Change::Slice(value) => Some(slice(value, json!({labels::SERVICE_NAME: value.service.name}))),
        Change::ImportSlice(value) => Some(import_slice(value)),
        Change::ServiceImport(value) => Some(import(value)),
        Change::Node(value) => Some(node(value)),
        Change::ServiceCidr { name, cidrs } => {
            let spec = json!({"cidrs": texts(cidrs)});
            Some(object(Kind::ServiceCidr, &json!({"name": name}), [("spec", spec)]))
        }
        Change::Namespace(value) => Some(namespace(value)),
        Change::Pod(value) => Some(pod::encode(value)),
        _ => None,
    }
}

pub(super) fn object<const N: usize>(kind: Kind, metadata: &Value, parts: [(&str, Value); N]) -> Value {
    let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": metadata});
    parts.into_iter().for_each(|(name, part)| object[name] = part);
    without_nothing(object)
}

/// Leaves out what is `null` or empty, but for empty texts: an absent field reads the same.
fn without_nothing(value: Value) -> Value {
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => {
            let parts = map.into_iter().map(|(name, part)| (name, without_nothing(part)));
            Value::Object(parts.filter(|(_, part)| !is_nothing(part)).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nothing).collect()),
        other => other,
    }
}

fn texts(list: &[impl Display]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn service(value: &Service) -> Value {
    #[rustfmt::skip]
    let Service {
        name, created, kind, cluster_ips, headless, external_name, external_ips, load_balancer_ips, load_balancer_hosts,
        source_ranges, internal_policy, external_policy, affinity_seconds, health_check_node_port, drain_deadline,
        other_proxy, balance,
        prefer_local, no_local, strict_source_ranges, ports, labels,
    } = value;
    let metadata = json!({
        "name": name.name,
        "namespace": name.namespace,
        "creationTimestamp": created.map(rfc3339),
        "labels": with(labels, other_proxy.then(|| json!({labels::PROXY_NAME: "other"})).unwrap_or_default()),
        "annotations": {
            "towpath.dev/drain-deadline": drain_deadline.map(super::drain::text),
            "towpath.dev/scheduler": balance.scheduler.map(model::Scheduler::as_str),
            "towpath.dev/weights": weights(balance),
            "towpath.dev/prefer-local": prefer_local.then_some("true"),
            "towpath.dev/strict-source-ranges": strict_source_ranges.then_some("true"),
            "towpath.dev/no-local": (*no_local == model::NoLocal::Reject).then_some("reject"),
        },
    });
    let spec = json!({
        "type": service_type(*kind),
        "clusterIP": headless.then_some("None"),
        "externalName": external_name,
        "clusterIPs": texts(cluster_ips),
        "externalIPs": texts(external_ips),
        "loadBalancerSourceRanges": texts(source_ranges),
        "internalTrafficPolicy": policy(*internal_policy),
        "externalTrafficPolicy": policy(*external_policy),
        "sessionAffinity": affinity_seconds.map(|_| "ClientIP"),
        "sessionAffinityConfig": affinity_seconds.map(|s| json!({"clientIP": {"timeoutSeconds": s}})),
        "healthCheckNodePort": Some(health_check_node_port).filter(|port| **port != 0),
        "ports": service_ports(ports),
    });
    let ingress = load_balancer_ips.iter().map(|ip| json!({"ip": ip.to_string()}));
    let ingress = ingress.chain(load_balancer_hosts.iter().map(|host| json!({"hostname": host})));
    let status = json!({"loadBalancer": {"ingress": ingress.collect::<Vec<_>>()}});
    object(Kind::Service, &metadata, [("spec", spec), ("status", status)])
}

fn service_ports(list: &[ServicePort]) -> Value {
    let one = |port: &ServicePort| {
        let node_port = Some(port.node_port).filter(|port| *port != 0);
        json!({"name": port.name, "protocol": upper(port.protocol), "port": port.port, "nodePort": node_port})
    };
    list.iter().map(one).collect()
}

/// Labels, and those that are kept elsewhere, of which the ones that are there win.
fn with(labels: &Labels, mut others: Value) -> Value {
    labels.iter().for_each(|(key, value)| others[key] = value.into());
    others
}

fn namespace(value: &Namespace) -> Value {
    let Namespace { name, labels } = value;
    object(Kind::Namespace, &json!({"name": name, "labels": with(labels, Value::Null)}), [])
}

fn import(value: &ServiceImport) -> Value {
    let ServiceImport { name, headless, ips, ports, labels } = value;
    let labels = with(labels, Value::Null);
    let metadata = json!({"name": name.name, "namespace": name.namespace, "labels": labels});
    let kind = if *headless { "Headless" } else { "ClusterSetIP" };
    let spec = json!({"type": kind, "ips": texts(ips), "ports": service_ports(ports)});
    object(Kind::ServiceImport, &metadata, [("spec", spec)])
}

fn import_slice(value: &ImportSlice) -> Value {
    let ImportSlice { slice: own, import, cluster, for_service } = value;
    let service = for_service.then_some(&own.service.name);
    let known = [(labels::SERVICE_NAME, service), (labels::IMPORT_NAME, Some(&import.name))];
    let known =
        known.into_iter().chain([(labels::IMPORT_CLUSTER, Some(cluster).filter(|name| !name.is_empty()))]);
    slice(own, known.map(|(key, value)| (key.to_owned(), json!(value))).collect())
}

/// The annotation's text; `None` where nothing is said.
fn weights(balance: &model::Balance) -> Option<String> {
    let entries: Vec<String> =
        balance.weights.iter().map(|(net, weight)| format!("{net}={weight}")).collect();
    (!entries.is_empty()).then(|| entries.join(", "))
}

fn service_type(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::ExternalName => "ExternalName",
    }
}

/// `None` for the default.
fn policy(policy: TrafficPolicy) -> Option<&'static str> {
    (policy == TrafficPolicy::Local).then_some("Local")
}

fn upper(protocol: model::Protocol) -> String {
    protocol.as_str().to_uppercase()
}

/// A slice, and the labels that say what it belongs to.
fn slice(value: &Slice, belongs: Value) -> Value {
    let Slice { name, service: _, family, ports, endpoints, labels } = value;
    let labels = with(labels, belongs);
    let metadata = json!({"name": name.name, "namespace": name.namespace, "labels": labels});
    let ports = ports
        .iter()
        .map(|port| json!({"name": port.name, "protocol": upper(port.protocol), "port": port.port}));
    let parts = [
        ("addressType", json!(family.to_string())),
        ("ports", ports.collect()),
        ("endpoints", endpoints.iter().map(endpoint).collect()),
    ];
    object(Kind::EndpointSlice, &metadata, parts)
}

fn endpoint(value: &Endpoint) -> Value {
    let Endpoint { ip, conditions, node, hints, dns: _ } = value;
    let default = model::Conditions::default();
    let unless = |value: bool, usual: bool| (value != usual).then_some(value);
    let named =
        |list: &[std::sync::Arc<str>]| list.iter().map(|name| json!({"name": name})).collect::<Value>();
    json!({
        "addresses": [ip.to_string()],
        "conditions": {
            "ready": unless(conditions.ready, default.ready),
            "serving": unless(conditions.serving, default.serving),
            "terminating": unless(conditions.terminating, default.terminating),
        },
        "nodeName": node,
        "hostname": value.hostname(),
        "zone": value.zone(),
        "targetRef": value.pod().map(|name| json!({"kind": "Pod", "name": name})),
        "hints": hints.as_ref().map(|h| json!({"forZones": named(&h.zones), "forNodes": named(&h.nodes)})),
    })
}

fn node(value: &Node) -> Value {
    let Node { name, addresses, pod_cidrs, zone, deleting, taints } = value;
    let metadata = json!({
        "name": name,
        "labels": zone.as_ref().map(|zone| json!({"topology.kubernetes.io/zone": zone})),
        // Only that it is being deleted is known, not since when.
        "deletionTimestamp": deleting.then(|| rfc3339(0)),
    });
    let taints: Value = taints.iter().map(|key| json!({"key": key})).collect();
    let address = |ip: &std::net::IpAddr| json!({"type": "InternalIP", "address": ip.to_string()});
    let addresses: Value = addresses.iter().map(address).collect();
    let spec = json!({"podCIDRs": texts(pod_cidrs), "taints": taints});
    object(Kind::Node, &metadata, [("spec", spec), ("status", json!({"addresses": addresses}))])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::k8s::{Decoder, Kept, decode};

    fn there_and_back(kind: Kind, text: &str) {
        let first = decode(kind, text, &mut Decoder::new(Kept::ALL)).unwrap();
        let Some(change) = first.change else { return };
        let encoded = encode(&change).unwrap().to_string();
        let again = decode(kind, &encoded, &mut Decoder::new(Kept::ALL)).unwrap();
        assert_eq!((again.change, again.warnings), (Some(change), vec![]), "{encoded}");
    }

    #[test]
    fn what_is_encoded_decodes_the_same() {
        for (kind, list) in [
            (Kind::Service, include_str!("../../tests/data/services.json")),
            (Kind::EndpointSlice, include_str!("../../tests/data/slices.json")),
            (Kind::Node, include_str!("../../tests/data/nodes.json")),
            (Kind::ServiceCidr, include_str!("../../tests/data/servicecidrs.json")),
        ] {
            let list: Value = serde_json::from_str(list).unwrap();
            list["items"].as_array().unwrap().iter().for_each(|item| there_and_back(kind, &item.to_string()));
        }
        let named = json!({"name": "a", "namespace": "n", "deletionTimestamp": "2026-11-21T13:06:07Z",
            "labels": {"kubernetes.io/service-name": "s", "service.kubernetes.io/service-proxy-name": ""}});
        for (kind, object) in [
            (Kind::Namespace, json!({})),
            (Kind::Node, json!({})),
            (
                Kind::Service,
                json!({"spec": {"clusterIP": "None", "ports": [{"port": 1, "protocol": "SCTP"}]}}),
            ),
            (Kind::Service, json!({"spec": {"type": "ExternalName"}})),
            (
                Kind::Service,
                json!({"spec": {
                "clusterIPs": ["fd00::1", "10.0.0.1"], "externalIPs": ["192.0.2.1"], "type": "LoadBalancer",
                "sessionAffinity": "ClientIP", "internalTrafficPolicy": "Local", "healthCheckNodePort": 3,
                "externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["10.0.0.0/8", "::/0"]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"ip": "2001:db8::9"}]}}}),
            ),
            (
                Kind::EndpointSlice,
                json!({"addressType": "IPv6", "ports": [{"port": 5}, {"name": "x", "port": 6}],
                "endpoints": [
                    {"addresses": ["fd00::5"], "nodeName": "n", "hints": {"forNodes": [{"name": "n"}]}},
                    {"addresses": ["fd00::6"], "conditions": {"ready": false, "serving": true}},
                    {"addresses": ["fd00::7"], "conditions": {"serving": false, "terminating": true},
                     "hints": {"forZones": [{"name": "z"}, {"name": "y"}]}}]}),
            ),
        ] {
            let mut object = object;
            object["metadata"] = named.clone();
            there_and_back(kind, &object.to_string());
        }
    }

    #[test]
    fn strict_ranges_decode_the_same() {
        let annotations = json!({"towpath.dev/strict-source-ranges": "true"});
        let spec = json!({"clusterIP": "10.96.0.1", "type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "ports": [{"port": 80, "nodePort": 30080}]});
        let object =
            json!({"metadata": {"name": "a", "namespace": "n", "annotations": annotations}, "spec": spec});
        there_and_back(Kind::Service, &object.to_string());
    }

    #[test]
    fn annotations_decode_the_same() {
        for annotations in [
            json!({"towpath.dev/prefer-local": "true"}),
            json!({"towpath.dev/no-local": "reject"}),
            json!({"towpath.dev/scheduler": "lc"}),
            json!({"towpath.dev/weights": "10.244.1.5=3, 10.244.2.0/24=2, fd00::/64=65535, fd00::7=1"}),
            json!({"towpath.dev/scheduler": "twos", "towpath.dev/weights": "0.0.0.0/0=9", "other": "x"}),
        ] {
            let object = json!({"metadata": {"name": "a", "namespace": "n", "annotations": annotations},
                "spec": {"clusterIP": "10.96.0.1"}});
            let first = decode(Kind::Service, &object.to_string(), &mut Decoder::new(Kept::ALL)).unwrap();
            let Some(Change::Service(service)) = &first.change else { panic!("{first:?}") };
            let plain = Service {
                name: service.name.clone(),
                cluster_ips: service.cluster_ips.clone(),
                ..Service::default()
            };
            assert_ne!(**service, plain, "{object}");
            there_and_back(Kind::Service, &object.to_string());
        }
    }

    #[test]
    fn a_drain_deadline_decodes_the_same() {
        for deadline in ["0s", "1m30.000000001s", "24h"] {
            let object = json!({"metadata": {"name": "a", "namespace": "n",
                "annotations": {"towpath.dev/drain-deadline": deadline}}, "spec": {"clusterIP": "10.96.0.1"}});
            let first = decode(Kind::Service, &object.to_string(), &mut Decoder::new(Kept::ALL)).unwrap();
            let Some(Change::Service(service)) = &first.change else { panic!("{first:?}") };
            assert!(service.drain_deadline.is_some(), "{object}");
            there_and_back(Kind::Service, &object.to_string());
        }
    }
}
