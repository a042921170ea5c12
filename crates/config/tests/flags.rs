//! Command lines, as people have them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;

use clap::{CommandFactory, Parser};
use towpath_config::{
    KubeProxyConfiguration, KubeProxyFlags, LocalMode, ProxyMode, Settings, Source, TowpathFlags, load,
    normalize,
};

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    proxy: KubeProxyFlags,
    #[command(flatten)]
    towpath: TowpathFlags,
}

fn try_parse(line: &str) -> Result<Cli, clap::Error> {
    let args = ["towpath"].into_iter().chain(line.split_whitespace()).map(OsString::from);
    Cli::try_parse_from(normalize(args))
}

fn parse(line: &str) -> Cli {
    try_parse(line).unwrap_or_else(|error| panic!("{line}\n{error}"))
}

fn run(line: &str) -> Settings {
    let cli = parse(line);
    load(None, &cli.proxy, &cli.towpath).unwrap_or_else(|problems| panic!("{line}\n{problems}"))
}

#[test]
fn clap_is_content() {
    Cli::command().debug_assert();
}

#[test]
fn kubeadm_and_eks() {
    let cli = parse("--config=/var/lib/kube-proxy/config.conf --hostname-override=$(NODE_NAME)");
    assert_eq!(cli.proxy.config.unwrap().to_str(), Some("/var/lib/kube-proxy/config.conf"));
    let cli = parse("--v=2 --config=/var/lib/kube-proxy-config/config --hostname-override=x");
    assert_eq!((cli.proxy.v, cli.proxy.hostname_override.as_deref()), (Some(2), Some("x")));
}

