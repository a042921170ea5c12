//! A Pod: which addresses live on which node, and how it asks for names.

use std::net::IpAddr;
use std::sync::Arc;

use crate::NamespacedName;

/// A Pod, as far as a proxy and DNS need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: NamespacedName,
    /// `spec.nodeName`, if it is scheduled.
    pub node: Option<Arc<str>>,
    /// `status.podIPs`.
    pub ips: Vec<IpAddr>,
    /// `spec.hostNetwork`: its addresses are the node's.
    pub host_network: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `status.phase` is Succeeded or Failed: its addresses are free for other pods.
    pub finished: bool,
    /// The annotation `towpath.dev/dns-intercept` is `false`: its questions go to the cluster's DNS Service as they would
    /// without towpath.
    pub dns_opt_out: bool,
    /// `spec.dnsPolicy` and `spec.dnsConfig`, where they are not the default (ClusterFirst, nothing). Boxed: few pods say anything.
    pub dns: Option<Box<PodDns>>,
}

impl Pod {
    /// Whether its addresses are its own, and in use: what an address may be traced back to.
    pub fn holds_addresses(&self) -> bool {
        !self.host_network && !self.finished
    }
}

/// How a pod's `/etc/resolv.conf` differs from the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDns {
    /// `spec.dnsPolicy`.
    pub policy: DnsPolicy,
    /// `spec.dnsConfig.searches`: come behind the cluster's.
    pub searches: Vec<Arc<str>>,
    /// The option `ndots` of `spec.dnsConfig.options`.
    pub ndots: Option<u8>,
}

/// `spec.dnsPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DnsPolicy {
    /// The cluster's DNS Service and search path (of a pod with `hostNetwork`: the node's).
    #[default]
    ClusterFirst,
    /// As ClusterFirst, with `hostNetwork` too.
    ClusterFirstWithHostNet,
    /// The node's own resolver and search path.
    Default,
    /// Only what `spec.dnsConfig` says.
    None,
}
