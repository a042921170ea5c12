//! Services and slices of a case, in the table's short spelling.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::Proto;

/// A Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// `namespace/name`.
    pub name: String,
    /// `metadata.annotations`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `spec.type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `spec.clusterIPs`.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    #[serde(default)]
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`.
    #[serde(default)]
    pub lb_ingress: Vec<Ingress>,
    /// `spec.loadBalancerSourceRanges`, spaces and all.
    #[serde(default)]
    pub lb_source_ranges: Vec<String>,
    /// `spec.internalTrafficPolicy`.
    #[serde(default)]
    pub internal_traffic_policy: Policy,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: Option<Policy>,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// `spec.sessionAffinity`.
    pub session_affinity: Option<String>,
    /// `spec.sessionAffinityConfig.clientIP.timeoutSeconds`.
    pub affinity_timeout: Option<u32>,
    /// `metadata.creationTimestamp`; the same for all unless given.
    pub created: Option<String>,
    /// `spec.ports`.
    pub ports: Vec<PortSpec>,
}

/// A traffic policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Policy {
    /// Any usable endpoint.
    #[default]
    Cluster,
    /// Only endpoints on the node.
    Local,
}

impl Policy {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Cluster => "Cluster",
            Policy::Local => "Local",
        }
    }
}

impl From<Policy> for model::TrafficPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Cluster => Self::Cluster,
            Policy::Local => Self::Local,
        }
    }
}

/// An address that a load balancer reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// `ip`.
    pub ip: IpAddr,
    /// `ipMode`.
    pub ip_mode: Option<IpMode>,
}

/// `ipMode` of an ingress address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum IpMode {
    /// Packets keep the address: a proxy serves it.
    #[serde(rename = "VIP")]
    Vip,
    /// The load balancer ends the connection: a proxy leaves it alone.
    Proxy,
}

impl IpMode {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            IpMode::Vip => "VIP",
            IpMode::Proxy => "Proxy",
        }
    }
}

/// A port of a Service or of a slice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// The name that joins the two; may be empty.
    pub name: String,
    /// The number: of the Service's VIPs, or of the endpoints.
    pub port: u16,
    /// The nodePort, of a Service's port.
    pub node_port: Option<u16>,
    /// Its protocol; TCP unless given.
    #[serde(default)]
    pub protocol: Proto,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceSpec {
    /// `namespace/name` of its Service.
    pub service: String,
    /// 4 or 6.
    #[serde(default = "four")]
    pub family: u8,
    /// Its ports.
    pub ports: Vec<PortSpec>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointSpec>,
}

fn four() -> u8 {
    4
}

impl SliceSpec {
    /// Every address and port in it.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let ports = move |ip: IpAddr| self.ports.iter().map(move |p| SocketAddr::new(ip, p.port));
        self.endpoints.iter().flat_map(move |e| ports(e.ip))
    }
}

/// An endpoint; what is absent is absent from the manifest too.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// `addresses[0]`.
    pub ip: IpAddr,
    /// `nodeName`.
    pub node: Option<String>,
    /// `conditions.ready`.
    pub ready: Option<bool>,
    /// `conditions.serving`.
    pub serving: Option<bool>,
    /// `conditions.terminating`.
    pub terminating: Option<bool>,
    /// `hints.forZones`.
    #[serde(default)]
    pub zone_hints: Vec<String>,
    /// `hints.forNodes`.
    #[serde(default)]
    pub node_hints: Vec<String>,
}
