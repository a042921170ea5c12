//! The same beside a program that commits to nf_tables ten times a second, and what is told of a repair.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use testkit::scene::NODE_NAME;
use testkit::wait;

use super::{DEADLINE, await_repair, full_syncs, repairs};
use crate::Test;
use crate::duties::event;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::listable;
use crate::scenes::{RICH, SMALL};
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("beside_a_busy_program", beside_a_busy_program),
    Test::new("a_repair_is_told_with_its_difference", told),
    Test::new("a_repair_is_an_event_of_the_node", an_event),
];

/// One after the other; the last leaves nothing.
const DAMAGE: &[&str] = &[
    "delete element ip towpath vips { 10.96.0.10 . tcp . 80 }",
    "flush chain ip6 towpath services",
    "flush ruleset",
];

/// What the other program does: the same again and again.
const BUSY: &str = "
add table ip busy
add chain ip busy c
add rule ip busy c drop
delete table ip busy";

fn beside_a_busy_program() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let (world, ends) = (Arc::clone(&stage.world), AtomicBool::new(false));
        thread::scope(|scope| {
            let busy = scope.spawn(|| {
                while !ends.load(Relaxed) {
                    world.node().nft(BUSY)?;
                    thread::sleep(Duration::from_millis(80));
                }
                anyhow::Ok(())
            });
            let result = tampered(stage);
            ends.store(true, Relaxed);
            busy.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(result)
        })
    })
}

fn tampered(stage: &mut Stage) -> Result<()> {
    let start = full_syncs(stage)?;
    wait::until("two looks because of the other program", 20 * DEADLINE, || {
        Ok((full_syncs(stage)? >= start + 2.0).then_some(()))
    })?;
    let calm = full_syncs(stage)?;
    // Twenty commits later.
    thread::sleep(Duration::from_secs(2));
    // One may have been asked for before it listened.
    let later = full_syncs(stage)?;
    ensure!(later <= calm + 1.0, "it compares because of commits that are none of its business");
    let calm = later;
    for damage in DAMAGE {
        let before = repairs(stage)?;
        stage.node().nft(damage)?;
        await_repair(stage, before)?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
    }
    ensure!(full_syncs(stage)? <= calm + DAMAGE.len() as f64 + 1.0, "it compares more than it repairs");
    stage.soon("the culprit in the log", |stage| {
        ensure!(stage.log()?.contains("by=\"nft (pid "), "it does not say who it was");
        Ok(())
    })?;
    listable(stage.node())
}

fn told() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let before = repairs(stage)?;
        stage.node().nft(
            "delete element ip towpath cluster-ips { 10.96.0.10 }
             add element ip towpath cluster-ips { 192.0.2.77 }
             flush chain ip towpath services",
        )?;
        await_repair(stage, before)?;
        stage.soon("the difference in the log", |stage| {
            let log = stage.log()?;
            for (sign, what) in [("+ ", "10.96.0.10"), ("- ", "192.0.2.77"), ("! ", "services")] {
                let is_told =
                    |line: &str| line.contains(" WARN ") && line.contains(sign) && line.contains(what);
                ensure!(log.lines().any(is_told), "nothing of {what} in the log:\n{log}");
            }
            Ok(())
        })?;
        ensure!(stage.metric("towpath_repairs_total{of=\"rules\"}")? == 1.0);
        for done in ["deleted", "changed", "added"] {
            let count = stage.metric(&format!("towpath_repaired_objects_total{{done=\"{done}\"}}"))?;
            ensure!(count == 1.0, "{count} {done}");
        }
        Ok(())
    })
}

fn an_event() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.through_api().start()?.play(|stage| {
        for _ in 0..3 {
            let before = repairs(stage)?;
            stage.node().nft("delete element ip towpath cluster-ips { 10.96.0.10 }")?;
            await_repair(stage, before)?;
        }
        let told = event(stage, "RulesRepaired")?;
        ensure!(told["involvedObject"]["name"] == NODE_NAME && told["type"] == "Warning", "{told:#}");
        let message = told["message"].as_str().unwrap_or_default();
        ensure!(message.contains("had deleted 1 objects"), "{message}");
        let events = stage.cluster()?.server.store().list("events");
        let all = events.iter().filter(|event| event["reason"] == "RulesRepaired");
        ensure!(all.count() == 1, "more than one Event in a minute");
        Ok(())
    })
}
