//! What is in each chain: everything that does not depend on a Service.
//!
//! ```text
//! prerouting -110, output -110  firewall      sources that a load balancer VIP refuses   (only while one does)
//!                               firewall-nodeports  sources that a NodePort refuses      (only while one does)
//! prerouting -100, output -100  services      frontend -> chain -> endpoint
//! input, forward, output    0   idle          frontends without endpoints: reject or drop
//! forward, output           0   cluster-ip-check  other ports of ClusterIPs, unallocated ClusterIPs
//! input, postrouting       90   affinity-record   remember what was chosen             (only with affinity)
//! postrouting             100   masquerade
//! ```
//!
//! In [`Style::Ipvs`], where every VIP is a local address, `services` leaves packets to IPVS, which works on input at 98
//! and on output at -98; what it did not take comes to
//!
//! ```text
//! input                   110   cluster-ip-check  answers ping; other ports of VIPs, unallocated ClusterIPs
//! ```
//!
//! A packet that IPVS has translated passes the output hooks (once more), addressed to its endpoint.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use ipnet::IpNet;
use model::{IpFamily, parse_net};
use netlink::nft::{Expr, Hook};
use resolve::{LocalSource, NodePortScope};
use rustc_hash::FxHasher;

use crate::ids::{ChainId, Pick, SetId};
use crate::rule::{Field, Part, Rule, Side, encode};
use crate::slots;
use crate::style::Style;

/// The facts of one family that shape its chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Who balances.
    pub style: Style,
    /// The family.
    pub family: IpFamily,
    /// How local pods are recognised.
    pub local: LocalSource,
    /// Masquerade everything to ClusterIPs.
    pub masquerade_all: bool,
    /// The mark that means "masquerade".
    pub mark: u32,
    /// Where NodePorts answer.
    pub scope: NodePortScope,
    /// ServiceCIDRs of the family.
    pub service_cidrs: Vec<IpNet>,
    /// The node's own addresses in the family, but loopback, sorted. Empty in [`Style::Dnat`], where they shape nothing.
    pub addresses: Vec<IpAddr>,
}

const VIP: [Field; 3] = [Field::Daddr, Field::L4Proto, Field::Dport];
const PORT: [Field; 2] = [Field::L4Proto, Field::Dport];
const CLIENT: [Field; 4] = [Field::Saddr, Field::Daddr, Field::L4Proto, Field::Dport];

impl Layout {
    /// The hook of a base chain.
    pub fn hook(chain: ChainId) -> Option<Hook> {
        let hook = |kind, number, priority| Some(Hook { kind, number, priority });
        match chain {
            ChainId::FirewallPrerouting | ChainId::FirewallNodePortsPrerouting => hook("filter", 0, -110),
            ChainId::FirewallOutput | ChainId::FirewallNodePortsOutput => hook("filter", 3, -110),
            ChainId::NatPrerouting => hook("nat", 0, -100),
            ChainId::NatOutput => hook("nat", 3, -100),
            ChainId::FilterInput => hook("filter", 1, 0),
            // Behind IPVS, whose last hook here has 99, and behind source NAT.
            ChainId::FilterInputLate => hook("filter", 1, 110),
            ChainId::FilterForward => hook("filter", 2, 0),
            ChainId::FilterOutput => hook("filter", 3, 0),
            // nat, not filter: only the first packet of a connection records. A SYN that is sent again would record an
            // endpoint anew that is gone and forgotten by then.
            ChainId::AffinityInput => hook("nat", 1, 90),
            ChainId::AffinityPostrouting => hook("nat", 4, 90),
            ChainId::NatPostrouting => hook("nat", 4, 100),
            _ => None,
        }
    }

    /// The rules of a chain.
    pub fn rules(&self, chain: ChainId) -> Vec<Rule> {
        use ChainId::*;
        match chain {
            NatPrerouting | NatOutput => vec![vec![Part::Jump(Services)]],
            FirewallPrerouting | FirewallOutput => vec![vec![Part::New, Part::Jump(Firewall)]],
            FirewallNodePortsPrerouting | FirewallNodePortsOutput => {
                vec![vec![Part::New, Part::Jump(FirewallNodePorts)]]
            }
            FilterInput => self.filter_input(),
            FilterInputLate => vec![vec![Part::New, Part::Jump(ClusterIpCheck)]],
            FilterForward | FilterOutput => vec![
                vec![Part::New, Part::VerdictMap(VIP.into(), SetId::IdleVips)],
                vec![Part::New, Part::Jump(ClusterIpCheck)],
            ],
            AffinityInput | AffinityPostrouting => {
                vec![vec![Part::Translated, Part::Jump(AffinityRecord)]]
            }
            NatPostrouting => self.masquerading(),
            // A local IPv6 client hears an ICMP error for its SYN only when it sends again, a second later; it hears a
            // reset at once.
            Reject => vec![vec![Part::Reset], vec![Part::Reject]],
            Services => self.services(),
            LocalPolicyVips => self.local_policy(&VIP, [SetId::PodVips, SetId::NodeVips, SetId::OutsideVips]),
            LocalPolicyNodePorts => {
                self.local_policy(&PORT, [SetId::PodNodePorts, SetId::NodeNodePorts, SetId::OutsideNodePorts])
            }
            Idle => self.nodeport_rule(&PORT, SetId::IdleNodePorts),
            ClusterIpCheck => self.cluster_ip_check(),
            Firewall => vec![firewall()],
            FirewallNodePorts => vec![self.node_port_firewall()],
            AffinityRecord => affinity_record(),
            Pick(pick) => self.pick(pick),
            Balance { masquerade: false } => vec![vec![Part::Accept]],
            Balance { masquerade: true } => vec![vec![Part::Mark(self.mark)], vec![Part::Accept]],
            Record { shard, seconds } => vec![record(shard, seconds)],
        }
    }

