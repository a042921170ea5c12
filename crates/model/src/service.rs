//! A Service, as far as a proxy needs it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::{Balance, FrontendKey, IpFamily, Labels, NamespacedName, Protocol, ServicePortName};

/// `spec.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Reachable by its ClusterIP (and externalIPs, if it has any).
    #[default]
    ClusterIp,
    /// Also by a port of each node.
    NodePort,
    /// Also by the addresses that a load balancer reports.
    LoadBalancer,
    /// A DNS alias ([`Service::external_name`]); a proxy skips it.
    ExternalName,
}

/// `internalTrafficPolicy` and `externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Any usable endpoint.
    #[default]
    Cluster,
    /// Only endpoints on this node.
    Local,
}

/// What becomes of traffic under policy Local where other nodes have usable endpoints and this one has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoLocal {
    /// It is discarded, as with kube-proxy.
    #[default]
    Drop,
    /// It is refused, so that clients need not wait.
    Reject,
}

/// One entry of `spec.ports`. `targetPort` is not kept: slices carry resolved ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// The port's name, empty when it has none.
    pub name: Arc<str>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port on VIPs, 1 to 65535.
    pub port: u16,
    /// The nodePort, 0 when there is none.
    pub node_port: u16,
}

/// A Service with canonical addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: NamespacedName,
    /// `metadata.creationTimestamp` in seconds since 1970, if known; the older Service wins a conflict.
    pub created: Option<i64>,
    /// `spec.type`.
    pub kind: ServiceType,
    /// ClusterIPs, at most one a family; empty for a headless Service, and for one that has none yet.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.clusterIP` is None: its name leads to its endpoints.
    pub headless: bool,
    /// `spec.externalName`, as written; absent where it is empty, or not kept. Means something in type ExternalName only.
    pub external_name: Option<Arc<str>>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Load balancer addresses with `ipMode` VIP (or none given).
    pub load_balancer_ips: Vec<IpAddr>,
    /// Names of the load balancer (`status.loadBalancer.ingress[].hostname`), as written, if they are kept.
    pub load_balancer_hosts: Vec<Arc<str>>,
    /// `spec.loadBalancerSourceRanges`.
    pub source_ranges: Vec<IpNet>,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// ClientIP affinity and its timeout in seconds (1 to 86400).
    pub affinity_seconds: Option<u32>,
    /// `spec.healthCheckNodePort`, 0 when there is none.
    pub health_check_node_port: u16,
    /// How long connections to an endpoint that is gone may go on (annotation `towpath.dev/drain-deadline`, 0 to 24 h);
    /// `None`: as long as they like.
    pub drain_deadline: Option<Duration>,
    /// The label `service.kubernetes.io/service-proxy-name` is set: another proxy's work.
    pub other_proxy: bool,
    /// How its connections are spread, where the dataplane can choose.
    pub balance: Balance,
    /// Traffic under policy Cluster keeps to ready endpoints of this node, where there are any (annotation
    /// `towpath.dev/prefer-local`).
    pub prefer_local: bool,
    /// What becomes of traffic under policy Local without an endpoint here (annotation `towpath.dev/no-local`).
    pub no_local: NoLocal,
    /// `source_ranges` hold for every frontend but the ClusterIP, and a family without a range is closed (annotation
    /// `towpath.dev/strict-source-ranges`).
    pub strict_source_ranges: bool,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `metadata.labels`, if they are kept.
    pub labels: Labels,
}

impl Service {
    /// Whether this proxy has to do anything for the Service.
    pub fn is_proxied(&self) -> bool {
        !self.other_proxy && self.kind != ServiceType::ExternalName && !self.cluster_ips.is_empty()
    }

    /// Whether load balancers ask this node for the Service's health: type LoadBalancer with external policy Local.
    pub fn has_health_check(&self) -> bool {
        self.is_proxied()
            && self.kind == ServiceType::LoadBalancer
            && self.external_policy == TrafficPolicy::Local
            && self.health_check_node_port != 0
    }

    /// The ClusterIP of a family.
    pub fn cluster_ip(&self, family: IpFamily) -> Option<IpAddr> {
        self.cluster_ips.iter().copied().find(|ip| IpFamily::of(*ip) == family)
    }

    /// The families in which the Service exists for a proxy: those in which it has a ClusterIP.
    pub fn families(&self) -> impl Iterator<Item = IpFamily> + '_ {
        IpFamily::ALL.into_iter().filter(|f| self.is_proxied() && self.cluster_ip(*f).is_some())
    }

    /// Addresses besides the ClusterIP that lead to the Service, of one family, without repetition.
    pub fn external_addresses(&self, family: IpFamily) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for ip in self.external_ips.iter().chain(&self.load_balancer_ips) {
            if IpFamily::of(*ip) == family && !found.contains(ip) && Some(*ip) != self.cluster_ip(family) {
                found.push(*ip);
            }
        }
        found
    }

    /// Whether anything outside the cluster can address the port: only then does `externalTrafficPolicy`
    /// mean anything.
    pub fn externally_accessible(&self, port: &ServicePort, family: IpFamily) -> bool {
        port.node_port != 0 || !self.external_addresses(family).is_empty()
    }

    /// The name of one of its ports.
    pub fn port_name(&self, port: &ServicePort) -> ServicePortName {
        ServicePortName { service: self.name.clone(), port: Arc::clone(&port.name), protocol: port.protocol }
    }

    /// Every frontend that the Service asks for.
    pub fn frontend_keys(&self) -> Vec<FrontendKey> {
        let mut keys = Vec::new();
        for family in self.families() {
            for port in &self.ports {
                let vips = self.cluster_ip(family).into_iter().chain(self.external_addresses(family));
                keys.extend(vips.map(|ip| FrontendKey::Vip { ip, protocol: port.protocol, port: port.port }));
                if port.node_port != 0 {
                    let protocol = port.protocol;
                    keys.push(FrontendKey::NodePort { family, protocol, port: port.node_port });
                }
            }
        }
        keys
    }
}
