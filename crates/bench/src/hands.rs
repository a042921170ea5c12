//! How soon each kind of tamper is repaired, in each mode: from the end of the command that did it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::agent::write_cluster;
use crate::data::Size;
use crate::process::Agent;
use crate::stats;

/// A comparison is paid for by fifty times what it took: so long, and a little longer, the agent is left alone after it.
const PAID: u32 = 60;
/// At least so long, and on to another moment of the agent's pace.
const REST: Duration = Duration::from_millis(600);
const REPAIRS: &str = "towpath_repairs_total{of=\"rules\"}";
const COMPARED: &str = "kubeproxy_sync_full_proxy_rules_duration_seconds_sum{ip_family=\"IPv4\"}";

/// A command that lays hands on our rules.
type Hand = &'static [&'static str];

const BY_NFT: &[Hand] = &[
    &["nft", "flush", "ruleset"],
    &["nft", "delete", "table", "ip6", "towpath"],
    &["nft", "flush", "map", "ip", "towpath", "vip-slots-07"],
    &["nft", "flush", "chain", "ip", "towpath", "services"],
    &["nft", "insert", "rule", "ip", "towpath", "services", "ip", "daddr", "192.0.2.1", "drop"],
    &["nft", "add", "table", "ip", "towpath", "{ flags dormant; }"],
];
const OF_LEGACY: &[Hand] = &[
    &["iptables-legacy", "-w", "-t", "nat", "-D", "TOWPATH-SERVICES", "1"],
    &["iptables-legacy", "-w", "-t", "nat", "-F"],
    &["iptables-legacy", "-w", "-t", "nat", "-D", "PREROUTING", "1"],
    &["iptables-legacy", "-w", "-t", "filter", "-I", "TOWPATH-FORWARD", "-j", "DROP"],
];
const OF_NFT: &[Hand] = &[
    &["iptables-nft", "-t", "nat", "-D", "TOWPATH-SERVICES", "1"],
    &["iptables-nft", "-t", "nat", "-F"],
    &["iptables-nft", "-t", "nat", "-D", "PREROUTING", "1"],
    &["iptables-nft", "-t", "filter", "-I", "TOWPATH-FORWARD", "-j", "DROP"],
];

/// In each mode but ipvs, which most kernels of developers do not have.
pub(crate) fn measure(size: Size, repetitions: u32) -> Result<()> {
    one_mode("nftables", &["--proxy-mode", "nftables"], BY_NFT, size, repetitions)?;
    for (variant, hands) in [("legacy", OF_LEGACY), ("nft", OF_NFT)] {
        let flags = ["--proxy-mode", "iptables", "--iptables-variant", variant];
        one_mode(&format!("iptables, {variant}"), &flags, hands, size, repetitions)?;
    }
    Ok(())
}

fn one_mode(mode: &str, flags: &[&str], hands: &[Hand], size: Size, repetitions: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    write_cluster(scratch.path(), size)?;
    let namespace = NetNs::new()?;
    let path = scratch.path().to_string_lossy();
    let own = ["--cluster-cidr", "20.0.0.0/8", "--manifests", &*path];
    let agent = Agent::spawn(&namespace, &[&own, flags].concat())?;
    agent.await_sync()?;
    for hand in hands {
        let (mut times, mut compared) = (Vec::new(), Duration::ZERO);
        for n in 0..repetitions {
            thread::sleep((compared * PAID).max(REST) + Duration::from_millis(u64::from(n * 37 % 250)));
            let before = agent.metric(COMPARED)?;
            times.push(repair(&namespace, &agent, hand)?);
            compared = Duration::from_secs_f64((agent.metric(COMPARED)? - before).max(0.0));
        }
        stats::print(&format!("{mode}: {}", hand.join(" ")), times);
    }
    Ok(())
}

fn repair(namespace: &NetNs, agent: &Agent<'_>, hand: Hand) -> Result<Duration> {
    let before = agent.metric(REPAIRS)?;
    let (program, args) = hand.split_first().context("an empty command")?;
    namespace.command(program, args)?;
    let started = Instant::now();
    while agent.metric(REPAIRS).unwrap_or(before) <= before {
        ensure!(started.elapsed() < Duration::from_secs(60), "{hand:?}: no repair within a minute");
        thread::sleep(Duration::from_millis(2));
    }
    Ok(started.elapsed())
}
