//! Another program holds the lock of the iptables tools: it is waited for, then told, then tried again.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use super::{BOTH, ask_for, in_force, modes_in_kernel, plan, play, told_mode};
use crate::Test;
use crate::backend::{LEGACY, NFTABLES};
use crate::lifecycle::POD;
use crate::packets::SILENCE;
use crate::stage::Stage;
use crate::xt::{Rules, Variant};

pub(crate) const TESTS: &[Test] = &[
    Test::new("held_while_the_mode_changes", held_at_a_move),
    Test::new("held_while_a_service_changes", held_at_a_change),
    Test::new("held_at_the_start", held_at_the_start),
    Test::new("held_while_the_old_rules_go", held_at_removal),
];

/// How long a change may take in the mode that is in force, whatever the other one waits for.
const MEANWHILE: Duration = Duration::from_millis(1500);
/// The tools wait for 5 seconds before they say anything.
const TOLD: Duration = Duration::from_secs(12);
/// The next try may be this far away.
const AGAIN: Duration = Duration::from_secs(40);

/// Has the lock until it is dropped.
pub(crate) fn hold(stage: &Stage) -> Result<File> {
    let file = File::options().create(true).append(true).open(stage.surroundings.lock())?;
    file.lock().context("locking the lock file")?;
    Ok(file)
}

/// Waits for a line that says what is waited for, and who has it.
fn await_told(stage: &Stage) -> Result<()> {
    let holder = format!("pid {}", std::process::id());
    let told = |line: &&str| line.contains("xtables lock");
    wait::until("the lock to be told", TOLD, || {
        Ok(stage.log()?.lines().any(|line| told(&line)).then_some(()))
    })?;
    let log = stage.log()?;
    let line = log.lines().find(told).context("no line")?;
    ensure!(line.contains(&holder) && line.contains("5 s"), "want {holder:?} and for how long: {line}");
    Ok(())
}

fn legacy(stage: &Stage) -> Result<Rules> {
    Ok(stage.saved(Variant::Legacy)?.ours())
}

fn held_at_a_move() -> Result<()> {
    let mut stage = plan(&LEGACY)?.through_api().build()?;
    stage.set_backend(&NFTABLES);
    stage.add_flags(&["--iptables-variant", "legacy"]);
    stage.start()?;
    play(stage, |stage| {
        let lock = hold(stage)?;
        ask_for(stage, &LEGACY)?;
        await_told(stage)?;
        ensure!(told_mode(stage)? == "nftables" && modes_in_kernel(stage)? == [NFTABLES.name]);
        // Changes are taken meanwhile, and nobody waits for the lock.
        stage.scene.service("ns/other")?.ports[0].port = 1001;
        stage.publish()?;
        wait::until("the change", MEANWHILE, || Ok(stage.reach(POD, "10.96.0.40:1001", Tcp).ok()))?;
        drop(lock);
        wait::until("another try", AGAIN, || Ok((told_mode(stage)? == "iptables").then_some(())))?;
        in_force(stage, &LEGACY)?;
        stage.reaches(POD, "10.96.0.40:1001", Tcp, &BOTH)
    })
}

fn held_at_a_change() -> Result<()> {
    let mut stage = plan(&LEGACY)?.build()?;
    stage.start()?;
    play(stage, |stage| {
        let before = legacy(stage)?;
        let lock = hold(stage)?;
        stage.scene.service("ns/other")?.ports[0].port = 1001;
        stage.publish()?;
        await_told(stage)?;
        legacy(stage)?.must_be(&before).context("while the lock is held")?;
        stage.reaches(POD, "10.96.0.40:1000", Tcp, &BOTH)?;
        drop(lock);
        wait::until("the change", AGAIN, || Ok(stage.reach(POD, "10.96.0.40:1001", Tcp).ok()))?;
        stage.progress().map(drop)
    })
}

fn held_at_the_start() -> Result<()> {
    let mut stage = plan(&LEGACY)?.build()?;
    let lock = hold(&stage)?;
    stage.launch()?;
    stage.play(|stage| {
        await_told(stage)?;
        ensure!(legacy(stage)?.is_empty(), "rules were written without the lock");
        let outcome = stage.send(POD, "10.96.0.10:80", Tcp, SILENCE)?;
        ensure!(!matches!(outcome, testkit::probe::Outcome::Answered { .. }), "{outcome:?}");
        drop(lock);
        wait::until("the first rules", AGAIN, || Ok(stage.reach(POD, "10.96.0.10:80", Tcp).ok()))?;
        in_force(stage, &LEGACY)
    })
}

/// The new mode is in force; the rules of the old one stay until they can go.
fn held_at_removal() -> Result<()> {
    let mut stage = plan(&LEGACY)?.through_api().build()?;
    stage.start()?;
    play(stage, |stage| {
        let lock = hold(stage)?;
        ask_for(stage, &NFTABLES)?;
        wait::until("the new mode", TOLD, || Ok((told_mode(stage)? == "nftables").then_some(())))?;
        await_told(stage)?;
        ensure!(modes_in_kernel(stage)?.contains(&LEGACY.name), "the lock was not asked for");
        drop(lock);
        in_force(stage, &NFTABLES)
    })
}
