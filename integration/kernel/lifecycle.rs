//! Start, restart, cleanup, and death at a bad moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use model::Protocol::Tcp;
use testkit::scene::Scene;
use testkit::wait;
use testkit::world::World;

use crate::agent::run_to_end;
use crate::packets::{ANSWER, answer};
use crate::plan::Plan;
use crate::rules::{generation, listable};
use crate::scenes::{FOREIGN, RICH, SMALL};
use crate::stage::{Stage, ip, socket};
use crate::{Test, stage};

pub(crate) const TESTS: &[Test] = &[
    Test::new("restart_with_nothing_changed_writes_nothing", restart_writes_nothing),
    Test::new("restart_writes_only_what_changed_meanwhile", restart_writes_what_changed).not_in_ipvs(),
    Test::new("connections_are_answered_all_through_a_restart", restart_is_not_noticed),
    Test::new("rules_stay_when_the_program_ends_and_serve", rules_stay),
    Test::new("cleanup_removes_ours_and_nothing_else", cleanup_removes_only_ours).not_in_ipvs(),
    Test::new("cleanup_with_nothing_there_is_fine", cleanup_of_nothing),
    Test::new("an_older_layout_is_replaced_at_once", older_layout_is_replaced).not_in_ipvs(),
    Test::new("killed_while_it_loads_it_heals_at_the_next_start", killed_while_loading).not_in_ipvs(),
    Test::new("a_named_program_that_is_not_there_fails_the_run", missing_program_fails).not_in_ipvs(),
];

/// A local pod that is nobody's endpoint.
pub(crate) const POD: &str = "10.244.9.9";

fn restart_writes_nothing() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        stage.stop()?;
        // Another order of the same objects is nothing new.
        stage.scene.slices.reverse();
        stage.scene.services.reverse();
        stage.scene.slices.iter_mut().for_each(|slice| slice.endpoints.reverse());
        // Slices are named by their order, and they must keep their names.
        stage.scene.slices.sort_by_key(|slice| (slice.service.clone(), slice.family));
        stage.publish()?;
        let before = generation(stage.node())?;
        stage.start()?;
        let after = generation(stage.node())?;
        ensure!(before == after, "the generation moved from {before} to {after}");
        let writes = stage.metric("towpath_kernel_writes_total")?;
        ensure!(writes == 0.0, "{writes} objects were written");
        listable(stage.node())
    })
}

fn restart_writes_what_changed() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        stage.stop()?;
        stage.scene.remove_endpoint(ip("10.244.1.1")?);
        stage.publish()?;
        stage.start()?;
        let writes = stage.metric("towpath_kernel_writes_total")?;
        ensure!((1.0..60.0).contains(&writes), "{writes} objects were written for one endpoint");
        stage.reaches(stage::NODE, "10.96.0.10:80", Tcp, &["10.244.0.1:8080"])
    })
}

/// Connects again and again until told to stop; every connection must be answered.
fn keep_asking(world: &World, to: &str, stop: &AtomicBool) -> Result<usize> {
    let (from, to) = (ip(POD)?, socket(to)?);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) || count == 0 {
        answer(&world.probe(from, to, Tcp, ANSWER)?)?;
        count += 1;
    }
    Ok(count)
}

/// Does something while a pod keeps connecting, and never waits or fails.
pub(crate) fn while_asking(
    stage: &mut Stage,
    to: &'static str,
    act: impl FnOnce(&mut Stage) -> Result<()>,
) -> Result<()> {
    let (world, stop) = (Arc::clone(&stage.world), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&stop);
    let asking = thread::spawn(move || keep_asking(&world, to, &told));
    let acted = act(stage);
    stop.store(true, Ordering::Relaxed);
    let asked = asking.join().map_err(|_| anyhow!("the client panicked"))?;
    acted.and(asked.map(drop))
}

fn restart_is_not_noticed() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        while_asking(stage, "10.96.0.10:80", |stage| {
            stage.stop()?;
            stage.start()?;
            stage.kill()?;
            stage.start()
        })
    })
}

fn rules_stay() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let before = generation(stage.node())?;
        stage.stop()?;
        ensure!(generation(stage.node())? == before, "leaving wrote something");
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])
    })
}

