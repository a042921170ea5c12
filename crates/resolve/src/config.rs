//! The settings that change what a Service means.

use ipnet::IpNet;
use model::{NamespacedName, Scheduler};

/// The dataplane, where behaviour differs between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// nf_tables maps.
    #[default]
    Nftables,
    /// iptables chains.
    Iptables,
    /// IPVS virtual servers.
    Ipvs,
}

impl Mode {
    /// The word that selects it (`--proxy-mode`).
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Nftables => "nftables",
            Mode::Iptables => "iptables",
            Mode::Ipvs => "ipvs",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Mode::Nftables, Mode::Iptables, Mode::Ipvs]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no proxy mode: use nftables, iptables or ipvs"))
    }
}

/// How traffic of this node's pods is recognised (`--detect-local-mode`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectLocal {
    /// Sources in `--cluster-cidr`; the first of each family counts. Empty = no detection.
    ClusterCidr(Vec<IpNet>),
    /// Sources in the Node's `spec.podCIDRs`; the first of each family counts.
    NodeCidr,
    /// Packets that arrive on this bridge.
    BridgeInterface(String),
    /// Packets that arrive on a link whose name begins so.
    InterfaceNamePrefix(String),
}

/// One entry of `--nodeport-addresses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePortSelector {
    /// The node's primary address of each family.
    Primary,
    /// Node addresses in this prefix.
    Net(IpNet),
}

/// The settings that change what a Service means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The dataplane.
    pub mode: Mode,
    /// How local pods are recognised.
    pub detect_local: DetectLocal,
    /// Masquerade all traffic to ClusterIPs (`--masquerade-all`).
    pub masquerade_all: bool,
    /// Where NodePorts answer; empty = the mode's default.
    pub nodeport_addresses: Vec<NodePortSelector>,
    /// NodePorts on 127.0.0.0/8 in iptables mode (`--iptables-localhost-nodeports`).
    pub localhost_nodeports: bool,
    /// Bit of the packet mark that means "masquerade" (`--iptables-masquerade-bit`, 0 to 31).
    pub masquerade_bit: u8,
    /// Honour hints for nodes (feature gate PreferSameTrafficDistribution, GA in Kubernetes 1.35).
    pub node_hints: bool,
    /// Mode ipvs: the scheduler of Services that name none (`--ipvs-scheduler`).
    pub scheduler: Scheduler,
    /// Mode ipvs: the Service whose VIPs have no virtual servers, since a server on this node answers there now and then.
    /// nf_tables translates its connections.
    pub by_rules: Option<NamespacedName>,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            detect_local: DetectLocal::ClusterCidr(Vec::new()),
            masquerade_all: false,
            nodeport_addresses: Vec::new(),
            localhost_nodeports: true,
            masquerade_bit: 14,
            node_hints: true,
            scheduler: Scheduler::default(),
            by_rules: None,
        }
    }
}
