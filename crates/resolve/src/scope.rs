//! Which addresses are this node's NodePort addresses, and which sources are its pods.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
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

/// The IPv4 loopback prefixes on which NodePorts answer: in iptables mode, if it is on (`--iptables-localhost-nodeports`),
/// what `--nodeport-addresses` covers of 127.0.0.0/8. None overlaps another. Empty in every other case; IPv6 has no such thing.
pub fn localhost_nodeport_nets(config: &ProxyConfig) -> Vec<IpNet> {
    if config.mode != Mode::Iptables || !config.localhost_nodeports {
        return Vec::new();
    }
    let selectors = &config.nodeport_addresses;
    let nets: Vec<IpNet> = selectors.iter().filter_map(|s| net_of(s, IpFamily::V4)).collect();
    if nets.is_empty() && !selectors.contains(&NodePortSelector::Primary) {
        return vec![LOOPBACK];
    }
    let covered: Vec<IpNet> = nets.iter().filter_map(within_loopback).collect();
    IpNet::aggregate(&covered)
}

/// Whether NodePorts answer on this loopback address.
pub(crate) fn localhost_nodeports(config: &ProxyConfig, ip: IpAddr) -> bool {
    localhost_nodeport_nets(config).iter().any(|net| net.contains(&ip))
}

/// All addresses of IPv4 loopback.
const LOOPBACK: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));

/// The part of a prefix that is loopback: the smaller of the two, if one holds the other.
fn within_loopback(net: &IpNet) -> Option<IpNet> {
    let inside = if LOOPBACK.contains(net) { *net } else { LOOPBACK };
    net.contains(&inside).then_some(inside)
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

    #[test]
    fn loopback_table() {
        let of = |mode, on, nets: &[&str]| {
            let selector = |text: &&str| match *text {
                "primary" => NodePortSelector::Primary,
                net => NodePortSelector::Net(parse_net(net).unwrap()),
            };
            let nodeport_addresses = nets.iter().map(selector).collect();
            let config =
                ProxyConfig { mode, nodeport_addresses, localhost_nodeports: on, ..ProxyConfig::default() };
            localhost_nodeport_nets(&config).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let all = &["127.0.0.0/8"][..];
        for (nets, want) in [
            (&[][..], all),
            (&["0.0.0.0/0"], all),
            (&["126.0.0.0/7", "127.0.0.1/32"], all),
            (&["::/0"], all),
            (&["primary"], &[]),
            (&["192.168.0.0/24"], &[]),
            (&["192.168.0.0/24", "127.0.0.1/32", "127.1.0.0/16"], &["127.0.0.1/32", "127.1.0.0/16"]),
            (&["127.0.0.1/32", "127.0.0.0/24"], &["127.0.0.0/24"]),
        ] {
            assert_eq!(of(Mode::Iptables, true, nets), want, "{nets:?}");
            assert!(of(Mode::Iptables, false, nets).is_empty(), "{nets:?}: it is off");
            assert!(of(Mode::Nftables, true, nets).is_empty(), "{nets:?}: another mode");
        }
    }
}
