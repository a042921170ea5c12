//! A node, and hosts around it, in network namespaces.
//!
//! ```text
//!   host 10.0.0.2 --- h0 \                     each host: one address, default route to its own gateway
//!   host 10.180.0.1 - h1 -- node -- eth0 --- outside   (all addresses that nobody else has: VIPs, the internet)
//!   host 203.0.113.2  h2 /    node addresses are on eth0
//! ```
//!
//! The node routes and does nothing else. Every gateway address (198.18.0.x, fd00:ffff::x) exists once, on
//! the node's end of one link: masquerading towards a host takes it, so that even the node's own packets
//! show whether they were masqueraded. Every destination of a case has a server, wherever its address
//! lives: a packet that no rule touches is answered by its own destination.

mod build;
mod layout;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use model::Protocol;

use crate::netns::NetNs;
use crate::probe::{Outcome, probe};
use crate::server::Greeters;

pub use layout::Layout;

/// Running namespaces and servers; everything ends on drop.
#[derive(Debug)]
pub struct World {
    // Servers first: they must stop before their namespaces go.
    _greeters: Vec<Greeters>,
    node: NetNs,
    outside: NetNs,
    hosts: BTreeMap<IpAddr, NetNs>,
    node_addresses: Vec<IpAddr>,
    gateways: Vec<IpAddr>,
}

impl World {
    /// Builds it and waits until every address in it can be reached.
    pub fn new(layout: &Layout) -> Result<Self> {
        build::build(layout).context("building a world")
    }

    /// The node's namespace: the program under test runs there.
    pub fn node(&self) -> &NetNs {
        &self.node
    }

    /// The namespace in which an address lives; what nobody has is outside.
    pub fn namespace(&self, address: IpAddr) -> &NetNs {
        if address.is_loopback() || self.node_addresses.contains(&address) {
            return &self.node;
        }
        self.hosts.get(&address).unwrap_or(&self.outside)
    }

    /// Whether an address is the node's, gateways included: what masquerading may choose.
    pub fn is_node_address(&self, address: IpAddr) -> bool {
        self.node_addresses.contains(&address) || self.gateways.contains(&address)
    }

    /// Sends the first packet of a new flow from where the source address lives.
    pub fn probe(
        &self,
        source: IpAddr,
        destination: SocketAddr,
        protocol: Protocol,
        timeout: Duration,
    ) -> Result<Outcome> {
        probe(self.namespace(source), Some(source), destination, protocol, timeout)
    }
}
