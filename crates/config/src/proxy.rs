//! `KubeProxyConfiguration` of `kubeproxy.config.k8s.io/v1alpha1`: every field, with kube-proxy's defaults.
//!
//! Sources: the types in k8s.io/kube-proxy/config/v1alpha1/types.go, the defaults in
//! pkg/proxy/apis/config/v1alpha1/defaults.go (Kubernetes 1.36).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::logging::LoggingConfiguration;
use crate::sections::{
    ClientConnectionConfiguration, KubeProxyConntrackConfiguration, KubeProxyIptablesConfiguration,
    KubeProxyIpvsConfiguration, KubeProxyNftablesConfiguration, KubeProxyWinkernelConfiguration,
};

/// kube-proxy's settings. `Default` is what kube-proxy runs with when nothing is given.
///
/// A field that v1alpha1 has as a pointer is a plain value here: absent and `null` have become the default
/// by the time that this exists, and a given `0` is still `0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeProxyConfiguration {
    /// Feature gates by name. Default: none given. See [`crate::GATES`].
    pub feature_gates: BTreeMap<String, bool>,
    /// How the API server is reached.
    pub client_connection: ClientConnectionConfiguration,
    /// The log's form and detail.
    pub logging: LoggingConfiguration,
    /// The name of this Node; empty (default) = the host's name. Read it through
    /// [`node_name_override`](Self::node_name_override).
    pub hostname_override: String,
    /// Overrides the primary IP of the Node; nothing is bound to it. Default `0.0.0.0`; an unspecified
    /// address overrides nothing. See [`primary_ip`](Self::primary_ip).
    pub bind_address: String,
    /// Where `/healthz` and `/livez` answer. Default `0.0.0.0:10256`, or `[::]:10256` when `bindAddress` is
    /// IPv6; an IP alone gets the port. Empty = nowhere, which only flags can say.
    pub healthz_bind_address: String,
    /// Where `/metrics` and its neighbours answer. Default `127.0.0.1:10249`, or `[::1]:10249` when
    /// `bindAddress` is IPv6; an IP alone gets the port. Empty = nowhere, which only flags can say.
    pub metrics_bind_address: String,
    /// Exit when one of the two addresses cannot be bound, instead of trying again. Default false.
    pub bind_address_hard_fail: bool,
    /// Go's profiler on the metrics address. Default false. Meaningless here.
    pub enable_profiling: bool,
    /// `<major>.<minor>` whose hidden metrics are shown. Default empty. Meaningless here.
    pub show_hidden_metrics_for_version: String,
    /// `iptables`, `ipvs` or `nftables`; empty (default) or `auto` = choose. See [`proxy_mode`](Self::proxy_mode).
    pub mode: String,
    /// For mode iptables; the masquerade bit and `masqueradeAll` also for mode ipvs.
    pub iptables: KubeProxyIptablesConfiguration,
    /// For mode ipvs.
    pub ipvs: KubeProxyIpvsConfiguration,
    /// For mode nftables.
    pub nftables: KubeProxyNftablesConfiguration,
    /// For Windows. Meaningless here.
    pub winkernel: KubeProxyWinkernelConfiguration,
    /// `ClusterCIDR` (also for empty, the default), `NodeCIDR`, `BridgeInterface` or `InterfaceNamePrefix`. See
    /// [`local_mode`](Self::local_mode).
    pub detect_local_mode: String,
    /// The interfaces of the last two modes.
    pub detect_local: DetectLocalConfiguration,
    /// The pods' CIDR, or a pair `IPv4,IPv6` in any order. Default empty: local pods cannot be told.
    #[serde(rename = "clusterCIDR")]
    pub cluster_cidr: String,
    /// CIDRs of the node addresses on which NodePorts answer, or `primary` alone; 1.37's words `localhost`
    /// and `all` stand for their CIDRs. Default empty: `primary` in mode nftables, all addresses in the others.
    pub node_port_addresses: Vec<String>,
    /// The process's `oom_score_adj`, -1000 to 1000. Default -999.
    pub oom_score_adj: i32,
    /// sysctls of connection tracking, set once at start.
    pub conntrack: KubeProxyConntrackConfiguration,
    /// How often kube-proxy compares its cache with itself; above 0. Default 15m. Meaningless here.
    pub config_sync_period: GoDuration,
    /// Ports of the userspace mode, which is gone. Default empty. Meaningless here, and in kube-proxy.
    pub port_range: String,
    /// Run as a service of Windows. Default false. Meaningless here.
    pub windows_run_as_service: bool,
}

/// `detectLocal`: what the modes BridgeInterface and InterfaceNamePrefix look for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DetectLocalConfiguration {
    /// The bridge that pods' traffic comes from (mode BridgeInterface); 1 to 15 bytes. Default empty.
    pub bridge_interface: String,
    /// How the names of pods' interfaces begin (mode InterfaceNamePrefix); 1 to 15 bytes. Default empty.
    pub interface_name_prefix: String,
}

impl Default for KubeProxyConfiguration {
    fn default() -> Self {
        Self {
            feature_gates: BTreeMap::new(),
            client_connection: ClientConnectionConfiguration::default(),
            logging: LoggingConfiguration::default(),
            hostname_override: String::new(),
            bind_address: "0.0.0.0".into(),
            healthz_bind_address: "0.0.0.0:10256".into(),
            metrics_bind_address: "127.0.0.1:10249".into(),
            bind_address_hard_fail: false,
            enable_profiling: false,
            show_hidden_metrics_for_version: String::new(),
            mode: String::new(),
            iptables: KubeProxyIptablesConfiguration::default(),
            ipvs: KubeProxyIpvsConfiguration::default(),
            nftables: KubeProxyNftablesConfiguration::default(),
            winkernel: KubeProxyWinkernelConfiguration::default(),
            detect_local_mode: String::new(),
            detect_local: DetectLocalConfiguration::default(),
            cluster_cidr: String::new(),
            node_port_addresses: Vec::new(),
            oom_score_adj: -999,
            conntrack: KubeProxyConntrackConfiguration::default(),
            config_sync_period: GoDuration::from_secs(15 * 60),
            port_range: String::new(),
            windows_run_as_service: false,
        }
    }
}
