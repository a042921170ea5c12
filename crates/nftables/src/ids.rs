//! The names of our objects in the kernel: a fixed list of sets, and chains that are named by what they do.

use std::fmt;

use crate::slots;

/// Name of our table, in both families.
pub const TABLE: &str = "towpath";
/// Maps that the endpoint slots of VIPs are spread over. Dumping one large hash map is quadratic in the kernel.
pub const VIP_SHARDS: u8 = 32;
/// Maps that the endpoint slots of NodePorts are spread over.
pub const PORT_SHARDS: u8 = 4;
/// Maps that affinity is spread over.
pub const AFFINITY_SHARDS: u8 = 8;

/// A set or map of our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SetId {
    /// Every ClusterIP.
    ClusterIps,
    /// Addresses on which NodePorts answer.
    NodePortIps,
    /// Endpoints of this node, as connections to themselves.
    Hairpin,
    /// VIPs with limited sources.
    RestrictedVips,
    /// The sources that may use them.
    AllowedSources,
    /// Frontend -> chain: VIPs.
    Vips,
    /// Frontend -> chain: NodePorts.
    NodePorts,
    /// `externalTrafficPolicy: Local`, for this node's pods: VIPs.
    PodVips,
    /// The same for NodePorts.
    PodNodePorts,
    /// `externalTrafficPolicy: Local`, for the node itself: VIPs.
    NodeVips,
    /// The same for NodePorts.
    NodeNodePorts,
    /// `externalTrafficPolicy: Local`, for everybody else: VIPs.
    OutsideVips,
    /// The same for NodePorts.
    OutsideNodePorts,
    /// Frontend -> reject or drop: VIPs.
    IdleVips,
    /// Frontend -> reject or drop: NodePorts.
    IdleNodePorts,
    /// Frontend -> the chain that records a client's choice: VIPs.
    AffinityVips,
    /// The same for NodePorts.
    AffinityNodePorts,
    /// Endpoint slots of VIPs.
    VipSlots(u8),
    /// Endpoint slots of NodePorts.
    PortSlots(u8),
    /// Clients' choices.
    Affinity(u8),
}

impl SetId {
    /// Every set but the affinity maps, which exist only where a Service needs them.
    pub fn constant() -> impl Iterator<Item = SetId> {
        use SetId::*;
        let named = [
            ClusterIps,
            NodePortIps,
            Hairpin,
            RestrictedVips,
            AllowedSources,
            Vips,
            NodePorts,
            PodVips,
            PodNodePorts,
            NodeVips,
            NodeNodePorts,
            OutsideVips,
            OutsideNodePorts,
            IdleVips,
            IdleNodePorts,
            AffinityVips,
            AffinityNodePorts,
        ];
        let shards = (0..VIP_SHARDS).map(VipSlots).chain((0..PORT_SHARDS).map(PortSlots));
        named.into_iter().chain(shards)
    }

    /// Every set.
    pub fn all() -> impl Iterator<Item = SetId> {
        Self::constant().chain((0..AFFINITY_SHARDS).map(SetId::Affinity))
    }

    /// The set of a name.
    pub fn parse(name: &str) -> Option<SetId> {
        Self::all().find(|id| id.to_string() == name)
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            SetId::ClusterIps => "cluster-ips",
            SetId::NodePortIps => "nodeport-ips",
            SetId::Hairpin => "hairpin",
            SetId::RestrictedVips => "restricted-vips",
            SetId::AllowedSources => "allowed-sources",
            SetId::Vips => "vips",
            SetId::NodePorts => "nodeports",
            SetId::PodVips => "pod-vips",
            SetId::PodNodePorts => "pod-nodeports",
            SetId::NodeVips => "node-vips",
            SetId::NodeNodePorts => "node-nodeports",
            SetId::OutsideVips => "outside-vips",
            SetId::OutsideNodePorts => "outside-nodeports",
            SetId::IdleVips => "idle-vips",
            SetId::IdleNodePorts => "idle-nodeports",
            SetId::AffinityVips => "affinity-vips",
            SetId::AffinityNodePorts => "affinity-nodeports",
            SetId::VipSlots(shard) => return write!(f, "vip-slots-{shard:02}"),
            SetId::PortSlots(shard) => return write!(f, "port-slots-{shard}"),
            SetId::Affinity(shard) => return write!(f, "affinity-{shard}"),
        };
        f.write_str(fixed)
    }
}

/// A chain whose name says everything that it does: choose one of the endpoints of the frontend that the packet
/// addresses, which fill its first slots. See [`crate::slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// For NodePorts, not VIPs.
    pub ports: bool,
    /// The shard of slots.
    pub shard: u8,
    /// Number of slots to choose from, a class of [`crate::slots`]; some of the last may be empty.
    pub size: u16,
    /// Mark for masquerade first.
    pub masquerade: bool,
    /// The affinity map that is asked first, if the Service has affinity.
    pub affinity: Option<u8>,
}

