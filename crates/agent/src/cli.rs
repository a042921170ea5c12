//! The command line. Flags that kube-proxy has go by kube-proxy's names and meanings; they are defined in `config`.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use config::{KubeProxyFlags, TowpathFlags};
use model::IpFamily;
use resolve::Mode;

use crate::client::AgentArgs;
use crate::{diff, list_flows, status, top};

/// A Kubernetes service proxy for each node.
#[derive(Debug, Parser)]
// Of a flag given twice the last counts, as in kube-proxy.
#[command(name = "towpath", version, about, max_term_width = 110, args_override_self = true)]
#[command(
    after_help = "Flags without a command mean `run`: kube-proxy's command line starts towpath as it is."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
// Parsed once.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Command {
    /// Program this node's kernel, and follow changes. Takes kube-proxy's flags.
    Run(RunArgs),
    /// Print the ruleset as text that `nft -f` reads, or iptables-restore one family; in mode ipvs with what `ipvsadm` and
    /// `ip` do as comments. Needs no privilege.
    Render(RenderArgs),
    /// Say what happens to a packet, and why: of manifests, which needs no privilege, or with --live of the agent that runs on
    /// this node, with what the kernel has.
    Explain(ExplainArgs),
    /// Compare what the kernel should have with what it has. Exit code 1: they differ; 2: it could not compare.
    Diff(diff::DiffArgs),
    /// Show how the agent on this node is doing.
    Status(status::StatusArgs),
    /// List live connections by Service and endpoint.
    Flows(list_flows::FlowsArgs),
    /// Show the busiest Services, live.
    Top(top::TopArgs),
    /// Remove all that is ours from the kernel, in every mode, and nothing else.
    Cleanup(CleanupArgs),
    /// Say what would behave otherwise with towpath in kube-proxy's place. Changes nothing. Exit code 1: something
    /// breaks; 2: it could not compare.
    Migrate(MigrateArgs),
    /// Answer DNS from manifests alone, or say how a name is answered. Needs no privilege.
    Dns(DnsArgs),
}

/// kube-proxy's flags, and ours.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) proxy: KubeProxyFlags,
    #[command(flatten)]
    pub(crate) towpath: TowpathFlags,
    /// Write nothing: compare what towpath would do with what a running kube-proxy has programmed, and report the
    /// differences by Service.
    #[arg(long, conflicts_with_all = ["cleanup", "init_only", "write_config_to"])]
    pub(crate) shadow: bool,
}

/// Objects, and whose eyes they are seen with.
#[derive(Debug, Args)]
pub(crate) struct OfflineArgs {
    /// A directory (*.yaml, *.yml, *.json) or a file.
    #[arg(long)]
    pub(crate) manifests: Option<PathBuf>,
    /// The name of the node; the same as --hostname-override.
    #[arg(long)]
    pub(crate) node: Option<String>,
    /// Addresses that the node's kernel has, beside those of the Node object. Comma-separated.
    #[arg(long, value_delimiter = ',')]
    pub(crate) node_addresses: Vec<IpAddr>,
    #[command(flatten)]
    pub(crate) proxy: KubeProxyFlags,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// Only this family. In mode iptables each has a tool of its own, so the text of both cannot be read by one.
    #[arg(long, value_enum)]
    pub(crate) family: Option<Family>,
    /// text: the ruleset; json: the objects by Service, in a stable order (docs/schemas).
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
}

/// A family, as flags name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl From<Family> for IpFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::Ipv4 => IpFamily::V4,
            Family::Ipv6 => IpFamily::V6,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Ask the agent that runs on this node, in the place of --manifests.
    #[arg(long, conflicts_with_all = ["manifests", "node", "node_addresses", "flows"], requires = "from")]
    pub(crate) live: bool,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
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
pub(crate) struct CleanupArgs {
    /// Remove what kube-proxy has left, in its place: its nft tables, its KUBE-* chains, its IPVS servers and kube-ipvs0.
    /// Ours stays.
    #[arg(long)]
    pub(crate) kube_proxy: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Compare and report.
    #[arg(long, required = true)]
    pub(crate) check: bool,
    /// Services from a directory (*.yaml, *.yml, *.json) or a file; without it, from the cluster of the kubeconfig.
    #[arg(long)]
    pub(crate) manifests: Option<PathBuf>,
    /// kube-proxy's ConfigMap in the cluster, for when there is no --config.
    #[arg(long, default_value = "kube-system/kube-proxy")]
    pub(crate) configmap: String,
    /// The mode that towpath would run in: nftables, iptables or ipvs. Default: what it takes with this configuration.
    #[arg(long, value_name = "MODE")]
    pub(crate) to: Option<Mode>,
    /// text or json.
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) proxy: KubeProxyFlags,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct DnsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DnsCommand>,
    /// Where to answer, UDP and TCP, as in 127.0.0.1:5353; port 0 = any. Comma-separated.
    #[arg(long, required = true, value_delimiter = ',', value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    #[command(flatten)]
    pub(crate) world: DnsWorld,
    /// A snapshot of the agent: names in it are answered until the manifests are there.
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot_path: Option<PathBuf>,
    /// Do not follow the files: answer what they say now.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Say how a name is answered: which search step, which object, which rule. Without --manifests, the agent that runs
    /// on this node is asked.
    Explain(DnsExplainArgs),
}

