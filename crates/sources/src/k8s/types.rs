//! The few fields of each kind that a service proxy and DNS read, spelled as the Kubernetes API spells them.
//!
//! Every field is optional here, and `null` is the same as absent, as it is for the API server. What is
//! missing, and whether that matters, is decided in the conversions.

use serde::{Deserialize, Deserializer};

pub(super) use super::annotations::Annotations;
pub(super) use super::labels::Labels;

/// What every object has.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    /// Opaque; a number in a manifest is read as its digits.
    #[serde(default, deserialize_with = "as_text")]
    pub(super) resource_version: Option<String>,
    pub(super) creation_timestamp: Option<String>,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) labels: Option<Labels>,
    pub(super) annotations: Option<Annotations>,
}

/// A text; of a number in a manifest its digits: it must not cost the whole object.
fn as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(super::annotations::as_text)
}

/// An object that has nothing for us but its metadata (Namespace); also used to find an object's identity.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Bare {
    pub(super) metadata: Option<Metadata>,
}

/// A Service.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Service {
    pub(super) metadata: Option<Metadata>,
    pub(super) spec: Option<ServiceSpec>,
    pub(super) status: Option<ServiceStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    pub(super) external_ips: Option<Vec<String>>,
    pub(super) load_balancer_source_ranges: Option<Vec<String>>,
    pub(super) internal_traffic_policy: Option<String>,
    pub(super) external_traffic_policy: Option<String>,
    pub(super) session_affinity: Option<String>,
    pub(super) session_affinity_config: Option<AffinityConfig>,
    pub(super) health_check_node_port: Option<i64>,
    pub(super) external_name: Option<String>,
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct AffinityConfig {
    #[serde(rename = "clientIP")]
    pub(super) client_ip: Option<ClientIp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientIp {
    pub(super) timeout_seconds: Option<i64>,
}

/// One port of a Service or of a slice.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) port: Option<i64>,
    pub(super) node_port: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceStatus {
    pub(super) load_balancer: Option<LoadBalancer>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct LoadBalancer {
    pub(super) ingress: Option<Vec<Ingress>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ingress {
    pub(super) ip: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) ip_mode: Option<String>,
}

/// An EndpointSlice.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    pub(super) metadata: Option<Metadata>,
    pub(super) address_type: Option<String>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) addresses: Option<Vec<String>>,
    pub(super) conditions: Option<Conditions>,
    pub(super) node_name: Option<String>,
    pub(super) hints: Option<Hints>,
    pub(super) hostname: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) target_ref: Option<TargetRef>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TargetRef {
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hints {
    pub(super) for_zones: Option<Vec<Named>>,
    pub(super) for_nodes: Option<Vec<Named>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Named {
    pub(super) name: Option<String>,
}

/// A Node.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Node {
    pub(super) metadata: Option<Metadata>,
    pub(super) spec: Option<NodeSpec>,
    pub(super) status: Option<NodeStatus>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub(super) pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pub(super) pod_cidrs: Option<Vec<String>>,
    pub(super) taints: Option<Vec<Taint>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Taint {
    pub(super) key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct NodeStatus {
    pub(super) addresses: Option<Vec<NodeAddress>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) address: Option<String>,
}

/// A ServiceCIDR.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ServiceCidr {
    pub(super) metadata: Option<Metadata>,
    pub(super) spec: Option<ServiceCidrSpec>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ServiceCidrSpec {
    pub(super) cidrs: Option<Vec<String>>,
}

/// A Pod.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Option<Metadata>,
    pub(super) spec: Option<PodSpec>,
    pub(super) status: Option<PodStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    pub(super) host_network: Option<bool>,
    pub(super) dns_policy: Option<String>,
    pub(super) dns_config: Option<DnsConfig>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DnsConfig {
    pub(super) searches: Option<Vec<String>>,
    pub(super) options: Option<Vec<DnsOption>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DnsOption {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct PodStatus {
    pub(super) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<PodIp>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct PodIp {
    pub(super) ip: Option<String>,
}

/// A ServiceImport. Later versions of its API have the fields of `spec` beside the metadata: both places are read.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ServiceImport {
    pub(super) metadata: Option<Metadata>,
    pub(super) spec: Option<ImportSpec>,
    #[serde(flatten)]
    pub(super) root: ImportSpec,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ImportSpec {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) ips: Option<Vec<String>>,
    pub(super) ports: Option<Vec<Port>>,
}

/// What [`super::decode`] needs of every kind.
pub(super) trait Object {
    /// `metadata`, if it is there.
    fn metadata(&self) -> Option<&Metadata>;
}

macro_rules! objects {
    ($($kind:ty),*) => {
        $(impl Object for $kind {
            fn metadata(&self) -> Option<&Metadata> {
                self.metadata.as_ref()
            }
        })*
    };
}

objects!(Bare, Service, EndpointSlice, Node, ServiceCidr, Pod, ServiceImport);
