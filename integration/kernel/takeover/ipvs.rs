//! A node where kube-proxy has served in mode ipvs until now: virtual servers, the link `kube-ipvs0`, ipsets, chains.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::IpFamily;
use model::Protocol::Tcp;
use testkit::kube_proxy::Cluster;
use testkit::netns::NetNs;
use testkit::wait;

use super::{Foreign, leftovers, serves};
use crate::Test;
use crate::backend::{Backend, IPVS, LEGACY, NFTABLES};
use crate::modes::{self, in_force, plan};
use crate::stage::Stage;
use crate::vs::{foreign, has_ipvs, key};
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("of_ipvs_by_ipvs", || taken_over(&IPVS)).needing(needs),
    Test::new("of_ipvs_by_nftables", || taken_over(&NFTABLES)).needing(needs),
    Test::new("of_ipvs_by_iptables_legacy", || taken_over(&LEGACY)).needing(needs),
    Test::new("of_ipvs_spares_excluded_cidrs", excluded).needing(needs),
    Test::new("of_iptables_legacy_by_ipvs", || super::taken_over(leftovers::Leftover::Legacy, &IPVS))
        .needing(has_ipvs),
    Test::new("of_nftables_by_ipvs", || super::taken_over(leftovers::Leftover::Nftables, &IPVS))
        .needing(has_ipvs),
];

/// IPVS, dummy links, and ipset with its tool.
fn needs() -> Result<(), String> {
    has_ipvs()?;
    let ns = NetNs::new().map_err(|error| format!("needs root: {error:#}"))?;
    let dummy = ns.ip_batch("link add name d0 type dummy\n");
    dummy.map_err(|_| "the kernel has no dummy links (CONFIG_DUMMY)".to_owned())?;
    for tool in [("ipset", "list"), ("ipvsadm", "-Ln")] {
        ns.command(tool.0, &[tool.1]).map_err(|error| format!("needs {}: {error:#}", tool.0))?;
    }
    Ok(())
}

/// A virtual server of somebody else at an address that kube-proxy's link does not have.
const OTHERS: &str = "192.0.2.7:80";

/// What kube-proxy has, of both families, and somebody else's virtual server beside it.
fn load(stage: &Stage) -> Result<BTreeSet<String>> {
    stage.node().set_sysctls(&[("ipv4/vs/conntrack", "1")])?;
    stage.ipvs_commands(&foreign(OTHERS, "rr", "10.244.1.1:8080", 5)?)?;
    let before = stage.ipvs_state()?;
    let cluster = leftovers::cluster(&stage.scene);
    let node = stage.node();
    node.ip_batch(&cluster.ipvs_link())?;
    for family in IpFamily::ALL {
        load_family(stage, &cluster, family).with_context(|| format!("loading {family:?}"))?;
    }
    Ok(before)
}

fn load_family(stage: &Stage, cluster: &Cluster, family: IpFamily) -> Result<()> {
    let node = stage.node();
    node.command_with_input("ipset", &["restore"], &cluster.ipsets(family))?;
    stage.restore(Variant::Legacy, family, &cluster.ipvs_iptables(family))?;
    node.command_with_input("ipvsadm", &["-R"], &cluster.ipvs_servers(family)).map(drop)
}

/// What of it is still there.
fn found(stage: &Stage) -> Result<Vec<String>> {
    let mut found = leftovers::found(stage)?;
    let sets = stage.node().command("ipset", &["list", "-n"])?;
    found.extend(sets.lines().filter(|name| name.starts_with("KUBE-")).map(str::to_owned));
    let links = stage.node().command("ip", &["-o", "link"])?;
    found.extend(links.lines().filter(|line| line.contains("kube-ipvs0")).map(str::to_owned));
    Ok(found)
}