#[test]
fn k3s() {
    let settings = run(
        "--cluster-cidr=10.42.0.0/16 --conntrack-max-per-core=0 --conntrack-tcp-timeout-close-wait=0s \
        --conntrack-tcp-timeout-established=0s --healthz-bind-address=127.0.0.1 --hostname-override=x --kubeconfig=/y \
        --proxy-mode=iptables",
    );
    let config = &settings.proxy;
    assert_eq!(config.proxy_mode(), Some(ProxyMode::Iptables));
    assert_eq!(config.conntrack.max_per_core, 0);
    assert!(config.conntrack.tcp_established_timeout.is_zero());
    assert_eq!(config.healthz_address().unwrap().to_string(), "127.0.0.1:10256");
    assert_eq!(config.client_connection.kubeconfig, "/y");
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn gke() {
    let settings = run("--master=https://1.2.3.4 --kubeconfig=/var/lib/kube-proxy/kubeconfig \
        --cluster-cidr=10.8.0.0/14 --oom-score-adj=-998 --v=2 --iptables-sync-period=1m \
        --iptables-min-sync-period=10s --ipvs-sync-period=1m --ipvs-min-sync-period=10s --detect-local-mode=NodeCIDR");
    let config = &settings.proxy;
    assert_eq!((config.oom_score_adj, config.logging.verbosity), (-998, 2));
    assert_eq!(config.local_mode(), LocalMode::NodeCidr);
    assert_eq!(config.iptables.sync_period.to_string(), "1m0s");
    assert_eq!(config.ipvs.sync_period.to_string(), "30s", "the flags of ipvs are for its mode alone");
    let [idle] = &settings.warnings[..] else { panic!("{:?}", settings.warnings) };
    assert!(idle.contains("iptables.minSyncPeriod") && idle.contains("nftables.minSyncPeriod"), "{idle}");
}

#[test]
fn values_as_pflag_reads_them() {
    type Check = fn(&KubeProxyConfiguration) -> bool;
    let table: &[(&str, Check)] = &[
        ("--masquerade-all", |c| c.iptables.masquerade_all && c.nftables.masquerade_all),
        ("--masquerade-all=false", |c| !c.iptables.masquerade_all),
        ("--masquerade-all=T", |c| c.iptables.masquerade_all),
        ("--iptables-localhost-nodeports=0", |c| !c.iptables.localhost_node_ports),
        ("--oom-score-adj -998", |c| c.oom_score_adj == -998),
        ("-v 4", |c| c.logging.verbosity == 4),
        ("-v=4", |c| c.logging.verbosity == 4),
        ("-v4", |c| c.logging.verbosity == 4),
        ("--v 3 -v=5", |c| c.logging.verbosity == 5),
        ("--proxy_mode=ipvs --ipvs_min_sync_period=2s", |c| c.ipvs.min_sync_period.to_string() == "2s"),
        ("--nodeport-addresses=10.0.0.0/8,fd00::/8", |c| c.node_port_addresses.len() == 2),
        ("--nodeport-addresses=10.0.0.0/8 --nodeport-addresses fd00::/8", |c| {
            c.node_port_addresses.len() == 2
        }),
        ("--nodeport-addresses=", |c| c.node_port_addresses.is_empty()),
        ("--feature-gates=A=true,B=false --feature-gates=B=true", |c| {
            c.gate("A") == Some(true) && c.gate("B") == Some(true)
        }),
        ("--bind-address=192.168.1.1", |c| c.bind_address == "192.168.1.1"),
        ("--bind-address=", |c| c.bind_address == "0.0.0.0"),
        ("--bind-address=::", |c| c.healthz_bind_address == "0.0.0.0:10256"),
        ("--metrics-bind-address=[::1]", |c| c.metrics_bind_address == "127.0.0.1:10249"),
        ("--metrics-bind-address=::1", |c| c.metrics_bind_address == "[::1]:10249"),
        ("--metrics-bind-address=", |c| c.metrics_address().is_none()),
        ("--healthz-port=0", |c| c.healthz_address().is_none()),
        ("--healthz-port=81", |c| c.healthz_bind_address == "0.0.0.0:10256"),
        ("--healthz-port=81 --healthz-bind-address=127.0.0.1", |c| c.healthz_bind_address == "127.0.0.1:81"),
        ("--hostname-override=NODE-1", |c| c.hostname_override == "node-1"),
        ("--iptables-min-sync-period=0", |c| c.iptables.min_sync_period.is_zero()),
        ("--kube-api-qps=0.5 --kube-api-burst=3", |c| c.client_connection.qps == 0.5),
        ("--vmodule=a=1,b*=2", |c| c.logging.vmodule.len() == 2),
        ("--log_dir=/x --alsologtostderr --stderrthreshold 2 --source-vip=1.2.3.4", |_| true),
    ];
    for (line, check) in table {
        if line.contains("[::1] ") || line.ends_with("=[::1]") {
            assert!(try_parse(line).is_err(), "{line}");
            continue;
        }
        assert!(check(&run(line).proxy), "{line}");
    }
}

#[test]
fn refused_in_words() {
    for (line, want) in [
        ("--masquerade-all true", "unexpected argument 'true'"),
        ("--masquerade-all=yes", "write true or false"),
        ("--oom-score-adj=x", "write a whole number of 32 bits"),
        ("--iptables-sync-period=5", "write a duration, a number with a unit"),
        ("--bind-address=node", "write an IP address"),
        ("--healthz-bind-address=0.0.0.0:99999", "write IP:PORT with a port from 1 to 65535"),
        ("--feature-gates=A", "write Name=true or Name=false"),
        ("--v=-1", "write a level"),
        ("-proxy-mode=ipvs", "unexpected argument"),
        ("--source=etcd", "kubernetes, manifests"),
    ] {
        let error = try_parse(line).expect_err(line).to_string();
        assert!(error.contains(want), "{line}\n{error}");
    }
    let cli = parse("--proxy-mode=x --oom-score-adj=5000 --healthz-port=-1 --iptables-sync-period=-1s");
    let problems = load(None, &cli.proxy, &cli.towpath).unwrap_err();
    let mut fields: Vec<&str> = problems.0.iter().map(|problem| problem.field.as_str()).collect();
    fields.dedup();
    let want = [
        "--healthz-port",
        "--proxy-mode",
        "--iptables-sync-period",
        "--iptables-min-sync-period",
        "--oom-score-adj",
    ];
    assert_eq!(fields, want, "{problems:#}");
}

#[test]
fn what_beats_a_file() {
    let file = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
        mode: nftables\nhostnameOverride: file\nclusterCIDR: 10.0.0.0/8\nlogging: {verbosity: 1, format: json}\n---\n\
        apiVersion: towpath.dev/v1alpha1\nkind: TowpathConfiguration\nsource: manifests\nmanifests: /file\n";
    let cli = parse(
        "--proxy-mode=ipvs --hostname-override=flag --v=7 --cluster-cidr=1.0.0.0/8 --master=x \
        --feature-gates=A=true --manifests=/flag --events=false --snapshot-after=1m",
    );
    let settings = load(Some(file), &cli.proxy, &cli.towpath).unwrap();
    let proxy = &settings.proxy;
    assert_eq!((proxy.mode.as_str(), proxy.hostname_override.as_str()), ("nftables", "flag"));
    assert_eq!((proxy.cluster_cidr.as_str(), proxy.logging.verbosity), ("10.0.0.0/8", 7));
    assert_eq!(proxy.logging.format, "json");
    let towpath = &settings.towpath;
    assert_eq!((towpath.source, towpath.events), (Source::Manifests, false));
    assert_eq!(
        (towpath.manifests.to_str(), towpath.snapshot.after.to_string()),
        (Some("/flag"), "1m0s".into())
    );
    let want = "so they are ignored: --cluster-cidr, --feature-gates, --proxy-mode";
    assert!(settings.warnings[0].ends_with(want), "{:?}", settings.warnings);
    assert_eq!(settings.warnings.len(), 1);
}
