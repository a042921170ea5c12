//! Which addresses are this node's NodePort addresses, and which sources are its pods.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{IpFamily, NodeFacts};

use crate::{DetectLocal, Mode, NodePortSelector, ProxyConfig};

/// How a packet of a local pod is recognised, for one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalSource {
    /// Not at all.
    Unknown,
    /// By its source address.
    Net(IpNet),
    /// By the link that it arrives on.
    Interface(String),
    /// By the beginning of that link's name.
    InterfacePrefix(String),
}

impl LocalSource {
    /// The detector that the configuration means on this node.
    pub fn new(config: &ProxyConfig, facts: &NodeFacts, family: IpFamily) -> Self {
        let first = |nets: &[IpNet]| {
            let found = nets.iter().find(|net| IpFamily::of(net.addr()) == family);
            found.map_or(LocalSource::Unknown, |net| LocalSource::Net(*net))
        };
        match &config.detect_local {
            DetectLocal::ClusterCidr(nets) => first(nets),
            DetectLocal::NodeCidr => first(facts.node.as_ref().map_or(&[], |node| &node.pod_cidrs)),
            DetectLocal::BridgeInterface(name) => LocalSource::Interface(name.clone()),
            DetectLocal::InterfaceNamePrefix(prefix) => LocalSource::InterfacePrefix(prefix.clone()),
        }
    }
}

/// Where NodePorts of one family answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortScope {
    /// On every address of the node but loopback.
    All,
    /// On these addresses.
    Only(Vec<IpAddr>),
}

impl NodePortScope {
    /// What the configuration means on this node, as kube-proxy reads it: a family without any prefix of its
    /// own is open on all addresses, and a prefix of length 0 swallows the rest of the list.
    pub fn new(config: &ProxyConfig, facts: &NodeFacts, family: IpFamily) -> Self {
        let default = [NodePortSelector::Primary];
        let selectors = match (config.nodeport_addresses.as_slice(), config.mode) {
            ([], Mode::Nftables) => &default[..],
            (selectors, _) => selectors,
        };
        let nets: Vec<IpNet> = selectors.iter().filter_map(|s| net_of(s, family)).collect();
        let primary = selectors.contains(&NodePortSelector::Primary);
        if nets.iter().any(|net| net.prefix_len() == 0) || (nets.is_empty() && !primary) {
            return NodePortScope::All;
        }
        let mut accepted: Vec<IpAddr> =
            primary.then(|| facts.primary(family)).flatten().into_iter().collect();
        accepted.extend(facts.addresses().into_iter().filter(|ip| nets.iter().any(|net| net.contains(ip))));
        accepted.retain(|ip| !ip.is_loopback());
        accepted.sort_unstable();
        accepted.dedup();
        NodePortScope::Only(accepted)
    }

    /// Whether NodePorts answer on `ip` (in iptables mode, loopback is another question).
    pub fn accepts(&self, facts: &NodeFacts, ip: IpAddr) -> bool {
        match self {
            NodePortScope::All => !ip.is_loopback() && facts.owns(ip),
            NodePortScope::Only(accepted) => accepted.contains(&ip),
        }
    }
}

/// Whether NodePorts answer on this loopback address: IPv4 in iptables mode, if it is on and the addresses cover it.
pub(crate) fn localhost_nodeports(config: &ProxyConfig, ip: IpAddr) -> bool {
    let nets: Vec<IpNet> = config.nodeport_addresses.iter().filter_map(|s| net_of(s, IpFamily::V4)).collect();
    let primary = config.nodeport_addresses.contains(&NodePortSelector::Primary);
    config.mode == Mode::Iptables
        && config.localhost_nodeports
        && ip.is_ipv4()
        && ip.is_loopback()
        && ((nets.is_empty() && !primary) || nets.iter().any(|net| net.contains(&ip)))
}

fn net_of(selector: &NodePortSelector, family: IpFamily) -> Option<IpNet> {
    match selector {
        NodePortSelector::Net(net) if IpFamily::of(net.addr()) == family => Some(*net),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::parse_net;

    fn facts() -> NodeFacts {
        let addresses = ["127.0.0.1", "192.168.0.2", "192.168.1.2", "2001:db8::1", "fe80::1"];
        let kernel_addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        NodeFacts { kernel_addresses, ..NodeFacts::default() }
    }

    fn scope(mode: Mode, nets: &[&str], family: IpFamily) -> NodePortScope {
        let selector = |text: &&str| match *text {
            "primary" => NodePortSelector::Primary,
            net => NodePortSelector::Net(parse_net(net).unwrap()),
        };
        let nodeport_addresses = nets.iter().map(selector).collect();
        let config = ProxyConfig { mode, nodeport_addresses, ..ProxyConfig::default() };
        NodePortScope::new(&config, &facts(), family)
    }

    fn only(ips: &[&str]) -> NodePortScope {
        NodePortScope::Only(ips.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[test]
    fn table() {
        use IpFamily::{V4, V6};
        use Mode::{Iptables, Nftables};
        for (mode, nets, family, want) in [
            (Nftables, &[][..], V4, only(&["192.168.0.2"])),
            (Nftables, &[], V6, only(&["2001:db8::1"])),
            (Iptables, &[], V4, NodePortScope::All),
            (Iptables, &["primary"], V4, only(&["192.168.0.2"])),
            (Nftables, &["192.168.0.0/16"], V4, only(&["192.168.0.2", "192.168.1.2"])),
            (Nftables, &["192.168.0.0/16"], V6, NodePortScope::All),
            (Nftables, &["192.168.0.0/16", "0.0.0.0/0"], V4, NodePortScope::All),
            (Nftables, &["10.0.0.0/8"], V4, only(&[])),
            (Nftables, &["127.0.0.0/8"], V4, only(&[])),
        ] {
            assert_eq!(scope(mode, nets, family), want, "{mode:?} {nets:?} {family}");
        }
    }
}
