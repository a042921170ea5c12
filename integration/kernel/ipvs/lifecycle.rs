//! Start, cleanup, and death at a bad moment: what of it is of IPVS.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use netlink::ipvs::Command;
use testkit::scene::Scene;
use testkit::wait;

use super::{ENDPOINTS, VIP, plan, tally};
use crate::Test;
use crate::lifecycle::{POD, while_asking};
use crate::plan::Plan;
use crate::rules::generation;
use crate::scenes::{FOREIGN, RICH};
use crate::stage::{Stage, ip};
use crate::vs::foreign;

pub(crate) const TESTS: &[Test] = &[
    Test::new("cleanup_removes_everything_of_ours_and_nothing_else", cleanup_removes_only_ours),
    Test::new("a_restart_writes_only_what_changed_meanwhile", restart_writes_what_changed),
    Test::new("a_change_costs_what_it_changes", change_is_small),
    Test::new("killed_while_it_loads_servers_it_heals_at_the_next_start", killed_while_loading),
    Test::new("an_update_while_it_is_down_drains_what_went", drains_what_went),
];

fn cleanup(stage: &Stage) -> Result<()> {
    let output = stage.run_program(&["cleanup"])?;
    ensure!(output.status.success(), "cleanup: {output:?}");
    Ok(())
}

fn ruleset(stage: &Stage) -> Result<String> {
    stage.node().command("nft", &["-a", "list", "ruleset"])
}

fn cleanup_removes_only_ours() -> Result<()> {
    let mut stage = Plan::new(RICH)?.hosts(&[POD])?.build()?;
    // One of the foreign tables is kube-proxy's.
    stage.add_flags(&["--takeover=false"]);
    stage.node().nft(FOREIGN)?;
    stage.ipvs_commands(&foreign("192.0.2.7:80", "rr", "10.244.1.1:8080", 1)?)?;
    let (tables, servers) = (ruleset(&stage)?, stage.ipvs_state()?);
    stage.start()?;
    stage.play(|stage| {
        stage.reach(POD, VIP, Tcp)?;
        stage.stop()?;
        for _ in 0..2 {
            cleanup(stage)?;
            ensure!(stage.ipvs_state()? == servers, "left: {:#?}", stage.ipvs_state()?);
            ensure!(stage.local_routes()?.is_empty(), "left: {:?}", stage.local_routes()?);
            ensure!(ruleset(stage)? == tables, "left:\n{}want:\n{tables}", ruleset(stage)?);
        }
        Ok(())
    })
}

fn writes(stage: &Stage) -> Result<f64> {
    stage.metric("towpath_kernel_writes_total")
}

fn restart_writes_what_changed() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        stage.stop()?;
        stage.scene.remove_endpoint(ip("10.244.1.1")?);
        stage.publish()?;
        stage.start()?;
        ensure!((1.0..60.0).contains(&writes(stage)?), "{} objects for one endpoint", writes(stage)?);
        stage.reaches(POD, VIP, Tcp, &["10.244.0.1:8080"])
    })
}

/// Many Services with an endpoint each.
fn many(scene: &mut Scene, count: u16) {
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let mut service = scene.services[0].clone();
        service.name = format!("many/s{number}");
        service.cluster_ips = vec![[10, 96, 16 + high, low].into()];
        service.lb_ingress.clear();
        service.ports.truncate(1);
        service.ports[0].node_port = None;
        let mut slice = scene.slices[0].clone();
        slice.service.clone_from(&service.name);
        slice.ports.truncate(1);
        scene.services.push(service);
        scene.slices.push(slice);
    }
}

fn change_is_small() -> Result<()> {
    plan()?.with(|scene| many(scene, 100)).start()?.play(|stage| {
        let (before, generation_before) = (writes(stage)?, generation(stage.node())?);
        let dead = ip("10.244.1.1")?;
        stage.change(|scene| {
            let slices = scene.slices.iter_mut().filter(|slice| slice.service == "many/s7");
            slices.for_each(|slice| slice.endpoints.retain(|endpoint| endpoint.ip != dead));
        })?;
        // That endpoint, and the mark by which the test knows that it was read.
        let cost = writes(stage)? - before;
        ensure!((1.0..40.0).contains(&cost), "{cost} objects were written for one endpoint");
        let moved = generation(stage.node())?.wrapping_sub(generation_before);
        ensure!(moved < 10, "{moved} transactions for one endpoint");
        let tally = tally(stage, POD, "10.96.16.7:80", Tcp, 4)?;
        ensure!(tally.len() == 2, "{tally:?}");
        Ok(())
    })
}

/// Killed when so many virtual servers are there: the next start has the rest.
fn killed_while_loading() -> Result<()> {
    const MANY: u16 = 400;
    plan()?.with(|scene| many(scene, MANY)).build()?.play(|stage| {
        for servers in [1, 200] {
            stage.launch()?;
            wait::until("virtual servers", Duration::from_secs(30), || {
                Ok((stage.virtual_servers()?.len() >= servers).then_some(()))
            })?;
            stage.kill()?;
            stage.start().with_context(|| format!("after {servers} virtual servers"))?;
            stage.reaches(POD, VIP, Tcp, &ENDPOINTS)?;
            stage.reach(POD, "10.96.17.143:80", Tcp)?;
            stage.stop()?;
            cleanup(stage)?;
            ensure!(stage.virtual_servers()?.is_empty(), "left: {:?}", stage.virtual_servers()?.len());
        }
        Ok(())
    })
}

/// What it finds at its start has clients: nobody notices.
fn drains_what_went() -> Result<()> {
    plan()?.start()?.play(|stage| {
        stage.stop()?;
        // A real server that somebody made beside ours while it was down goes, too.
        let key = crate::vs::key(VIP, Tcp)?;
        let stray = netlink::ipvs::RealServer::masquerade(crate::stage::socket("10.244.9.99:8080")?, 0);
        stage.ipvs_commands(&[Command::AddDestination(key, stray)])?;
        stage.scene.remove_endpoint(ip("10.244.1.1")?);
        stage.publish()?;
        while_asking(stage, VIP, Stage::start)?;
        let weights = stage.weights(VIP, Tcp)?;
        let taking: Vec<_> = weights.iter().filter(|(_, weight)| **weight > 0).collect();
        ensure!(taking.len() == 2, "{weights:?}");
        wait::until("the stray one to go", Duration::from_secs(10), || {
            Ok((!stage.weights(VIP, Tcp)?.keys().any(|real| real.ip().to_string() == "10.244.9.99"))
                .then_some(()))
        })
    })
}
