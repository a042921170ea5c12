//! Flags that cannot be: one line on standard error says what to fix, and nothing is written.

use anyhow::{Context, Result, ensure};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::Test;
use crate::agent::run_to_end;
use crate::rules::generation;
use crate::vs;

pub(crate) const TESTS: &[Test] = &[
    Test::new("unknown_flag", || refused(&["--no-such-flag"], "--no-such-flag")),
    Test::new("flag_without_its_value", || refused(&["--cluster-cidr"], "--cluster-cidr")),
    Test::new("bad_cluster_cidr", || refused(&["--cluster-cidr", "10.0.0.0/33"], "--cluster-cidr")),
    Test::new("two_cluster_cidrs_of_a_family", || {
        refused(&["--cluster-cidr", "10.0.0.0/8,11.0.0.0/8"], "--cluster-cidr")
    }),
    Test::new("bad_nodeport_addresses", || {
        refused(&["--nodeport-addresses", "192.168.0.0"], "--nodeport-addresses")
    }),
    Test::new("primary_among_cidrs", || {
        refused(&["--nodeport-addresses", "primary,10.0.0.0/8"], "--nodeport-addresses")
    }),
    Test::new("bridge_mode_without_a_bridge", || {
        refused(&["--detect-local-mode", "BridgeInterface"], "--pod-bridge-interface")
    }),
    Test::new("prefix_mode_without_a_prefix", || {
        refused(&["--detect-local-mode", "InterfaceNamePrefix"], "--pod-interface-name-prefix")
    }),
    Test::new("prefix_that_is_too_long", || {
        let mode = ["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix"];
        refused(&[mode[0], mode[1], mode[2], "sixteen-is-a-lot"], "--pod-interface-name-prefix")
    }),
    Test::new("unknown_detect_local_mode", || {
        refused(&["--detect-local-mode", "Guess"], "--detect-local-mode")
    }),
    Test::new("masquerade_bit_32", || refused(&["--iptables-masquerade-bit", "32"], "masquerade-bit")),
    Test::new("unknown_proxy_mode", || refused(&["--proxy-mode", "userspace"], "--proxy-mode")),
    Test::new("ipvs_where_the_kernel_has_none", || refused(&["--proxy-mode", "ipvs"], "IPVS"))
        .needing(vs::has_no_ipvs),
    Test::new("unknown_ipvs_scheduler", || {
        refused(&["--proxy-mode", "ipvs", "--ipvs-scheduler", "best"], "--ipvs-scheduler")
    }),
    Test::new("bad_ipvs_exclude_cidr", || {
        refused(&["--proxy-mode", "ipvs", "--ipvs-exclude-cidrs", "10.0.0.0"], "--ipvs-exclude-cidrs")
    }),
    Test::new("unknown_iptables_variant", || refused(&["--iptables-variant", "best"], "--iptables-variant")),
    Test::new("a_shadow_that_would_remove_rules", || refused(&["--shadow", "--cleanup"], "--shadow")),
    Test::new("bad_address_to_listen_on", || {
        refused(&["--metrics-bind-address", "localhost"], "--metrics-bind-address")
    }),
    Test::new("manifests_that_are_not_there", || {
        refuses(&["run", "--manifests", "no/such/place"], "no/such/place")
    }),
    Test::new("no_manifests_named", || refuses(&["run", "--source", "manifests"], "manifests")),
    Test::new("neither_kubeconfig_nor_cluster", || refuses(&["run"], "--kubeconfig")),
    Test::new("a_kubeconfig_that_is_not_there", || {
        refuses(&["--kubeconfig", "no/such/kubeconfig"], "no/such/kubeconfig")
    }),
    Test::new("a_config_that_is_not_there", || refuses(&["--config=no/such/file"], "no/such/file")),
    Test::new("an_address_that_is_taken_and_must_be_had", || {
        let flags = ["--bind-address-hard-fail", "--healthz-bind-address", "192.0.2.1:10256"];
        refused_after_start(&flags, "192.0.2.1:10256")
    }),
];

/// `towpath run` on an empty directory with these flags.
fn refused(flags: &[&str], named: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let path = scratch.path().to_str().context("the scratch directory's name")?;
    let all: Vec<&str> = ["run", "--manifests", path].into_iter().chain(flags.iter().copied()).collect();
    refuses(&all, named)
}

fn refuses(args: &[&str], named: &str) -> Result<()> {
    let ns = NetNs::new()?;
    let before = generation(&ns)?;
    let said = failure(&ns, args)?;
    let lines: Vec<&str> = said.lines().collect();
    ensure!(lines.len() == 1, "{} lines on standard error:\n{said}", lines.len());
    ensure!(said.starts_with("towpath: ") && said.contains(named), "{named:?} is not named in: {said}");
    ensure!(generation(&ns)? == before, "something was written");
    Ok(())
}

/// What it says on standard error when it fails.
fn failure(ns: &NetNs, args: &[&str]) -> Result<String> {
    let output = run_to_end(ns, args)?;
    ensure!(!output.status.success(), "towpath {} succeeded", args.join(" "));
    ensure!(output.stdout.is_empty(), "something is on standard output");
    Ok(String::from_utf8(output.stderr)?)
}

/// It has begun to log by then; the last line is what counts.
fn refused_after_start(flags: &[&str], named: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let path = scratch.path().to_str().context("the scratch directory's name")?;
    let all: Vec<&str> = ["run", "--manifests", path].into_iter().chain(flags.iter().copied()).collect();
    let said = failure(&NetNs::new()?, &all)?;
    let last = said.lines().last().unwrap_or_default();
    ensure!(last.starts_with("towpath: ") && last.contains(named), "{named:?} is not named in: {last}");
    Ok(())
}
