//! This node.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::IpFamily;

/// The Node object, as far as a proxy needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `status.addresses`: InternalIP entries first, then ExternalIP, each in the object's order.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
    /// The label `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Keys of `spec.taints`.
    pub taints: Vec<Arc<str>>,
}

/// What is known of this node: its Node object, and the addresses that its kernel has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The Node object of this node, once it was seen.
    pub node: Option<Node>,
    /// Addresses that the kernel answers for, loopback included. Empty until the kernel was asked.
    pub kernel_addresses: Vec<IpAddr>,
    /// Goes before every other address of its family as the primary one (`--bind-address`).
    pub bind_address: Option<IpAddr>,
}

impl NodeFacts {
    /// The primary address of a family: the bind address, or else the Node's first InternalIP (then ExternalIP), or else the first
    /// address of the kernel that a remote host could use.
    pub fn primary(&self, family: IpFamily) -> Option<IpAddr> {
        let of_family = |ip: &&IpAddr| IpFamily::of(**ip) == family;
        let from_node = self.node.iter().flat_map(|n| &n.addresses).find(of_family);
        let bound = self.bind_address.as_ref().filter(of_family);
        bound
            .or(from_node)
            .or_else(|| self.kernel_addresses.iter().filter(of_family).find(|ip| is_routable(ip)))
            .copied()
    }

    /// Every address that is this node's, without repetition: the Node object's and the kernel's.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.node.iter().flat_map(|n| n.addresses.iter().copied()).collect();
        all.extend(&self.kernel_addresses);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The addresses that the kernel has, without repetition; those of the Node object as long as the kernel was not asked. An
    /// ExternalIP that a router translates is only in the latter.
    pub fn kernel_or_node_addresses(&self) -> Vec<IpAddr> {
        let mut all = self.kernel_addresses.clone();
        if all.is_empty() {
            return self.addresses();
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether `ip` is one of the node's own addresses (loopback always is).
    pub fn owns(&self, ip: IpAddr) -> bool {
        ip.is_loopback()
            || self.kernel_addresses.contains(&ip)
            || self.node.as_ref().is_some_and(|n| n.addresses.contains(&ip))
    }

    /// The node's zone, for topology hints.
    pub fn zone(&self) -> Option<&str> {
        self.node.as_ref()?.zone.as_deref()
    }
}

fn is_routable(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !is_link_local(ip)
}

/// Whether an address means something on its own link only (169.254.0.0/16, fe80::/10).
pub fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
