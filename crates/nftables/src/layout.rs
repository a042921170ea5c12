//! What is in each chain and what kind each set is: everything that does not depend on a Service.
//!
//! ```text
//! prerouting -110, output -110  firewall      sources that a load balancer VIP refuses   (only while one does)
//! prerouting -100, output -100  services      frontend -> chain -> endpoint
//! input, forward, output    0   idle          frontends without endpoints: reject or drop
//! forward, output           0   cluster-ip-check  other ports of ClusterIPs, unallocated ClusterIPs
//! input, postrouting       90   affinity-record   remember what was chosen             (only with affinity)
//! postrouting             100   masquerade
//! ```

use std::hash::{Hash, Hasher};

use ipnet::IpNet;
use model::{IpFamily, parse_net};
use netlink::nft::{Expr, Hook, SetData, SetFlags, SetSpec, data_type};
use resolve::{LocalSource, NodePortScope};
use rustc_hash::FxHasher;

use crate::ids::{ChainId, Pick, SetId};
use crate::rule::{Field, Part, Rule, Side, encode};
use crate::slots;
use crate::userdata;

/// Most clients that one affinity map remembers. Beyond it, new clients are balanced without memory.
pub const AFFINITY_SIZE: u32 = 131_072;

/// The facts of one family that shape its chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
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
}

const VIP: [Field; 3] = [Field::Daddr, Field::L4Proto, Field::Dport];
const PORT: [Field; 2] = [Field::L4Proto, Field::Dport];
const CLIENT: [Field; 4] = [Field::Saddr, Field::Daddr, Field::L4Proto, Field::Dport];

impl Layout {
    /// The hook of a base chain.
    pub fn hook(chain: ChainId) -> Option<Hook> {
        let hook = |kind, number, priority| Some(Hook { kind, number, priority });
        match chain {
            ChainId::FirewallPrerouting => hook("filter", 0, -110),
            ChainId::FirewallOutput => hook("filter", 3, -110),
            ChainId::NatPrerouting => hook("nat", 0, -100),
            ChainId::NatOutput => hook("nat", 3, -100),
            ChainId::FilterInput => hook("filter", 1, 0),
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
            FilterInput => self.filter_input(),
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
            AffinityRecord => affinity_record(),
            Pick(pick) => self.pick(pick),
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
        let mut rule = match &self.scope {
            NodePortScope::Only(_) => vec![Part::In(vec![Field::Daddr], SetId::NodePortIps, true)],
            NodePortScope::All => vec![
                Part::Local(Side::Destination),
                Part::Addr(Side::Destination, false, loopback(self.family)),
            ],
        };
        rule.push(Part::VerdictMap(fields.to_vec(), map));
        vec![rule]
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

    fn cluster_ip_check(&self) -> Vec<Rule> {
        let mut rules =
            vec![vec![Part::In(vec![Field::Daddr], SetId::ClusterIps, true), Part::Goto(ChainId::Reject)]];
        let cidrs = self.service_cidrs.iter().filter(|net| net.prefix_len() > 0);
        rules.extend(cidrs.map(|net| vec![Part::Addr(Side::Destination, true, *net), Part::Drop]));
        rules
    }

    fn masquerading(&self) -> Vec<Rule> {
        vec![
            vec![Part::Marked(self.mark), Part::Unmark(self.mark), Part::Masquerade],
            vec![Part::Translated, Part::In(CLIENT.into(), SetId::Hairpin, true), Part::Masquerade],
        ]
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

fn loopback(family: IpFamily) -> IpNet {
    let text = if family == IpFamily::V4 { "127.0.0.0/8" } else { "::1/128" };
    parse_net(text).unwrap_or_default()
}

/// The components of a set's key: data type and length in bytes, padded.
pub fn key_parts(set: SetId, family: IpFamily) -> Vec<(u32, u32)> {
    let addr = address_part(family);
    let (proto, port, number) = ((data_type::PROTOCOL, 4), (data_type::SERVICE, 4), (data_type::INTEGER, 4));
    match set {
        SetId::ClusterIps | SetId::NodePortIps => vec![addr],
        SetId::Hairpin | SetId::Affinity(_) => vec![addr, addr, proto, port],
        SetId::AllowedSources => vec![addr, proto, port, addr],
        SetId::VipSlots(_) => vec![addr, proto, port, number],
        SetId::PortSlots(_) => vec![proto, port, number],
        SetId::NodePorts
        | SetId::PodNodePorts
        | SetId::NodeNodePorts
        | SetId::OutsideNodePorts
        | SetId::IdleNodePorts
        | SetId::AffinityNodePorts => vec![proto, port],
        SetId::RestrictedVips
        | SetId::Vips
        | SetId::PodVips
        | SetId::NodeVips
        | SetId::OutsideVips
        | SetId::IdleVips
        | SetId::AffinityVips => vec![addr, proto, port],
    }
}

/// What a set's elements lead to.
pub fn set_data(set: SetId, family: IpFamily) -> SetData {
    match set {
        SetId::ClusterIps
        | SetId::NodePortIps
        | SetId::Hairpin
        | SetId::RestrictedVips
        | SetId::AllowedSources => SetData::None,
        SetId::VipSlots(_) | SetId::PortSlots(_) | SetId::Affinity(_) => {
            let (kind, len) = address_part(family);
            SetData::Value { kind: data_type::concat(&[kind, data_type::SERVICE]), len: len + 4 }
        }
        _ => SetData::Verdict,
    }
}

/// The definition of a set.
pub fn set_spec(set: SetId, family: IpFamily) -> SetSpec {
    let parts = key_parts(set, family);
    let types: Vec<u32> = parts.iter().map(|(kind, _)| *kind).collect();
    let (flags, size) = match set {
        SetId::AllowedSources => (SetFlags::INTERVAL | SetFlags::CONCAT, 0),
        SetId::Affinity(_) => (SetFlags::DYNAMIC | SetFlags::TIMEOUT, AFFINITY_SIZE),
        _ => (0, 0),
    };
    let interval = set == SetId::AllowedSources;
    SetSpec {
        name: set.to_string(),
        flags,
        key_type: data_type::concat(&types),
        key_len: parts.iter().map(|(_, len)| len).sum(),
        data: set_data(set, family),
        size,
        fields: parts.iter().filter(|_| interval).map(|(kind, len)| field_len(*kind, *len)).collect(),
        userdata: userdata::of(set, family),
    }
}

/// The length of a key's component as nft describes it: without padding.
fn field_len(kind: u32, padded: u32) -> u32 {
    match kind {
        data_type::PROTOCOL => 1,
        data_type::SERVICE => 2,
        _ => padded,
    }
}

fn address_part(family: IpFamily) -> (u32, u32) {
    match family {
        IpFamily::V4 => (data_type::IPV4, 4),
        IpFamily::V6 => (data_type::IPV6, 16),
    }
}

/// Fingerprint of anything that defines an object. Not stable between versions, and need not be: both sides are
/// computed by the running program.
pub fn fingerprint(definition: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    definition.hash(&mut hasher);
    hasher.finish()
}