fn ruleset(stage: &Stage) -> Result<String> {
    stage.node().command("nft", &["-a", "list", "ruleset"])
}

fn cleanup(stage: &Stage) -> Result<()> {
    let output = run_to_end(stage.node(), &["cleanup"])?;
    ensure!(output.status.success(), "cleanup: {output:?}");
    Ok(())
}

fn cleanup_removes_only_ours() -> Result<()> {
    let mut stage = Plan::new(RICH)?.build()?;
    // One of the foreign tables is kube-proxy's.
    stage.add_flags(&["--takeover=false"]);
    stage.node().nft(FOREIGN)?;
    let foreign = ruleset(&stage)?;
    stage.start()?;
    stage.play(|stage| {
        ensure!(ruleset(stage)? != foreign, "nothing was programmed");
        stage.stop()?;
        cleanup(stage)?;
        let left = ruleset(stage)?;
        ensure!(left == foreign, "left:\n{left}\nwant:\n{foreign}");
        Ok(())
    })
}

fn cleanup_of_nothing() -> Result<()> {
    let stage = Plan::new(SMALL)?.build()?;
    cleanup(&stage)?;
    cleanup(&stage)?;
    let left = ruleset(&stage)?;
    ensure!(left.is_empty(), "left:\n{left}");
    Ok(())
}

/// An earlier version's table, with a set of ours of another type. Its last good state serves until the very
/// transaction that replaces it.
const OLDER: &str = "
table ip towpath {
    map vips { type ipv4_addr : verdict; elements = { 10.96.0.10 : goto web } }
    set of-old { type inet_service; elements = { 1 } }
    chain web { tcp dport 80 dnat to 10.244.1.1:8080; }
    chain nat-prerouting { type nat hook prerouting priority -100; ip daddr vmap @vips; }
}
table ip6 towpath {
    chain old { type filter hook input priority 7; counter; }
}
";

fn older_layout_is_replaced() -> Result<()> {
    let stage = Plan::new(SMALL)?.hosts(&[POD])?.build()?;
    stage.node().nft(OLDER)?;
    stage.play(|stage| {
        while_asking(stage, "10.96.0.10:80", Stage::start)?;
        let left = ruleset(stage)?;
        ensure!(!left.contains("of-old") && !left.contains("chain old"), "something old is left:\n{left}");
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])
    })
}

/// Adds so many Services without endpoints.
pub(crate) fn many(scene: &mut Scene, count: u16) {
    for number in 0..count {
        let mut copy = scene.services[0].clone();
        copy.name = format!("many/s{number}");
        let [high, low] = number.to_be_bytes();
        copy.cluster_ips = vec![[10, 96, 16 + high, low].into()];
        copy.lb_ingress.clear();
        copy.ports.iter_mut().for_each(|port| port.node_port = None);
        scene.services.push(copy);
    }
}

/// Kills it right after it has committed for the n-th time.
fn kill_after_commits(stage: &mut Stage, count: u32) -> Result<()> {
    let before = generation(stage.node())?;
    stage.launch()?;
    wait::until("the program to write", Duration::from_secs(10), || {
        Ok((generation(stage.node())?.wrapping_sub(before) >= count).then_some(()))
    })?;
    stage.kill()?;
    listable(stage.node())
}

fn killed_while_loading() -> Result<()> {
    let stage = Plan::new(SMALL)?.hosts(&[POD])?.with(|scene| many(scene, 3000)).build()?;
    stage.play(|stage| {
        for commits in 1..=2 {
            kill_after_commits(stage, commits)?;
            stage.start()?;
            stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
            stage.refused(POD, "10.96.18.18:80", Tcp)?;
            stage.stop()?;
            cleanup(stage)?;
        }
        Ok(())
    })
}

/// The runner itself: to name a program that is not there must not look like success.
fn missing_program_fails() -> Result<()> {
    let mut again = std::process::Command::new(std::env::current_exe()?);
    again.env("TOWPATH_BIN", "no/such/program").args(["--exact", "lifecycle::none"]);
    let output = again.output()?;
    let said: BTreeSet<bool> = [&output.stderr, &output.stdout]
        .map(|t| String::from_utf8_lossy(t).contains("no/such/program"))
        .into();
    ensure!(!output.status.success() && said.contains(&true), "got {output:?}");
    Ok(())
}