fn taken_over(backend: &'static Backend) -> Result<()> {
    let stage = plan(backend)?.build()?;
    let rules = Foreign::load(&stage)?;
    let servers = load(&stage)?;
    serves(&stage)?;
    modes::play(stage, |stage| {
        stage.start()?;
        await_taken_over(stage, backend)?;
        unharmed(stage, &servers)?;
        rules.stays(stage)?;
        in_force_beside_others(stage, backend)?;
        stage.change(|scene| scene.slices.retain(|slice| slice.service != "ns/other"))?;
        stage.refused(crate::lifecycle::POD, "10.96.0.40:1000", Tcp)?;
        unharmed(stage, &servers)?;
        rules.stays(stage)
    })
    .with_context(|| format!("by {}", backend.name))
}

/// Mode ipvs takes the virtual servers as they are, and the rest goes. Before another mode they drain, and what they need
/// goes with the last connection.
fn await_taken_over(stage: &Stage, backend: &Backend) -> Result<()> {
    let mut last = Vec::new();
    let gone = wait::until("kube-proxy's leftovers to go", Duration::from_secs(60), || {
        last = if backend.name == IPVS.name { found(stage)? } else { leftovers::found(stage)? };
        Ok(last.is_empty().then_some(()))
    });
    gone.with_context(|| format!("still there: {last:#?}"))?;
    if backend.name == IPVS.name {
        return Ok(());
    }
    stage.soon("kube-proxy's virtual servers to drain", |stage| {
        let mut all = stage.virtual_servers()?.into_keys().filter(|key| format!("{key:?}") != others());
        let balancing =
            all.find(|key| stage.reals_of(key).is_ok_and(|r| r.values().any(|r| r.server.weight > 0)));
        ensure!(balancing.is_none(), "{balancing:?} takes new connections");
        Ok(())
    })
}

/// The key of the virtual server of somebody else.
fn others() -> String {
    key(OTHERS, Tcp).map(|key| format!("{key:?}")).unwrap_or_default()
}

/// The virtual server of somebody else balances in every mode.
fn in_force_beside_others(stage: &mut Stage, backend: &Backend) -> Result<()> {
    if backend.name == IPVS.name {
        return in_force(stage, backend);
    }
    let mode = modes::told_mode(stage)?;
    ensure!(mode == backend.mode.as_str(), "in mode {mode}");
    ensure!(modes::modes_in_kernel(stage)?.contains(&backend.name), "no rules of {}", backend.name);
    stage.progress().map(drop)
}

fn unharmed(stage: &Stage, before: &BTreeSet<String>) -> Result<()> {
    let now = stage.ipvs_state()?;
    let lost: Vec<_> = before.difference(&now).collect();
    ensure!(lost.is_empty(), "of others these are gone or changed: {lost:#?}");
    Ok(())
}

/// A virtual server at an address of kube-proxy's link is taken for kube-proxy's, unless `--ipvs-exclude-cidrs` says not.
/// Those without connections go at once.
fn excluded() -> Result<()> {
    let mut stage = plan(&IPVS)?.build()?;
    load(&stage)?;
    stage
        .node()
        .ip_batch("addr add 10.96.200.1/32 dev kube-ipvs0\naddr add 10.96.201.1/32 dev kube-ipvs0\n")?;
    let before = stage.ipvs_state()?;
    stage.ipvs_commands(&foreign("10.96.200.1:80", "rr", "10.244.1.1:8080", 5)?)?;
    let spared: BTreeSet<String> = stage.ipvs_state()?.difference(&before).cloned().collect();
    stage.ipvs_commands(&foreign("10.96.201.1:80", "rr", "10.244.1.1:8080", 5)?)?;
    stage.add_flags(&["--ipvs-exclude-cidrs", "10.96.200.0/24"]);
    stage.start()?;
    stage.play(|stage| {
        wait::until("the one that is not excluded to go", Duration::from_secs(30), || {
            let there = stage.ipvs_state()?.iter().any(|line| line.contains("10.96.201.1"));
            Ok((!there).then_some(()))
        })?;
        unharmed(stage, &spared)
    })
}
