//! The meaning of the fields that are text: modes, addresses, CIDRs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use model::{parse_ip, parse_net};

use crate::address::parse_address;
use crate::duration::GoDuration;
use crate::proxy::KubeProxyConfiguration;

/// `mode`, when it is given. Names are kube-proxy's, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// `iptables`.
    Iptables,
    /// `ipvs`.
    Ipvs,
    /// `nftables`.
    Nftables,
}

impl fmt::Display for ProxyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
            Self::Nftables => "nftables",
        })
    }
}

impl FromStr for ProxyMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "iptables" => Ok(Self::Iptables),
            "ipvs" => Ok(Self::Ipvs),
            "nftables" => Ok(Self::Nftables),
            "userspace" => {
                Err("this mode went with Kubernetes 1.26: write nftables, iptables or ipvs".into())
            }
            "kernelspace" => Err("this mode is for Windows: write nftables, iptables or ipvs".into()),
            _ => Err("is not a mode: write nftables, iptables or ipvs, or auto to choose".into()),
        }
    }
}

/// `detectLocalMode`: how traffic of this node's pods is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalMode {
    /// By `clusterCIDR`.
    #[default]
    ClusterCidr,
    /// By the podCIDRs of this Node.
    NodeCidr,
    /// By `detectLocal.bridgeInterface`.
    BridgeInterface,
    /// By `detectLocal.interfaceNamePrefix`.
    InterfaceNamePrefix,
}

impl FromStr for LocalMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "ClusterCIDR" => Ok(Self::ClusterCidr),
            "NodeCIDR" => Ok(Self::NodeCidr),
            "BridgeInterface" => Ok(Self::BridgeInterface),
            "InterfaceNamePrefix" => Ok(Self::InterfaceNamePrefix),
            _ => Err("is not a mode: write ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix \
                      (letter case counts), or leave it empty for ClusterCIDR"
                .into()),
        }
    }
}

/// One item of `nodePortAddresses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePortAddress {
    /// `primary`: the Node's own addresses.
    Primary,
    /// The node's addresses in this CIDR.
    Net(IpNet),
}

/// What the active mode takes from its section of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSettings {
    /// Masquerade all traffic to ClusterIPs.
    pub masquerade_all: bool,
    /// The bit of the packet mark that means "masquerade", 0 to 31.
    pub masquerade_bit: u8,
    /// Half of the time that a change may wait before `/healthz` turns to 503.
    pub sync_period: Duration,
}

impl KubeProxyConfiguration {
    /// The mode that was asked for; `None` = choose.
    pub fn proxy_mode(&self) -> Option<ProxyMode> {
        self.mode.parse().ok()
    }

    /// Whether the mode is to be chosen: `mode` is empty, or `auto`, a word of towpath's own.
    pub fn chooses_mode(&self) -> bool {
        matches!(self.mode.as_str(), "" | "auto")
    }

    /// How pods' traffic is recognised.
    pub fn local_mode(&self) -> LocalMode {
        self.detect_local_mode.parse().unwrap_or_default()
    }

    /// The name of this Node, if one is given: without spaces around it, in lower case.
    pub fn node_name_override(&self) -> Option<String> {
        Some(self.hostname_override.trim().to_lowercase()).filter(|name| !name.is_empty())
    }

    /// The primary IP of this Node, if `bindAddress` overrides it.
    pub fn primary_ip(&self) -> Option<IpAddr> {
        parse_ip(&self.bind_address).ok().filter(|ip| !ip.is_unspecified())
    }

    /// Where `/healthz` and `/livez` answer; `None` = nowhere.
    pub fn healthz_address(&self) -> Option<SocketAddr> {
        parse_address(&self.healthz_bind_address).ok()
    }

