//! The command line. Flags that kube-proxy has go by kube-proxy's names and defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// A Kubernetes service proxy for each node.
#[derive(Debug, Parser)]
// Of a flag given twice the last counts, as in kube-proxy.
#[command(name = "towpath", version, about, max_term_width = 110, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Program this node's kernel, and follow changes.
    Run(RunArgs),
    /// Print the ruleset as text that `nft -f` reads. Needs no privilege.
    Render(RenderArgs),
    /// Say what happens to a packet, and why. Needs no privilege.
    Explain(ExplainArgs),
    /// Remove all that is ours from the kernel, and nothing else.
    Cleanup(CleanupArgs),
}

/// Flags that change what a Service means.
#[derive(Clone, Debug, Args)]
pub(crate) struct MeaningArgs {
    /// nftables (iptables and ipvs: only `explain` knows them so far).
    #[arg(long, default_value = "nftables")]
    pub(crate) proxy_mode: String,
    /// Pod CIDRs, at most one of each family, comma-separated.
    #[arg(long, value_delimiter = ',')]
    pub(crate) cluster_cidr: Vec<String>,
    /// How traffic of this node's pods is recognised.
    #[arg(long, value_enum, default_value = "ClusterCIDR", ignore_case = true)]
    pub(crate) detect_local_mode: DetectLocalMode,
    /// The bridge of the pods (detect-local-mode BridgeInterface).
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) pod_bridge_interface: String,
    /// How names of the pods' links begin (detect-local-mode InterfaceNamePrefix).
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) pod_interface_name_prefix: String,
    /// Masquerade all traffic to ClusterIPs.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub(crate) masquerade_all: bool,
    /// CIDRs of the node addresses on which NodePorts answer, or `primary`. Default: primary in nftables mode, all
    /// addresses in the others.
    #[arg(long, value_delimiter = ',')]
    pub(crate) nodeport_addresses: Vec<String>,
    /// Let NodePorts answer on 127.0.0.1 (iptables mode only).
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub(crate) iptables_localhost_nodeports: bool,
    /// The bit of the packet mark that means "masquerade", 0 to 31.
    #[arg(long, default_value_t = 14)]
    pub(crate) iptables_masquerade_bit: u8,
    /// Overrides the node's primary address of its family; 0.0.0.0 and :: override nothing.
    #[arg(long, default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,
}

/// `--detect-local-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DetectLocalMode {
    /// By `--cluster-cidr`.
    #[value(name = "ClusterCIDR")]
    ClusterCidr,
    /// By the Node's podCIDRs.
    #[value(name = "NodeCIDR")]
    NodeCidr,
    /// By `--pod-bridge-interface`.
    #[value(name = "BridgeInterface")]
    BridgeInterface,
    /// By `--pod-interface-name-prefix`.
    #[value(name = "InterfaceNamePrefix")]
    InterfaceNamePrefix,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Where Services come from.
    #[arg(long, value_enum, default_value = "manifests")]
    pub(crate) source: Source,
    /// A directory (*.yaml, *.yml, *.json) or a file, for --source manifests. Followed.
    #[arg(long)]
    pub(crate) manifests: Option<PathBuf>,
    /// The name of this node. Default: the host's name, in lower case.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) hostname_override: String,
    /// Where /healthz and /livez answer; empty = nowhere.
    #[arg(long, default_value = "0.0.0.0:10256", value_parser = optional_address)]
    pub(crate) healthz_bind_address: OptionalAddress,
    /// Where /metrics, /proxyMode and /debug/rules answer; empty = nowhere.
    #[arg(long, default_value = "127.0.0.1:10249", value_parser = optional_address)]
    pub(crate) metrics_bind_address: OptionalAddress,
    /// Exit when an address cannot be bound, instead of trying again every five seconds.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub(crate) bind_address_hard_fail: bool,
    /// Log level: 0 to 2 information, 3 and 4 debug, 5 and more trace.
    #[arg(short, long = "v", default_value_t = 0)]
    pub(crate) verbosity: u8,
    /// Log format.
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) logging_format: String,
    #[command(flatten)]
    pub(crate) meaning: MeaningArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// A directory or file of manifests.
    Manifests,
}

/// An address to listen on, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OptionalAddress(pub(crate) Option<SocketAddr>);

/// `IP:PORT`, or an IP alone; clap shows the message.
fn optional_address(text: &str) -> Result<OptionalAddress, String> {
    if text.is_empty() {
        return Ok(OptionalAddress(None));
    }
    text.parse()
        .map(|a| OptionalAddress(Some(a)))
        .map_err(|_| "expected IP:PORT, as in 127.0.0.1:10249".into())
}

/// Objects, and whose eyes they are seen with.
#[derive(Debug, Args)]
pub(crate) struct OfflineArgs {
    /// A directory (*.yaml, *.yml, *.json) or a file.
    #[arg(long)]
    pub(crate) manifests: PathBuf,
    /// The name of the node.
    #[arg(long, alias = "hostname-override")]
    pub(crate) node: String,
    /// Addresses that the node's kernel has, beside those of the Node object. Comma-separated.
    #[arg(long, value_delimiter = ',')]
    pub(crate) node_addresses: Vec<IpAddr>,
    #[command(flatten)]
    pub(crate) meaning: MeaningArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
    /// The packet's source address.
    #[arg(long, required_unless_present = "flows", requires = "to")]
    pub(crate) from: Option<IpAddr>,
    /// Its destination: IP:PORT/PROTO, as in 10.96.0.10:53/udp; IPv6 as [addr]:port/proto.
    #[arg(long, required_unless_present = "flows", requires = "from")]
    pub(crate) to: Option<String>,
    /// The link that it arrived on, for interface-based detection of local pods.
    #[arg(long)]
    pub(crate) from_interface: Option<String>,
    /// Packets as JSON objects, one a line: {"from": IP, "to": "IP:PORT", "proto": "tcp"}; `-` = standard input.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub(crate) flows: Option<PathBuf>,
    /// text or json. --flows answers in JSON always.
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) output: String,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {}