/// A chain of our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "named as the chains are; layout.rs says what is in them")]
pub enum ChainId {
    Reject,
    Services,
    LocalPolicyVips,
    LocalPolicyNodePorts,
    Idle,
    ClusterIpCheck,
    Firewall,
    AffinityRecord,
    Pick(Pick),
    /// Records a choice in this affinity map, for this many seconds.
    Record {
        shard: u8,
        seconds: u32,
    },
    NatPrerouting,
    NatOutput,
    NatPostrouting,
    FilterInput,
    FilterForward,
    FilterOutput,
    FirewallPrerouting,
    FirewallOutput,
    AffinityInput,
    AffinityPostrouting,
}

impl ChainId {
    /// Chains that are always there.
    pub const CONSTANT: [ChainId; 12] = [
        ChainId::Reject,
        ChainId::Services,
        ChainId::LocalPolicyVips,
        ChainId::LocalPolicyNodePorts,
        ChainId::Idle,
        ChainId::ClusterIpCheck,
        ChainId::NatPrerouting,
        ChainId::NatOutput,
        ChainId::NatPostrouting,
        ChainId::FilterInput,
        ChainId::FilterForward,
        ChainId::FilterOutput,
    ];
    /// Chains that are there while a Service limits its sources.
    pub const FIREWALL: [ChainId; 3] =
        [ChainId::Firewall, ChainId::FirewallPrerouting, ChainId::FirewallOutput];
    /// Chains that are there while a Service has affinity.
    pub const AFFINITY: [ChainId; 3] =
        [ChainId::AffinityRecord, ChainId::AffinityInput, ChainId::AffinityPostrouting];

    /// The chain of a name.
    pub fn parse(name: &str) -> Option<ChainId> {
        let fixed = Self::CONSTANT.into_iter().chain(Self::FIREWALL).chain(Self::AFFINITY);
        { fixed }
            .find(|id| id.to_string() == name)
            .or_else(|| parse_pick(name).map(ChainId::Pick))
            .or_else(|| parse_record(name))
            .filter(|id| id.to_string() == name)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChainId::Reject => "reject-it",
            ChainId::Services => "services",
            ChainId::LocalPolicyVips => "local-policy-vips",
            ChainId::LocalPolicyNodePorts => "local-policy-nodeports",
            ChainId::Idle => "idle",
            ChainId::ClusterIpCheck => "cluster-ip-check",
            ChainId::Firewall => "firewall",
            ChainId::AffinityRecord => "affinity-record",
            ChainId::NatPrerouting => "nat-prerouting",
            ChainId::NatOutput => "nat-output",
            ChainId::NatPostrouting => "nat-postrouting",
            ChainId::FilterInput => "filter-input",
            ChainId::FilterForward => "filter-forward",
            ChainId::FilterOutput => "filter-output",
            ChainId::FirewallPrerouting => "firewall-prerouting",
            ChainId::FirewallOutput => "firewall-output",
            ChainId::AffinityInput => "affinity-input",
            ChainId::AffinityPostrouting => "affinity-postrouting",
            ChainId::Record { shard, seconds } => return write!(f, "record-{shard}-{seconds}s"),
            ChainId::Pick(pick) => return pick.fmt(f),
        })
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.ports { "port" } else { "vip" };
        write!(f, "pick-{kind}-{:02}-of-{}", self.shard, self.size)?;
        if self.masquerade {
            f.write_str("-masq")?;
        }
        if let Some(shard) = self.affinity {
            write!(f, "-sticky-{shard}")?;
        }
        Ok(())
    }
}

fn parse_pick(name: &str) -> Option<Pick> {
    let (kind, rest) = name.strip_prefix("pick-")?.split_once('-')?;
    let (shard, rest) = rest.split_once("-of-")?;
    let (rest, affinity) = match rest.split_once("-sticky-") {
        Some((rest, shard)) => (rest, Some(shard.parse().ok()?)),
        None => (rest, None),
    };
    let size = rest.strip_suffix("-masq").unwrap_or(rest);
    Some(Pick {
        ports: kind == "port",
        shard: shard.parse().ok()?,
        size: size.parse().ok().filter(|n| slots::is_class(*n))?,
        masquerade: rest.ends_with("-masq"),
        affinity,
    })
}

fn parse_record(name: &str) -> Option<ChainId> {
    let (shard, seconds) = name.strip_prefix("record-")?.strip_suffix('s')?.split_once('-')?;
    Some(ChainId::Record { shard: shard.parse().ok()?, seconds: seconds.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for id in SetId::all() {
            assert_eq!(SetId::parse(&id.to_string()), Some(id));
        }
        let pick = Pick { ports: true, shard: 3, size: 12, masquerade: true, affinity: Some(7) };
        assert_eq!(pick.to_string(), "pick-port-03-of-12-masq-sticky-7");
        let plain = Pick { ports: false, shard: 31, size: 1, masquerade: false, affinity: None };
        let record = ChainId::Record { shard: 2, seconds: 10800 };
        for id in [ChainId::Pick(pick), ChainId::Pick(plain), record, ChainId::Services, ChainId::Firewall] {
            assert_eq!(ChainId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for name in [
            "",
            "pick-vip-1-of-3",
            "pick-vip-01-of-0",
            "pick-vip-01-of-5",
            "pick-x-01-of-2",
            "record-1-s",
            "input",
            "record-01-5s",
        ] {
            assert_eq!(ChainId::parse(name), None, "{name}");
        }
        assert_eq!(SetId::parse("vip-slots-32"), None);
    }
}
