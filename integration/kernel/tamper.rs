//! Other programs' hands in our tables: repaired within a second, and theirs left alone.

pub(crate) mod busy;
pub(crate) mod sly;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::listable;
use crate::scenes::{FOREIGN, RICH, SMALL};
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("flushed_ruleset", || repaired("flush ruleset")),
    Test::new("deleted_table", || repaired("delete table ip6 towpath")),
    Test::new("deleted_base_chain", || repaired("delete chain ip towpath nat-prerouting")),
    Test::new("flushed_chain", || repaired("flush chain ip6 towpath services")),
    Test::new("deleted_element", || repaired("delete element ip towpath vips { 10.96.0.10 . tcp . 80 }")),
    Test::new("emptied_endpoint_slots", || repaired(&empty_all_slots())),
    Test::new("emptied_maps", || repaired("flush map ip towpath vips; flush map ip6 towpath nodeports")),
    Test::new("changed_element", || {
        repaired(
            "delete element ip towpath vips { 10.96.0.10 . tcp . 80 }
             add element ip towpath vips { 10.96.0.10 . tcp . 80 : drop }",
        )
    }),
    Test::new("stray_element", || repaired("add element ip towpath cluster-ips { 192.0.2.77 }")),
    Test::new("stray_chain_set_and_rule", || {
        repaired(
            "add chain ip towpath mine { type filter hook prerouting priority -200; }
             add rule ip towpath mine counter
             add set ip towpath my-set { type ipv4_addr; }
             add rule ip towpath services ip saddr 192.0.2.9 drop
             add chain ip6 towpath empty",
        )
    }),
    Test::new("stray_chain_with_a_way_to_ours", || {
        repaired(
            "add chain ip towpath mine
             add rule ip towpath mine jump services
             add chain ip towpath mine-too
             add rule ip towpath mine jump mine-too",
        )
    }),
    Test::new("stray_chains_and_maps_that_lead_to_one_another", || repaired(ENTANGLED)),
    Test::new("entangled_strays_of_ipv4_do_not_hinder_ipv6", other_family_goes_on),
    Test::new("hidden_by_a_change_of_ours", hidden_by_our_own_change),
    Test::new("foreign_tables_change_and_stay", foreign_tables_change),
];

/// Chains and a map of which none can go while the others are as they are, whatever their names.
const ENTANGLED: &str = "
add chain ip towpath mine
add chain ip towpath mine-too
add map ip towpath my-map { type ipv4_addr : verdict; }
add rule ip towpath mine jump mine-too
add rule ip towpath mine-too ip saddr vmap @my-map
add chain ip towpath another
add chain ip towpath yet-another
add rule ip towpath yet-another jump another
add element ip towpath my-map { 192.0.2.1 : jump another, 192.0.2.2 : goto yet-another }
";

/// When repair is due on a quiet machine: `cargo xtask bench hands` measures it.
const DEADLINE: Duration = Duration::from_secs(1);
/// On a busy one: as often the time that it takes to start a small program there, which takes some milliseconds otherwise.
const STARTS: u32 = 150;
/// A pod of the other family.
const POD6: &str = "fd00:244::5";
const REPAIRED: &str = "towpath_drift_repaired_total";

/// Tampers; then everything must be as it was, in time, counted and told.
fn repaired(script: &str) -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let before = repairs(stage)?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        stage.node().nft(script).context("the test's own script")?;
        await_repair(stage, before)?;
        // The log is written by a thread of its own.
        stage.soon("a word of it in the log", |stage| {
            ensure!(
                stage.log()?.contains("another program had changed our tables"),
                "no word of it in the log"
            );
            Ok(())
        })?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        listable(stage.node())
    })
}

fn empty_all_slots() -> String {
    (0..32).map(|shard| format!("flush map ip towpath vip-slots-{shard:02}\n")).collect()
}

pub(crate) fn repairs(stage: &Stage) -> Result<f64> {
    stage.metric(REPAIRED)
}

/// Waits until a repair is counted and nothing differs.
pub(crate) fn await_repair(stage: &mut Stage, before: f64) -> Result<()> {
    in_time(stage, DEADLINE, |stage| Ok(repairs(stage)? > before))?;
    stage.progress().map(drop)
}

/// Waits until a repair is seen, which is due then, or later in proportion on a busy machine.
pub(crate) fn in_time(stage: &Stage, due: Duration, seen: impl Fn(&Stage) -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    wait::until("a repair", 20 * due, || Ok(seen(stage)?.then_some(())))?;
    let took = start.elapsed();
    if took < due {
        return Ok(());
    }
    let mut starts = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        stage.node().command("true", &[])?;
        starts.push(start.elapsed());
    }
    let busy = starts.into_iter().max().unwrap_or_default() * STARTS;
    ensure!(
        took < busy,
        "repaired only after {took:?}; due after {due:?}, or {busy:?} on a machine as busy as this"
    );
    Ok(())
}

/// A change of ours right after somebody else's must not hide it.
fn hidden_by_our_own_change() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let before = repairs(stage)?;
        stage.node().nft("delete element ip towpath cluster-ips { 10.96.0.10 }")?;
        stage.scene.remove_endpoint(ip("10.244.1.1")?);
        stage.publish()?;
        await_repair(stage, before)?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080"])
    })
}

/// What is wrong with one family is no reason to leave the other as it was: at a start both are due at once.
fn other_family_goes_on() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD6])?.start()?.play(|stage| {
        stage.stop()?;
        stage.node().nft(ENTANGLED)?;
        stage.scene.services[0].ports[0].port = 81;
        stage.publish()?;
        stage.launch()?;
        stage.soon("the change of the IPv6 Service", |stage| {
            stage.reach(POD6, "[fd00:96::10]:81", Tcp).map(drop)
        })?;
        stage.progress().map(drop)
    })
}

/// Others may do with their tables what they like; nothing of ours is written for that.
fn foreign_tables_change() -> Result<()> {
    let mut stage = Plan::new(SMALL)?.build()?;
    // One of the foreign tables is kube-proxy's.
    stage.add_flags(&["--takeover=false"]);
    stage.start()?;
    stage.play(|stage| {
        let writes = stage.metric("towpath_kernel_writes_total")?;
        stage.node().nft(FOREIGN)?;
        let foreign = foreign_rules(stage)?;
        let full = full_syncs(stage)?;
        wait::until("a look at the kernel", 20 * DEADLINE, || Ok((full_syncs(stage)? > full).then_some(())))?;
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        ensure!(foreign_rules(stage)? == foreign, "foreign tables changed");
        stage.node().nft("delete table inet foo")?;
        ensure!(repairs(stage)? == 0.0, "something of ours was \"repaired\"");
        ensure!(stage.metric("towpath_kernel_writes_total")? > writes);
        Ok(())
    })
}

pub(crate) fn full_syncs(stage: &Stage) -> Result<f64> {
    stage.metric("kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}")
}

fn foreign_rules(stage: &Stage) -> Result<Vec<String>> {
    let tables = ["ip other", "inet foo", "inet towpath", "ip kube-proxy"];
    let list = |table: &str| {
        let words: Vec<&str> = ["list", "table"].into_iter().chain(table.split(' ')).collect();
        stage.node().command("nft", &words)
    };
    tables.into_iter().map(list).collect()
}
