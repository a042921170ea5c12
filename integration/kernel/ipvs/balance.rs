//! Who gets the next connection: by how many are open. And where the scheduler's name comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;

use super::held::{self, HELD, HOLDERS, Held, Holders, counts};
use super::{SCHEDULER, VIP, VIP6, WEIGHTS, annotate, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::stage::{Stage, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("lc_wlc_sed_and_nq_look_at_open_connections", by_open_connections),
    Test::new("the_scheduler_is_the_nodes_or_the_services_and_a_change_keeps_connections", named),
];

/// The first endpoint has three times the weight of the others.
const HEAVY: &str = "10.244.2.1=3";

fn by_open_connections() -> Result<()> {
    held::plan(plan()?)?.start()?.play(|stage| {
        let holders = Holders::listen(stage)?;
        for (scheduler, check) in
            [("lc", lc as fn(&Stage, &Holders) -> Result<()>), ("wlc", wlc), ("sed", sed), ("nq", nq)]
        {
            stage.change(|scene| {
                annotate(scene, "ns/held", SCHEDULER, Some(scheduler));
                annotate(scene, "ns/held", WEIGHTS, (scheduler != "lc").then_some(HEAVY));
            })?;
            check(stage, &holders).with_context(|| scheduler.to_owned())?;
            idle(stage).with_context(|| scheduler.to_owned())?;
        }
        Ok(())
    })
}

/// Nobody has an established connection.
fn idle(stage: &Stage) -> Result<()> {
    stage.soon("all connections to end", |stage| {
        let reals = stage.reals(HELD, Tcp)?;
        ensure!(reals.values().all(|real| real.active == 0), "{reals:?}");
        Ok(())
    })
}

fn reset(held: impl IntoIterator<Item = Held>) -> Result<()> {
    held.into_iter().try_for_each(Held::reset)
}

fn have(held: &[Held], wanted: [usize; 3]) -> Result<()> {
    let wanted: BTreeMap<SocketAddr, usize> =
        HOLDERS.iter().zip(wanted).map(|(at, count)| Ok((socket(at)?, count))).collect::<Result<_>>()?;
    let found = counts(held);
    ensure!(found == wanted, "open: {found:?}, want {wanted:?}");
    Ok(())
}

/// Evenly; and whoever loses connections gets the next.
fn lc(stage: &Stage, holders: &Holders) -> Result<()> {
    let held = holders.open_many(stage, POD, HELD, 6)?;
    have(&held, [2, 2, 2])?;
    let first = socket(HOLDERS[0])?;
    let (leaving, staying): (Vec<Held>, Vec<Held>) =
        held.into_iter().partition(|held| held.endpoint == first);
    reset(leaving)?;
    stage.soon("the first endpoint to be idle", |stage| {
        let reals = stage.reals(HELD, Tcp)?;
        ensure!(reals[&first].active == 0, "{reals:?}");
        Ok(())
    })?;
    let next = holders.open_many(stage, POD, HELD, 2)?;
    ensure!(next.iter().all(|held| held.endpoint == first), "{:?}", counts(&next));
    reset(staying.into_iter().chain(next))
}

/// By weight, the first one to anybody.
fn wlc(stage: &Stage, holders: &Holders) -> Result<()> {
    let held = holders.open_many(stage, POD, HELD, 10)?;
    have(&held, [6, 2, 2])?;
    reset(held)
}

/// By weight, the first two to the heaviest: an idle endpoint is no better than one that answers sooner.
fn sed(stage: &Stage, holders: &Holders) -> Result<()> {
    let held = holders.open_many(stage, POD, HELD, 5)?;
    let first: Vec<SocketAddr> = held.iter().take(2).map(|held| held.endpoint).collect();
    ensure!(first == [socket(HOLDERS[0])?; 2], "the first two went to {first:?}");
    have(&held, [3, 1, 1])?;
    reset(held)
}

/// By weight, but idle endpoints first.
fn nq(stage: &Stage, holders: &Holders) -> Result<()> {
    let held = holders.open_many(stage, POD, HELD, 5)?;
    let first: BTreeSet<SocketAddr> = held.iter().take(3).map(|held| held.endpoint).collect();
    ensure!(first.len() == 3, "the first three went to {first:?}");
    have(&held, [3, 1, 1])?;
    reset(held)
}

/// Those of ns/web in both families and of ns/held.
fn schedulers(stage: &Stage) -> Result<[String; 3]> {
    let of = |at| stage.virtual_server(at, Tcp).map(|server| server.scheduler);
    Ok([of(VIP)?, of(VIP6)?, of(HELD)?])
}

fn named() -> Result<()> {
    let mut stage =
        held::plan(plan()?)?.with(|scene| annotate(scene, "ns/web", SCHEDULER, Some("sh"))).build()?;
    stage.add_flags(&["--ipvs-scheduler", "lc"]);
    stage.start()?;
    stage.play(|stage| {
        let holders = Holders::listen(stage)?;
        let mut held = holders.open_many(stage, POD, HELD, 3)?;
        ensure!(schedulers(stage)? == ["sh", "sh", "lc"], "{:?}", schedulers(stage)?);
        stage.change(|scene| {
            annotate(scene, "ns/web", SCHEDULER, None);
            annotate(scene, "ns/held", SCHEDULER, Some("wrr"));
        })?;
        ensure!(schedulers(stage)? == ["lc", "lc", "wrr"], "{:?}", schedulers(stage)?);
        held.iter_mut().try_for_each(Held::talk)?;
        // A name that nobody knows is a Problem, and the node's scheduler serves.
        stage.change(|scene| annotate(scene, "ns/held", SCHEDULER, Some("best")))?;
        let problems = stage.progress()?.problems;
        ensure!(problems.len() == 1 && problems[0].contains("ns/held"), "{problems:?}");
        ensure!(problems[0].contains("best") && problems[0].contains(SCHEDULER), "{problems:?}");
        ensure!(schedulers(stage)?[2] == "lc", "{:?}", schedulers(stage)?);
        stage.change(|scene| annotate(scene, "ns/held", SCHEDULER, None))?;
        ensure!(stage.progress()?.problems.is_empty(), "{:?}", stage.progress()?.problems);
        held.iter_mut().try_for_each(Held::talk)
    })
}
