//! The names of our objects in the kernel: a fixed list of sets, and chains that are named by what they do.

use std::fmt;

pub use crate::chain_id::{ChainId, Pick};
use crate::style::Style;

/// Name of our table in [`Style::Dnat`], in both families.
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
    /// NodePorts with limited sources. This and the next two are there only while a Service has that.
    RestrictedNodePorts,
    /// The sources that may use them.
    NodePortSources,
    /// VIPs at an address of the node that take it from such a NodePort.
    ShadowingVips,
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
    /// Virtual servers of IPVS that are ours. Only in [`Style::Ipvs`]; who makes the virtual servers writes it.
    VirtualServers,
    /// VIPs that reach this node by routes of ours alone: not ClusterIPs, nor addresses of the node. Only in
    /// [`Style::Ipvs`].
    RoutedVips,
    /// The ports on which somebody answers for a Service's health. Only in [`Style::Ipvs`].
    HealthPorts,
}

impl SetId {
    /// The sets that are there while a Service limits the sources of its NodePorts.
    pub const NODE_PORT_FIREWALL: [SetId; 3] =
        [SetId::RestrictedNodePorts, SetId::NodePortSources, SetId::ShadowingVips];

    /// Every set of a style but those that exist only where a Service needs them: affinity maps, and
    /// [`SetId::NODE_PORT_FIREWALL`].
    pub fn constant(style: Style) -> impl Iterator<Item = SetId> {
        Self::named().filter(move |id| id.is_in(style))
    }

    /// Whether tables of this style may have the set.
    pub fn is_in(self, style: Style) -> bool {
        style == Style::Ipvs
            || !matches!(self, SetId::VirtualServers | SetId::RoutedVips | SetId::HealthPorts)
    }

    fn named() -> impl Iterator<Item = SetId> {
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
            VirtualServers,
            RoutedVips,
            HealthPorts,
        ];
        let shards = (0..VIP_SHARDS).map(VipSlots).chain((0..PORT_SHARDS).map(PortSlots));
        named.into_iter().chain(shards)
    }

    /// Every set of any style.
    pub fn all() -> impl Iterator<Item = SetId> {
        Self::named().chain((0..AFFINITY_SHARDS).map(SetId::Affinity)).chain(Self::NODE_PORT_FIREWALL)
    }

    /// The set of a name, of any style.
    pub fn parse(name: &str) -> Option<SetId> {
        Self::all().find(|id| id.to_string() == name)
    }

    /// The set of a name, if tables of this style may have it.
    pub fn parse_in(name: &str, style: Style) -> Option<SetId> {
        Self::parse(name).filter(|id| id.is_in(style))
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
            SetId::RestrictedNodePorts => "restricted-nodeports",
            SetId::NodePortSources => "nodeport-sources",
            SetId::ShadowingVips => "shadowing-vips",
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
            SetId::VirtualServers => "virtual-servers",
            SetId::RoutedVips => "routed-vips",
            SetId::HealthPorts => "health-ports",
            SetId::VipSlots(shard) => return write!(f, "vip-slots-{shard:02}"),
            SetId::PortSlots(shard) => return write!(f, "port-slots-{shard}"),
            SetId::Affinity(shard) => return write!(f, "affinity-{shard}"),
        };
        f.write_str(fixed)
    }
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
    fn what_belongs_to_the_other_style_is_foreign() {
        for name in ["virtual-servers", "routed-vips", "health-ports"] {
            assert_eq!(SetId::parse_in(name, Style::Dnat), None, "{name}");
            assert!(SetId::parse_in(name, Style::Ipvs).is_some(), "{name}");
        }
        for name in ["to-ipvs", "to-ipvs-masq", "filter-input-late"] {
            assert_eq!(ChainId::parse_in(name, Style::Dnat), None, "{name}");
            assert!(ChainId::parse_in(name, Style::Ipvs).is_some(), "{name}");
        }
        for style in [Style::Dnat, Style::Ipvs] {
            assert!(SetId::constant(style).all(|id| SetId::parse_in(&id.to_string(), style) == Some(id)));
            assert!(ChainId::constant(style).all(|id| ChainId::parse_in(&id.to_string(), style) == Some(id)));
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