    /// Where `/metrics` and its neighbours answer; `None` = nowhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        parse_address(&self.metrics_bind_address).ok()
    }

    /// The pods' CIDRs, at most one of each family.
    pub fn cluster_cidrs(&self) -> Vec<IpNet> {
        comma_separated(&self.cluster_cidr).filter_map(|text| parse_net(text).ok()).collect()
    }

    /// The node addresses on which NodePorts answer; none = the mode's default.
    pub fn node_port_selectors(&self) -> Vec<NodePortAddress> {
        self.node_port_addresses.iter().filter_map(|text| node_port_address(text).ok()).flatten().collect()
    }

    /// Whether a feature gate is given, and how.
    pub fn gate(&self, name: &str) -> Option<bool> {
        self.feature_gates.get(name).copied()
    }

    /// What `mode`, given or chosen, takes from its section.
    ///
    /// When `mode` is empty (or `auto`), kube-proxy reads the section `iptables`, so files have their settings there.
    /// Where towpath then chooses nftables, each setting that the section `nftables` leaves at its default is
    /// taken from `iptables`.
    pub fn mode_settings(&self, mode: ProxyMode) -> ModeSettings {
        let (iptables, nftables) = (&self.iptables, &self.nftables);
        let (masquerade_all, bit, sync_period) = match mode {
            ProxyMode::Iptables => (iptables.masquerade_all, iptables.masquerade_bit, iptables.sync_period),
            ProxyMode::Ipvs => (iptables.masquerade_all, iptables.masquerade_bit, self.ipvs.sync_period),
            ProxyMode::Nftables if self.chooses_mode() => self.chosen_nftables(),
            ProxyMode::Nftables => (nftables.masquerade_all, nftables.masquerade_bit, nftables.sync_period),
        };
        let masquerade_bit = u8::try_from(bit).unwrap_or(14);
        ModeSettings { masquerade_all, masquerade_bit, sync_period: sync_period.as_std() }
    }

    fn chosen_nftables(&self) -> (bool, i32, GoDuration) {
        let (iptables, nftables) = (&self.iptables, &self.nftables);
        let default = crate::sections::KubeProxyNftablesConfiguration::default();
        let is_given =
            (nftables.masquerade_bit != default.masquerade_bit, nftables.sync_period != default.sync_period);
        (
            nftables.masquerade_all || iptables.masquerade_all,
            if is_given.0 { nftables.masquerade_bit } else { iptables.masquerade_bit },
            if is_given.1 { nftables.sync_period } else { iptables.sync_period },
        )
    }
}

/// The items of a list in one text; nothing between two commas is no item.
pub(crate) fn comma_separated(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// What one item of `nodePortAddresses` stands for.
pub(crate) fn node_port_address(text: &str) -> Result<Vec<NodePortAddress>, String> {
    let nets: &[&str] = match text {
        "primary" => return Ok(vec![NodePortAddress::Primary]),
        "localhost" => &["127.0.0.0/8", "::1/128"],
        "all" => &["0.0.0.0/0", "::/0"],
        text => &[text],
    };
    let parsed: Result<_, _> = nets.iter().map(|net| parse_net(net).map(NodePortAddress::Net)).collect();
    parsed.map_err(|_| "is not a CIDR: write one as in 192.168.0.0/16, or the single word primary".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut KubeProxyConfiguration)) -> KubeProxyConfiguration {
        let mut config = KubeProxyConfiguration::default();
        change(&mut config);
        config
    }

    #[test]
    fn settings_come_from_the_section_of_the_mode() {
        let both = |mode: &str| {
            config(|c| {
                c.mode = mode.into();
                c.iptables.masquerade_bit = 10;
                c.iptables.masquerade_all = true;
                c.iptables.sync_period = GoDuration::from_secs(10);
                c.nftables.sync_period = GoDuration::from_secs(20);
                c.ipvs.sync_period = GoDuration::from_secs(40);
            })
        };
        for (given, mode, bit, all, seconds) in [
            ("iptables", ProxyMode::Iptables, 10, true, 10),
            ("ipvs", ProxyMode::Ipvs, 10, true, 40),
            ("nftables", ProxyMode::Nftables, 14, false, 20),
            ("", ProxyMode::Nftables, 10, true, 20),
            ("", ProxyMode::Iptables, 10, true, 10),
        ] {
            let want = ModeSettings {
                masquerade_all: all,
                masquerade_bit: bit,
                sync_period: Duration::from_secs(seconds),
            };
            assert_eq!(both(given).mode_settings(mode), want, "mode {given:?}, running {mode}");
        }
    }

    #[test]
    fn names_and_addresses() {
        let c = config(|c| {
            c.hostname_override = " Node-1 ".into();
            c.bind_address = "192.168.1.9".into();
            c.cluster_cidr = "10.244.0.0/16,fd00::/48".into();
            c.node_port_addresses = vec!["localhost".into(), "10.0.0.0/8".into()];
        });
        assert_eq!(c.node_name_override().as_deref(), Some("node-1"));
        assert_eq!(c.primary_ip().unwrap().to_string(), "192.168.1.9");
        assert_eq!(c.cluster_cidrs().len(), 2);
        assert_eq!(c.node_port_selectors().len(), 3);
        let default = KubeProxyConfiguration::default();
        assert_eq!((default.primary_ip(), default.node_name_override()), (None, None));
        assert_eq!((default.proxy_mode(), default.local_mode()), (None, LocalMode::ClusterCidr));
    }
}
