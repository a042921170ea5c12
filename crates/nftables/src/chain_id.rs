//! The names of our chains.

use std::fmt;

use crate::slots;
use crate::style::Style;

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
    FirewallNodePorts,
    AffinityRecord,
    Pick(Pick),
    /// Leaves the packet to IPVS.
    Balance {
        /// Marked for masquerade first.
        masquerade: bool,
    },
    /// Records a choice in this affinity map, for this many seconds.
    Record {
        shard: u8,
        seconds: u32,
    },
    NatPrerouting,
    NatOutput,
    NatPostrouting,
    FilterInput,
    /// After IPVS: what it did not take.
    FilterInputLate,
    FilterForward,
    FilterOutput,
    FirewallPrerouting,
    FirewallOutput,
    FirewallNodePortsPrerouting,
    FirewallNodePortsOutput,
    AffinityInput,
    AffinityPostrouting,
}

impl ChainId {
    /// Chains that are always there, in either style.
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
    /// Chains that are always there in [`Style::Ipvs`], and never in the other.
    pub const IPVS: [ChainId; 3] = [
        ChainId::Balance { masquerade: false },
        ChainId::Balance { masquerade: true },
        ChainId::FilterInputLate,
    ];
    /// Chains that are there while a Service limits its sources.
    pub const FIREWALL: [ChainId; 3] =
        [ChainId::Firewall, ChainId::FirewallPrerouting, ChainId::FirewallOutput];
    /// Chains that are there while a Service limits the sources of its NodePorts.
    pub const NODE_PORT_FIREWALL: [ChainId; 3] =
        [ChainId::FirewallNodePorts, ChainId::FirewallNodePortsPrerouting, ChainId::FirewallNodePortsOutput];
    /// Chains that are there while a Service has affinity.
    pub const AFFINITY: [ChainId; 3] =
        [ChainId::AffinityRecord, ChainId::AffinityInput, ChainId::AffinityPostrouting];

    /// Chains that are always there in a style.
    pub fn constant(style: Style) -> impl Iterator<Item = ChainId> {
        let all = Self::CONSTANT.into_iter().chain(Self::IPVS);
        all.filter(move |id| id.is_in(style))
    }

    /// Whether tables of this style may have the chain.
    pub fn is_in(self, style: Style) -> bool {
        style == Style::Ipvs || !Self::IPVS.contains(&self)
    }

    /// The chain of a name, if tables of this style may have it.
    pub fn parse_in(name: &str, style: Style) -> Option<ChainId> {
        Self::parse(name).filter(|id| id.is_in(style))
    }

    /// The chain of a name, of any style.
    pub fn parse(name: &str) -> Option<ChainId> {
        let firewalls = Self::FIREWALL.into_iter().chain(Self::NODE_PORT_FIREWALL);
        let fixed = Self::constant(Style::Ipvs).chain(firewalls).chain(Self::AFFINITY);
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
            ChainId::FirewallNodePorts => "firewall-nodeports",
            ChainId::FirewallNodePortsPrerouting => "firewall-nodeports-prerouting",
            ChainId::FirewallNodePortsOutput => "firewall-nodeports-output",
            ChainId::AffinityRecord => "affinity-record",
            ChainId::NatPrerouting => "nat-prerouting",
            ChainId::NatOutput => "nat-output",
            ChainId::NatPostrouting => "nat-postrouting",
            ChainId::FilterInput => "filter-input",
            ChainId::FilterInputLate => "filter-input-late",
            ChainId::FilterForward => "filter-forward",
            ChainId::FilterOutput => "filter-output",
            ChainId::FirewallPrerouting => "firewall-prerouting",
            ChainId::FirewallOutput => "firewall-output",
            ChainId::AffinityInput => "affinity-input",
            ChainId::AffinityPostrouting => "affinity-postrouting",
            ChainId::Balance { masquerade: false } => "to-ipvs",
            ChainId::Balance { masquerade: true } => "to-ipvs-masq",
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
