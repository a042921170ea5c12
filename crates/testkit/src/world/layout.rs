//! Which addresses a world needs, and where they live. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::cases::{Defaults, FlowCase, Mode};

/// The plan of a world.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The node's own addresses, the primary ones first.
    pub node: Vec<IpAddr>,
    /// Addresses with a namespace of their own: endpoints and clients.
    pub hosts: BTreeSet<IpAddr>,
    /// Addresses that live outside, all in one namespace.
    pub outside: BTreeSet<IpAddr>,
    /// Hosts that also send to their own address, by way of the node.
    pub talks_to_itself: BTreeSet<IpAddr>,
    /// Names of the node's links to hosts, where they matter; the others are `h0`, `h1`, …
    pub links: BTreeMap<IpAddr, String>,
    /// Where servers listen (TCP and UDP, SCTP where the kernel has it).
    pub servers: BTreeSet<SocketAddr>,
}

impl Layout {
    /// A world with only a node.
    pub fn of_node(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { node: addresses.into_iter().collect(), ..Self::default() }
    }

    /// All that the flows of a case need.
    pub fn for_case(case: &FlowCase, node: &Defaults, mode: Mode) -> Self {
        let mut layout = Self::of_node(node.node_ips.iter().copied());
        case.endpoints().for_each(|endpoint| layout.serve(endpoint));
        layout.hosts.extend(case.endpoints().map(|e| e.ip()));
        for flow in case.flows_for(mode) {
            layout.add_flow(flow.src, flow.destination(), case.is_health_port(flow.port));
        }
        // What has a host of its own is not outside, whichever flow came first.
        layout.outside = &layout.outside - &layout.hosts;
        layout
    }

    /// A server, wherever its address lives.
    pub fn serve(&mut self, address: SocketAddr) {
        self.servers.insert(address);
    }

    /// A client and its destination. At a health check port of the node the program itself may listen.
    fn add_flow(&mut self, source: IpAddr, destination: SocketAddr, health_port: bool) {
        if !self.is_node(source) {
            self.hosts.insert(source);
        }
        if !self.is_node(destination.ip()) {
            self.outside.insert(destination.ip());
        }
        if source == destination.ip() && !self.is_node(source) {
            self.talks_to_itself.insert(source);
        }
        if !(health_port && self.is_node(destination.ip())) {
            self.serve(destination);
        }
    }

    /// Whether an address is the node's own.
    pub fn is_node(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.node.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{load_flows, table_path};

    fn layout_of(id: &str) -> Layout {
        let table = load_flows(&table_path("flows.yaml")).unwrap();
        let case = table.cases.iter().find(|c| c.id == id).unwrap();
        Layout::for_case(case, &table.defaults, Mode::Nftables)
    }

    fn ips<'a>(set: impl IntoIterator<Item = &'a IpAddr>) -> Vec<String> {
        set.into_iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everyone_has_a_place() {
        let layout = layout_of("etp-cluster");
        assert_eq!(ips(&layout.hosts), ["10.0.0.2", "10.180.0.1", "10.180.2.1", "203.0.113.2"]);
        assert_eq!(ips(&layout.outside), ["1.2.3.4", "172.30.0.41"]);
        assert!(layout.servers.contains(&"192.168.99.11:80".parse().unwrap()));
    }

    #[test]
    fn health_ports_are_left_to_the_program() {
        let layout = layout_of("overall-mix");
        assert!(!layout.servers.contains(&"192.168.0.2:30000".parse().unwrap()));
        assert!(layout.servers.contains(&"10.0.0.3:80".parse().unwrap()));
    }

    #[test]
    fn a_client_may_be_its_own_destination() {
        let layout = layout_of("d-node-not-in-ranges");
        assert_eq!(ips(&layout.talks_to_itself), ["1.2.3.4"]);
        assert_eq!(ips(&layout.hosts), ["1.2.3.4", "10.180.0.1"]);
        assert!(layout.outside.is_empty());
    }
}
