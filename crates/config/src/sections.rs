//! The sections of `KubeProxyConfiguration`, with kube-proxy's defaults.

use serde::{Deserialize, Serialize, Serializer};

use crate::duration::GoDuration;

/// `clientConnection`: how the API server is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientConnectionConfiguration {
    /// The path of the kubeconfig; empty (default) = the service account of the pod.
    pub kubeconfig: String,
    /// The `Accept` header. Default empty. Meaningless here: towpath reads JSON.
    pub accept_content_types: String,
    /// The type of request bodies. Default `application/vnd.kubernetes.protobuf`. Meaningless here.
    pub content_type: String,
    /// Requests a second. Default 5 (also for 0). Meaningless here: towpath sends a handful in its life.
    #[serde(serialize_with = "short_float")]
    pub qps: f32,
    /// Requests at once, not below 0. Default 10 (also for 0). Meaningless here.
    pub burst: i32,
}

impl Default for ClientConnectionConfiguration {
    fn default() -> Self {
        Self {
            kubeconfig: String::new(),
            accept_content_types: String::new(),
            content_type: "application/vnd.kubernetes.protobuf".into(),
            qps: 5.0,
            burst: 10,
        }
    }
}

/// `5`, not `5.0`, as Go writes it.
fn short_float<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        return serializer.serialize_i64(*value as i64);
    }
    // By way of the shortest text: a plain widening would print 0.1 as 0.10000000149011612.
    serializer.serialize_f64(value.to_string().parse().unwrap_or_else(|_| f64::from(*value)))
}

/// `iptables`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeProxyIptablesConfiguration {
    /// The bit of the packet mark that means "masquerade", 0 to 31. Default 14. Also for mode ipvs.
    pub masquerade_bit: i32,
    /// Masquerade all traffic to ClusterIPs. Default false. Also for mode ipvs.
    pub masquerade_all: bool,
    /// NodePorts answer on 127.0.0.1 (IPv4 and mode iptables only). Default true.
    pub localhost_node_ports: bool,
    /// How often kube-proxy cleans up and looks for lost rules; above 0. Default 30s (also for 0).
    /// Here: half of the time that a change may wait before `/healthz` turns to 503.
    pub sync_period: GoDuration,
    /// The least time between two syncs, 0 to `syncPeriod`. Default 1s (also for 0). Meaningless here.
    pub min_sync_period: GoDuration,
}

impl Default for KubeProxyIptablesConfiguration {
    fn default() -> Self {
        Self {
            masquerade_bit: 14,
            masquerade_all: false,
            localhost_node_ports: true,
            sync_period: GoDuration::from_secs(30),
            min_sync_period: GoDuration::from_secs(1),
        }
    }
}

/// `nftables`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeProxyNftablesConfiguration {
    /// The bit of the packet mark that means "masquerade", 0 to 31. Default 14.
    pub masquerade_bit: i32,
    /// Masquerade all traffic to ClusterIPs. Default false.
    pub masquerade_all: bool,
    /// As in `iptables`. Default 30s (also for 0).
    pub sync_period: GoDuration,
    /// As in `iptables`. Default 1s (also for 0). Meaningless here.
    pub min_sync_period: GoDuration,
}

impl Default for KubeProxyNftablesConfiguration {
    fn default() -> Self {
        Self {
            masquerade_bit: 14,
            masquerade_all: false,
            sync_period: GoDuration::from_secs(30),
            min_sync_period: GoDuration::from_secs(1),
        }
    }
}

/// `ipvs`. Its masquerade bit and `masqueradeAll` are those of `iptables`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeProxyIpvsConfiguration {
    /// As in `iptables`. Default 30s (also for 0).
    pub sync_period: GoDuration,
    /// As in `iptables`. Default 0. Meaningless here.
    pub min_sync_period: GoDuration,
    /// The name of a [`model::Scheduler`]; empty (default) = `rr`. Checked in mode ipvs only.
    pub scheduler: String,
    /// CIDRs whose virtual servers are not ours, so never removed. Default none.
    #[serde(rename = "excludeCIDRs")]
    pub exclude_cidrs: Vec<String>,
    /// Set `arp_ignore` to 1 and `arp_announce` to 2: ARP is answered for an address only on the link that has it.
    /// Default false.
    #[serde(rename = "strictARP")]
    pub strict_arp: bool,
    /// Idle TCP connections, at most [`IPVS_TIMEOUT_LIMIT`](crate::IPVS_TIMEOUT_LIMIT); 0 (default) = leave the kernel's value.
    pub tcp_timeout: GoDuration,
    /// TCP connections after a FIN, as above; 0 (default) = leave the kernel's value.
    pub tcp_fin_timeout: GoDuration,
    /// UDP, as above; 0 (default) = leave the kernel's value.
    pub udp_timeout: GoDuration,
}

impl Default for KubeProxyIpvsConfiguration {
    fn default() -> Self {
        Self {
            sync_period: GoDuration::from_secs(30),
            min_sync_period: GoDuration::ZERO,
            scheduler: String::new(),
            exclude_cidrs: Vec::new(),
            strict_arp: false,
            tcp_timeout: GoDuration::ZERO,
            tcp_fin_timeout: GoDuration::ZERO,
            udp_timeout: GoDuration::ZERO,
        }
    }
}

/// `conntrack`: sysctls of connection tracking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeProxyConntrackConfiguration {
    /// Entries for each CPU core. Default 32768; 0 = leave `nf_conntrack_max` alone, whatever `min` says.
    pub max_per_core: i32,
    /// The least `nf_conntrack_max`. Default 131072; 0 = no floor.
    pub min: i32,
    /// `nf_conntrack_tcp_timeout_established`. Default 24h; a given 0 = leave alone.
    pub tcp_established_timeout: GoDuration,
    /// `nf_conntrack_tcp_timeout_close_wait`. Default 1h; a given 0 = leave alone.
    pub tcp_close_wait_timeout: GoDuration,
    /// Set `nf_conntrack_tcp_be_liberal` to 1. Default false = leave alone.
    pub tcp_be_liberal: bool,
    /// `nf_conntrack_udp_timeout` (no reply seen); 0 (default) = leave alone.
    pub udp_timeout: GoDuration,
    /// `nf_conntrack_udp_timeout_stream` (both ways seen); 0 (default) = leave alone.
    pub udp_stream_timeout: GoDuration,
}

impl Default for KubeProxyConntrackConfiguration {
    fn default() -> Self {
        Self {
            max_per_core: 32 * 1024,
            min: 128 * 1024,
            tcp_established_timeout: GoDuration::from_secs(24 * 3600),
            tcp_close_wait_timeout: GoDuration::from_secs(3600),
            tcp_be_liberal: false,
            udp_timeout: GoDuration::ZERO,
            udp_stream_timeout: GoDuration::ZERO,
        }
    }
}

/// `winkernel`: Windows. All of it is meaningless here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeProxyWinkernelConfiguration {
    /// The HNS network. Default empty.
    pub network_name: String,
    /// The source VIP of load balancing. Default empty.
    pub source_vip: String,
    /// Direct server return. Default false.
    #[serde(rename = "enableDSR")]
    pub enable_dsr: bool,
    /// The HNS endpoint of the root namespace. Default empty.
    pub root_hns_endpoint_name: String,
    /// Forward the VIP of health check ports. Default false.
    pub forward_health_check_vip: bool,
}