    /// The rules of a chain as the kernel has them.
    pub fn encoded(&self, chain: ChainId) -> Vec<Vec<Expr>> {
        self.rules(chain).iter().map(|rule| encode(rule, self.family)).collect()
    }

    fn filter_input(&self) -> Vec<Rule> {
        vec![
            vec![Part::New, Part::VerdictMap(VIP.into(), SetId::IdleVips)],
            vec![Part::New, Part::Jump(ChainId::Idle)],
        ]
    }

    fn services(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = self.cluster_ip_masquerade().into_iter().collect();
        rules.push(vec![Part::VerdictMap(VIP.into(), SetId::Vips)]);
        rules.extend(self.nodeport_rule(&PORT, SetId::NodePorts));
        rules
    }

    /// Traffic to ClusterIPs from elsewhere than local pods comes back this way only if it is masqueraded.
    fn cluster_ip_masquerade(&self) -> Option<Rule> {
        let mut rule = vec![Part::In(vec![Field::Daddr], SetId::ClusterIps, true)];
        if !self.masquerade_all {
            rule.push(self.local_pod(false)?);
        }
        rule.push(Part::Mark(self.mark));
        Some(rule)
    }

    /// Matches traffic of local pods, or all other; `None` where that cannot be told or nothing is left.
    fn local_pod(&self, wanted: bool) -> Option<Part> {
        match &self.local {
            LocalSource::Unknown => None,
            LocalSource::Net(net) if net.prefix_len() == 0 => None,
            LocalSource::Net(net) => Some(Part::Addr(Side::Source, wanted, *net)),
            LocalSource::Interface(name) => Some(Part::Interface(name.clone(), false, wanted)),
            LocalSource::InterfacePrefix(prefix) => Some(Part::Interface(prefix.clone(), true, wanted)),
        }
    }

    /// A lookup by protocol and port, for packets to an address on which NodePorts answer.
    fn nodeport_rule(&self, fields: &[Field], map: SetId) -> Vec<Rule> {
        let mut rule = self.to_nodeport_address();
        rule.push(Part::VerdictMap(fields.to_vec(), map));
        vec![rule]
    }

    /// Matches packets to an address on which NodePorts answer.
    fn to_nodeport_address(&self) -> Rule {
        match &self.scope {
            // Beside IPVS every VIP is a local address, so the node's own are listed.
            NodePortScope::All if self.style == Style::Ipvs => {
                vec![Part::In(vec![Field::Daddr], SetId::NodePortIps, true)]
            }
            NodePortScope::Only(_) => vec![Part::In(vec![Field::Daddr], SetId::NodePortIps, true)],
            NodePortScope::All => vec![
                Part::Local(Side::Destination),
                Part::Addr(Side::Destination, false, loopback(self.family)),
            ],
        }
    }

    /// As for VIPs; but where a VIP has the address, the packet is not the NodePort's.
    fn node_port_firewall(&self) -> Rule {
        let sources = vec![Field::L4Proto, Field::Dport, Field::Saddr];
        let mut rule = vec![Part::In(PORT.into(), SetId::RestrictedNodePorts, true)];
        rule.extend(self.to_nodeport_address());
        rule.push(Part::In(sources, SetId::NodePortSources, false));
        rule.push(Part::In(VIP.into(), SetId::ShadowingVips, false));
        rule.push(Part::Drop);
        rule
    }

    /// Pods of this node, then the node itself, then everybody else.
    fn local_policy(&self, fields: &[Field], [pods, node, outside]: [SetId; 3]) -> Vec<Rule> {
        let everything = matches!(&self.local, LocalSource::Net(net) if net.prefix_len() == 0);
        let mut rules = Vec::new();
        if self.local != LocalSource::Unknown {
            let mut rule: Rule = self.local_pod(true).into_iter().collect();
            debug_assert!(everything || !rule.is_empty());
            rule.push(Part::VerdictMap(fields.to_vec(), pods));
            rules.push(rule);
        }
        rules.push(vec![Part::Local(Side::Source), Part::VerdictMap(fields.to_vec(), node)]);
        rules.push(vec![Part::VerdictMap(fields.to_vec(), outside)]);
        rules
    }

