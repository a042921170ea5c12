//! The command line of kube-proxy (Kubernetes 1.36, Linux), with its names, types and meaning.
//!
//! Every value is optional, so that "given" is known; the defaults are those of the file. Source:
//! cmd/kube-proxy/app/options.go, k8s.io/component-base/logs/api/v1/options.go.

mod apply;
mod argv;
mod ignored;
mod names;
mod towpath;
mod values;

use std::path::PathBuf;

use clap::Args;

use crate::duration::GoDuration;

pub use argv::normalize;
pub use ignored::IgnoredFlags;
pub(crate) use names::flag_of;
pub use towpath::TowpathFlags;
pub use values::{FeatureGates, VModule};
use values::{bind_address, boolean, duration, integer, ip, level};

/// kube-proxy's flags.
///
/// As in kube-proxy, `--config` beats all flags that have a field in the file, but `--hostname-override` and
/// the flags of the log. Use it in a command with `args_override_self = true`: of a flag given twice the last
/// counts.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct KubeProxyFlags {
    /// The path of the configuration file.
    #[arg(long, allow_hyphen_values = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Write the settings to this file, and exit.
    #[arg(long, allow_hyphen_values = true, value_name = "PATH")]
    pub write_config_to: Option<PathBuf>,
    /// Remove all that is ours from the kernel, and exit.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub cleanup: Option<bool>,
    /// Do only what needs full privileges, and exit; then CAP_NET_ADMIN is enough.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub init_only: Option<bool>,
    /// The address of the API server; beats the kubeconfig.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub master: Option<String>,
    /// The name of this Node. Default: the host's name, in lower case. Beats the file.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub hostname_override: Option<String>,
    /// The kubeconfig. Default: the service account of the pod.
    #[arg(long, allow_hyphen_values = true, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Content type of requests. Default: application/vnd.kubernetes.protobuf.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub kube_api_content_type: Option<String>,
    /// Requests at once. Default: 10.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer)]
    pub kube_api_burst: Option<i32>,
    /// Requests a second. Default: 5.
    #[arg(long, allow_hyphen_values = true, value_name = "N")]
    pub kube_api_qps: Option<f32>,
    /// How often informers resync. Default: 15m.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub config_sync_period: Option<GoDuration>,
    /// Gates as Name=true,Other=false; may be repeated.
    #[arg(long, allow_hyphen_values = true, value_name = "LIST")]
    pub feature_gates: Vec<FeatureGates>,
    /// This node's primary IP; nothing is bound to it. Default: 0.0.0.0 = take it from the Node.
    #[arg(long, allow_hyphen_values = true, value_name = "IP", value_parser = ip)]
    pub bind_address: Option<String>,
    /// Exit when an address cannot be bound, instead of trying again. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub bind_address_hard_fail: Option<bool>,
    /// Where /healthz and /livez answer; empty = nowhere. Default: 0.0.0.0:10256.
    #[arg(long, allow_hyphen_values = true, value_name = "IP:PORT", value_parser = bind_address)]
    pub healthz_bind_address: Option<String>,
    /// Where /metrics answers; empty = nowhere. Default: 127.0.0.1:10249.
    #[arg(long, allow_hyphen_values = true, value_name = "IP:PORT", value_parser = bind_address)]
    pub metrics_bind_address: Option<String>,
    /// The port of a --healthz-bind-address without one; 0 = nowhere. Deprecated.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer, hide = true)]
    pub healthz_port: Option<i32>,
    /// The port of a --metrics-bind-address without one; 0 = nowhere. Deprecated.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer, hide = true)]
    pub metrics_port: Option<i32>,
    /// Go's profiler. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub profiling: Option<bool>,
    /// The version whose hidden metrics are shown, as in 1.35.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub show_hidden_metrics_for_version: Option<String>,
    /// nftables, iptables or ipvs; auto = nftables where the kernel can, else iptables. Default: auto.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub proxy_mode: Option<String>,
    /// The mark's bit that means "masquerade", 0 to 31 (modes iptables and ipvs). Default: 14.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer)]
    pub iptables_masquerade_bit: Option<i32>,
    /// Masquerade all traffic to ClusterIPs. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub masquerade_all: Option<bool>,
    /// NodePorts answer on 127.0.0.1 (mode iptables). Default: true.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub iptables_localhost_nodeports: Option<bool>,
    /// Half of the deadline of /healthz (modes iptables and nftables). Default: 30s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub iptables_sync_period: Option<GoDuration>,
    /// The least time between syncs (modes iptables and nftables). Default: 1s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub iptables_min_sync_period: Option<GoDuration>,
    /// Half of the deadline of /healthz (mode ipvs). Default: 30s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub ipvs_sync_period: Option<GoDuration>,
    /// The least time between syncs (mode ipvs). Default: 0s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub ipvs_min_sync_period: Option<GoDuration>,
    /// The scheduler of mode ipvs. Default: rr.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub ipvs_scheduler: Option<String>,
    /// CIDRs of virtual servers that are not ours, comma-separated.
    #[arg(long, allow_hyphen_values = true, value_name = "LIST", value_delimiter = ',')]
    pub ipvs_exclude_cidrs: Option<Vec<String>>,
    /// Answer ARP for an address only on the link that has it (mode ipvs). Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub ipvs_strict_arp: Option<bool>,
    /// Timeout of idle TCP connections in mode ipvs; 0 = leave alone. Default: 0s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub ipvs_tcp_timeout: Option<GoDuration>,
    /// Timeout after a FIN in mode ipvs; 0 = leave alone. Default: 0s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub ipvs_tcpfin_timeout: Option<GoDuration>,
    /// Timeout of UDP in mode ipvs; 0 = leave alone. Default: 0s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub ipvs_udp_timeout: Option<GoDuration>,
    /// ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix. Default: ClusterCIDR.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub detect_local_mode: Option<String>,
    /// The bridge of the pods (mode BridgeInterface).
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub pod_bridge_interface: Option<String>,
    /// How names of the pods' interfaces begin (mode InterfaceNamePrefix).
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub pod_interface_name_prefix: Option<String>,
    /// The pods' CIDR, or an IPv4 and an IPv6 one with a comma.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub cluster_cidr: Option<String>,
    /// CIDRs of the node addresses on which NodePorts answer, or primary.
    #[arg(long, allow_hyphen_values = true, value_name = "LIST", value_delimiter = ',')]
    pub nodeport_addresses: Option<Vec<String>>,
    /// The process's oom_score_adj, -1000 to 1000. Default: -999.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer)]
    pub oom_score_adj: Option<i32>,
    /// nf_conntrack_max for each core; 0 = leave alone. Default: 32768.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer)]
    pub conntrack_max_per_core: Option<i32>,
    /// The least nf_conntrack_max. Default: 131072.
    #[arg(long, allow_hyphen_values = true, value_name = "N", value_parser = integer)]
    pub conntrack_min: Option<i32>,
    /// Timeout of idle TCP connections; 0 = leave alone. Default: 24h.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub conntrack_tcp_timeout_established: Option<GoDuration>,
    /// Timeout of TCP in CLOSE_WAIT; 0 = leave alone. Default: 1h.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub conntrack_tcp_timeout_close_wait: Option<GoDuration>,
    /// Set nf_conntrack_tcp_be_liberal. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub conntrack_tcp_be_liberal: Option<bool>,
    /// Timeout of UDP without reply; 0 = leave alone. Default: 0s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub conntrack_udp_timeout: Option<GoDuration>,
    /// Timeout of UDP with replies; 0 = leave alone. Default: 0s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub conntrack_udp_timeout_stream: Option<GoDuration>,
    /// Log level. Default: 0. Beats the file.
    #[arg(short = 'v', long = "v", allow_hyphen_values = true, value_name = "N", value_parser = level)]
    pub v: Option<u32>,
    /// Log levels of single source files, as name=N,other=N.
    #[arg(long, allow_hyphen_values = true, value_name = "LIST")]
    pub vmodule: Option<VModule>,
    /// text or json. Default: text. Beats the file.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT")]
    pub logging_format: Option<String>,
    /// How long the log may be buffered. Default: 5s.
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = duration)]
    pub log_flush_frequency: Option<GoDuration>,
    /// Errors to standard error, the rest to standard output (format json).
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub log_json_split_stream: Option<bool>,
    /// Buffer of the rest (format json).
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT", hide = true)]
    pub log_json_info_buffer_size: Option<String>,
    /// The same for format text.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub log_text_split_stream: Option<bool>,
    /// The same for format text.
    #[arg(long, allow_hyphen_values = true, value_name = "TEXT", hide = true)]
    pub log_text_info_buffer_size: Option<String>,
    /// Flags that are accepted and mean nothing here.
    #[command(flatten)]
    pub ignored: IgnoredFlags,
}
