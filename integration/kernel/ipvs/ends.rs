//! Services and addresses that go while clients are connected through them.

use std::time::Duration;

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use super::held::{self, HELD, HELD_BALANCER, Held, Holders};
use super::{CLIENTS, plan};
use crate::Test;
use crate::lifecycle::POD;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_service_that_is_deleted_keeps_its_connections", service_goes),
    Test::new("an_address_that_is_taken_away_keeps_its_connections", address_goes),
];

/// Connections through the ClusterIP, the load balancer's address and the NodePort.
fn connected() -> Result<(Stage, Vec<Held>)> {
    let stage = held::plan(plan()?)?.start()?;
    let holders = Holders::listen(&stage)?;
    let held = [(POD, HELD), (CLIENTS[0], HELD_BALANCER), (CLIENTS[1], "192.168.0.2:30090")]
        .iter()
        .map(|(from, to)| holders.open(&stage, from, to))
        .collect::<Result<_>>()?;
    Ok((stage, held))
}

/// A virtual server of which nothing is left but what drains.
fn only_drains(stage: &Stage, at: &str) -> Result<()> {
    let weights = stage.weights(at, Tcp)?;
    ensure!(weights.values().all(|weight| *weight == 0), "{at} still has {weights:?}");
    Ok(())
}

/// The virtual server and, for an address outside every ServiceCIDR, its route.
fn gone(stage: &Stage, at: &str, route: &str) -> Result<()> {
    wait::until(&format!("{at} to go"), Duration::from_secs(30), || {
        let there = stage.virtual_server(at, Tcp).is_ok() || stage.local_routes()?.contains(route);
        Ok((!there).then_some(()))
    })
}

fn service_goes() -> Result<()> {
    let (stage, mut held) = connected()?;
    stage.play(|stage| {
        stage.change(|scene| scene.remove_service("ns/held"))?;
        for (from, to) in [(POD, HELD), (CLIENTS[0], HELD_BALANCER), (CLIENTS[1], "192.168.0.2:30090")] {
            only_drains(stage, to)?;
            stage.closed(from, to, Tcp)?;
        }
        held.iter_mut().try_for_each(Held::talk)?;
        stage.stop()?;
        stage.start()?;
        held.iter_mut().try_for_each(Held::talk)?;
        held.into_iter().try_for_each(Held::reset)?;
        gone(stage, HELD_BALANCER, "198.51.100.20")
    })
}

fn address_goes() -> Result<()> {
    let (stage, mut held) = connected()?;
    stage.play(|stage| {
        stage.change(|scene| {
            scene.services.iter_mut().filter(|s| s.name == "ns/held").for_each(|s| s.lb_ingress.clear());
        })?;
        only_drains(stage, HELD_BALANCER)?;
        stage.closed(CLIENTS[0], HELD_BALANCER, Tcp)?;
        stage.has_weights(HELD, Tcp, &held::HOLDERS.map(|holder| (holder, 1)))?;
        held.iter_mut().try_for_each(Held::talk)?;
        held.into_iter().try_for_each(Held::reset)?;
        gone(stage, HELD_BALANCER, "198.51.100.20")
    })
}
