//! The node of a case and the settings of the program on it.

use std::net::IpAddr;

use serde::Deserialize;

use super::{FlowCase, FlowTable};

/// A dataplane, as in `--proxy-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// iptables.
    Iptables,
    /// nf_tables.
    Nftables,
    /// IPVS.
    Ipvs,
}

impl Mode {
    /// The flag's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Iptables => "iptables",
            Mode::Nftables => "nftables",
            Mode::Ipvs => "ipvs",
        }
    }
}

/// The node's primary address of each family.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeIp {
    /// IPv4.
    #[serde(rename = "4")]
    pub v4: Option<IpAddr>,
    /// IPv6.
    #[serde(rename = "6")]
    pub v6: Option<IpAddr>,
}

impl NodeIp {
    /// Both, as far as they are there.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.into_iter().chain(self.v6)
    }
}

/// Settings of every case that does not override them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The Node object's name.
    pub node_name: String,
    /// Its primary addresses.
    pub node_ip: NodeIp,
    /// All its addresses but loopback.
    pub node_ips: Vec<IpAddr>,
    /// Its zone; empty for none.
    pub zone: String,
    /// Where local pods live, for detect-local.
    pub local_pod_cidrs: Vec<String>,
    /// `spec.cidrs` of the ServiceCIDR.
    pub service_cidrs: Vec<String>,
    /// `--masquerade-all`.
    pub masquerade_all: bool,
    /// `--iptables-localhost-nodeports`.
    pub localhost_nodeports: bool,
}

/// Settings whose default depends on the dataplane.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendDefaults {
    /// Where NodePorts are served; empty for every address.
    pub nodeport_addresses: Vec<String>,
}

/// What a case sets otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// See [`Defaults::zone`].
    pub zone: Option<String>,
    /// See [`Defaults::local_pod_cidrs`].
    pub local_pod_cidrs: Option<Vec<String>>,
    /// See [`Defaults::masquerade_all`].
    pub masquerade_all: Option<bool>,
    /// See [`Defaults::localhost_nodeports`].
    pub localhost_nodeports: Option<bool>,
    /// See [`BackendDefaults::nodeport_addresses`].
    pub nodeport_addresses: Option<Vec<String>>,
}

/// What holds for one case under one dataplane: defaults, then the dataplane's, then the case's own.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Defaults with the case's overrides.
    pub node: Defaults,
    /// Where NodePorts are served; empty for every address.
    pub nodeport_addresses: Vec<String>,
    /// The case itself said so (otherwise it is what the program must default to).
    pub nodeport_addresses_given: bool,
}

impl FlowTable {
    /// The settings of one case under one dataplane.
    pub fn config(&self, case: &FlowCase, mode: Mode) -> NodeConfig {
        let own = case.config.clone();
        let given = own.nodeport_addresses.is_some();
        let of_mode = self.backend_defaults.get(&mode).map(|d| d.nodeport_addresses.clone());
        let mut node = self.defaults.clone();
        node.zone = own.zone.unwrap_or(node.zone);
        node.local_pod_cidrs = own.local_pod_cidrs.unwrap_or(node.local_pod_cidrs);
        node.masquerade_all = own.masquerade_all.unwrap_or(node.masquerade_all);
        node.localhost_nodeports = own.localhost_nodeports.unwrap_or(node.localhost_nodeports);
        NodeConfig {
            node,
            nodeport_addresses: own.nodeport_addresses.or(of_mode).unwrap_or_default(),
            nodeport_addresses_given: given,
        }
    }
}