/// Objects that have names, and how they are to be answered.
#[derive(Debug, Args)]
pub(crate) struct DnsWorld {
    /// A directory (*.yaml, *.yml, *.json) or a file: Services, EndpointSlices, Namespaces, Pods, ServiceImports, Nodes.
    #[arg(long, required = true, value_name = "PATH")]
    pub(crate) manifests: Option<PathBuf>,
    /// The name of the node, for pods of this node and NSID.
    #[arg(long, default_value = "")]
    pub(crate) node: String,
    /// Addresses by which clients know this server, for NS records. Comma-separated. Default: where it listens.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    pub(crate) own_addresses: Vec<IpAddr>,
    /// A Corefile of CoreDNS. Default: as kubeadm's.
    #[arg(long, value_name = "FILE")]
    pub(crate) dns_corefile: Option<PathBuf>,
    /// A directory with stubDomains and upstreamNameservers of the ConfigMap kube-dns.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dns_stub_domains: Option<PathBuf>,
    /// The cluster's domain, where no Corefile names it.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) dns_cluster_domain: String,
}

#[derive(Debug, Args)]
pub(crate) struct DnsExplainArgs {
    /// The name, as a program asks for it. With a final dot it is not searched for.
    pub(crate) name: String,
    /// The type of record.
    #[arg(long = "type", default_value = "A", value_name = "TYPE")]
    pub(crate) rtype: String,
    /// The asking pod's address: its namespace and search list are taken into account.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<IpAddr>,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    /// Not from the agent, but from these objects. A directory (*.yaml, *.yml, *.json) or a file.
    #[arg(long, value_name = "PATH")]
    pub(crate) manifests: Option<PathBuf>,
    /// A Corefile of CoreDNS, with --manifests. Default: as kubeadm's.
    #[arg(long, value_name = "FILE", requires = "manifests")]
    pub(crate) dns_corefile: Option<PathBuf>,
    /// The cluster's domain, with --manifests and no Corefile.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) dns_cluster_domain: String,
}

/// What the program was started with, as clap is to read it: flags without a command belong to `run`, and flags are
/// spelled as kube-proxy's own parser (pflag) reads them.
pub(crate) fn prepared(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = config::normalize(args);
    if args.get(1).is_none_or(|first| is_flag(first)) {
        args.insert(args.len().min(1), "run".into());
    }
    args
}

/// Help and the version are asked of the program as a whole.
fn is_flag(arg: &OsStr) -> bool {
    let whole = ["-h", "--help", "-V", "--version"];
    arg.as_encoded_bytes().starts_with(b"-") && !whole.iter().any(|w| arg == OsStr::new(w))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let args = line.split(' ').map(OsString::from);
        Cli::try_parse_from(prepared(args)).map(|cli| cli.command).map_err(|e| e.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kube_proxys_command_line_is_taken() {
        for line in [
            "/usr/local/bin/kube-proxy --config=/var/lib/kube-proxy/config.conf --hostname-override=$(NODE_NAME)",
            "kube-proxy --hostname_override=n1 --proxy-mode=nftables -v=2",
            "towpath run --config /etc/x --v=4",
            "towpath",
        ] {
            assert!(matches!(parsed(line), Ok(Command::Run(_))), "{line}: {:?}", parsed(line));
        }
        assert!(parsed("towpath --no-such-flag").is_err());
        assert!(parsed("towpath migrate --check --to ipvs").is_ok());
        assert!(parsed("towpath migrate --check --to userspace").is_err());
        assert!(parsed("towpath dns --manifests m --listen 127.0.0.1:5353").is_ok());
        assert!(parsed("towpath dns --manifests m").is_err());
        assert!(parsed("towpath dns explain web.shop --from 10.0.0.1").is_ok());
        assert!(matches!(parsed("towpath cleanup"), Ok(Command::Cleanup(_))));
    }
}