    /// Addresses on which NodePorts answer, where they are listed. Beside IPVS, none that only neighbours can use: there is
    /// no virtual server for these.
    pub fn nodeport_ips(&self) -> Vec<IpAddr> {
        let listed = match (&self.scope, self.style) {
            (NodePortScope::Only(accepted), _) => accepted,
            (NodePortScope::All, Style::Ipvs) => &self.addresses,
            (NodePortScope::All, Style::Dnat) => return Vec::new(),
        };
        let answers = |ip: &&IpAddr| self.style == Style::Dnat || !is_link_local(ip);
        listed.iter().filter(answers).copied().collect()
    }

    /// Sets of the addresses that only our frontends answer for.
    fn vip_sets(&self) -> &'static [SetId] {
        match self.style {
            Style::Dnat => &[SetId::ClusterIps],
            Style::Ipvs => &[SetId::ClusterIps, SetId::RoutedVips],
        }
    }

    /// Beside IPVS a VIP is a local address, and answers as such, as with kube-proxy: to ping; a load balancer's also to
    /// those who ask for a Service's health.
    fn answered_at_vips(&self) -> Vec<Rule> {
        let to = |set: &SetId| Part::In(vec![Field::Daddr], *set, true);
        let echo = |set: &SetId| vec![Part::Echo, to(set), Part::Accept];
        let health = Part::In(PORT.into(), SetId::HealthPorts, true);
        let health = vec![to(&SetId::RoutedVips), health, Part::Accept];
        self.vip_sets().iter().map(echo).chain([health]).collect()
    }

    fn cluster_ip_check(&self) -> Vec<Rule> {
        let to = |set: &SetId| Part::In(vec![Field::Daddr], *set, true);
        let mut rules = if self.style == Style::Ipvs { self.answered_at_vips() } else { Vec::new() };
        rules.extend(self.vip_sets().iter().map(|set| vec![to(set), Part::Goto(ChainId::Reject)]));
        // On input, a prefix with an address of the node in it would cut the node off.
        let whole = |net: &&IpNet| net.prefix_len() > 0 && !self.addresses.iter().any(|ip| net.contains(ip));
        let cidrs = self.service_cidrs.iter().filter(whole);
        rules.extend(cidrs.map(|net| vec![Part::Addr(Side::Destination, true, *net), Part::Drop]));
        rules
    }

    fn masquerading(&self) -> Vec<Rule> {
        let to_itself = Part::In(CLIENT.into(), SetId::Hairpin, true);
        let hairpin = match self.style {
            Style::Dnat => vec![Part::Translated, to_itself, Part::Masquerade],
            // IPVS sets no `ct status dnat`. A pod's packet to itself leaves the pod only if it was translated; the node's
            // own to itself may well be what they seem, and need no masquerading in either case.
            Style::Ipvs => vec![to_itself, Part::Foreign(Side::Source), Part::Masquerade],
        };
        vec![vec![Part::Marked(self.mark), Part::Unmark(self.mark), Part::Masquerade], hairpin]
    }

    fn pick(&self, pick: Pick) -> Vec<Rule> {
        let mut rules = Vec::new();
        if pick.masquerade {
            rules.push(vec![Part::Mark(self.mark)]);
        }
        if let Some(shard) = pick.affinity {
            rules.push(vec![Part::Dnat(CLIENT.into(), SetId::Affinity(shard))]);
        }
        let (fields, map) = if pick.ports {
            (PORT.to_vec(), SetId::PortSlots(pick.shard))
        } else {
            (VIP.to_vec(), SetId::VipSlots(pick.shard))
        };
        rules.extend(slots::draws(pick.size).into_iter().map(|modulus| {
            let fields = fields.iter().copied().chain([Field::Random(modulus)]);
            vec![Part::Dnat(fields.collect(), map)]
        }));
        rules
    }
}

fn firewall() -> Rule {
    let sources = vec![Field::Daddr, Field::L4Proto, Field::Dport, Field::Saddr];
    vec![
        Part::In(VIP.into(), SetId::RestrictedVips, true),
        Part::In(sources, SetId::AllowedSources, false),
        Part::Drop,
    ]
}

fn affinity_record() -> Vec<Rule> {
    let vip = vec![Field::OriginalDaddr, Field::L4Proto, Field::OriginalDport];
    let port = vec![Field::L4Proto, Field::OriginalDport];
    vec![
        vec![Part::VerdictMap(vip, SetId::AffinityVips)],
        vec![Part::VerdictMap(port, SetId::AffinityNodePorts)],
    ]
}

fn record(shard: u8, seconds: u32) -> Rule {
    let key = vec![Field::OriginalSaddr, Field::OriginalDaddr, Field::L4Proto, Field::OriginalDport];
    vec![Part::Remember(key, vec![Field::Daddr, Field::Dport], SetId::Affinity(shard), seconds)]
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn loopback(family: IpFamily) -> IpNet {
    let text = if family == IpFamily::V4 { "127.0.0.0/8" } else { "::1/128" };
    parse_net(text).unwrap_or_default()
}

/// Fingerprint of anything that defines an object. Not stable between versions, and need not be: both sides are
/// computed by the running program.
pub fn fingerprint(definition: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    definition.hash(&mut hasher);
    hasher.finish()
}
