//! What endpoints that come and go, restarts, and the end of affinity do to clients' choices.

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::scene::Scene;

use super::timeout::affinity_maps;
use super::{Choices, FAMILIES, SCENE, choices, stage, stage_with};
use crate::Test;
use crate::lifecycle::while_asking;

pub(crate) const TESTS: &[Test] = &[
    Test::new("clients_of_a_lost_endpoint_are_balanced_again_and_others_stay", lost_endpoint),
    Test::new("a_new_endpoint_moves_nobody", new_endpoint),
    Test::new("switched_off_it_leaves_nothing", switched_off).not_in_ipvs(),
    Test::new("a_restart_keeps_the_choices", restart_keeps),
    Test::new("an_endpoint_lost_while_the_program_is_down_is_forgotten", lost_while_down),
];

pub(super) fn without_first(scene: &mut Scene) {
    let first: Vec<_> = FAMILIES.iter().filter_map(|family| family.first.parse().ok()).collect();
    first.into_iter().for_each(|ip| scene.remove_endpoint(ip));
}

/// Those who were elsewhere stay there; the others are at one place each, and it is alive.
fn moved_only_if_lost(before: &Choices, after: &Choices) -> Result<()> {
    for (who, was) in before {
        let now = after.get(who).context("a client is missing")?;
        let lost = FAMILIES.iter().any(|family| family.first.parse().ok() == Some(was.ip()));
        ensure!(if lost { now != was } else { now == was }, "{who:?} was at {was}, is at {now}");
    }
    Ok(())
}

fn lost_endpoint() -> Result<()> {
    stage()?.play(|stage| {
        let before = [choices(stage, |f| f.vip, 1)?, choices(stage, |f| f.node_port, 1)?];
        stage.change(without_first)?;
        let after = [choices(stage, |f| f.vip, 4)?, choices(stage, |f| f.node_port, 4)?];
        before.iter().zip(&after).try_for_each(|(before, after)| moved_only_if_lost(before, after))
    })
}

fn new_endpoint() -> Result<()> {
    stage_with(without_first)?.play(|stage| {
        let before = choices(stage, |f| f.vip, 1)?;
        let full = Scene::parse(SCENE)?;
        stage.change(|scene| *scene = full)?;
        ensure!(choices(stage, |f| f.vip, 3)? == before, "somebody moved");
        Ok(())
    })
}

fn switched_off() -> Result<()> {
    stage()?.play(|stage| {
        choices(stage, |f| f.vip, 2)?;
        ensure!(affinity_maps(stage)?.contains("expires"), "nothing is remembered at all");
        while_asking(stage, "10.96.0.10:80", |stage| {
            stage.change(|scene| scene.services[0].session_affinity = None)
        })?;
        ensure!(affinity_maps(stage)?.is_empty(), "left:\n{}", affinity_maps(stage)?);
        let chains = stage.node().command("nft", &["list", "ruleset"])?;
        ensure!(!chains.contains("chain affinity-") && !chains.contains("chain record-"), "left:\n{chains}");
        let endpoints = ["10.244.1.1:8080", "10.244.1.2:8080", "10.244.1.3:8080"];
        stage.reaches(FAMILIES[0].clients[0], "10.96.0.10:80", Tcp, &endpoints)
    })
}

fn restart_keeps() -> Result<()> {
    stage()?.play(|stage| {
        let before = [choices(stage, |f| f.vip, 1)?, choices(stage, |f| f.node_port, 1)?];
        stage.stop()?;
        stage.start()?;
        stage.kill()?;
        stage.start()?;
        let after = [choices(stage, |f| f.vip, 2)?, choices(stage, |f| f.node_port, 2)?];
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    })
}

fn lost_while_down() -> Result<()> {
    stage()?.play(|stage| {
        let before = choices(stage, |f| f.vip, 1)?;
        stage.stop()?;
        without_first(&mut stage.scene);
        stage.publish()?;
        stage.start()?;
        moved_only_if_lost(&before, &choices(stage, |f| f.vip, 3)?)
    })
}
