//! Virtual servers of other programs: they stay as they are, whatever ours do.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use netlink::conntrack::Family;
use netlink::ipvs::{Command, Key, RealServer, VirtualServer};

use super::{ENDPOINTS, VIP, plan, tally};
use crate::Test;
use crate::lifecycle::POD;
use crate::stage::{Stage, ip, socket};
use crate::vs::{foreign, key};

pub(crate) const TESTS: &[Test] = &[
    Test::new("they_stay_over_changes_restarts_and_cleanup", stay),
    Test::new("one_on_a_frontend_of_ours_stays_and_is_a_problem", on_a_frontend),
    Test::new("one_that_has_an_address_later_stays_and_is_a_problem", comes_later),
];

/// At an address of nobody, inside the ServiceCIDR, at another port of a Service's address, and by a mark.
fn others() -> Result<Vec<Command>> {
    let mut commands = Vec::new();
    for at in ["192.0.2.7:80", "10.96.7.7:80", "10.96.0.10:8888", "192.168.0.2:7777"] {
        commands.extend(foreign(at, "wlc", "10.244.1.1:8080", 7)?);
    }
    let mark = Key::Mark { mark: 77, family: Family::V6 };
    let server =
        VirtualServer { key: mark, scheduler: "sh".to_owned(), flags: 0x19, timeout: 33, prefix: 64 };
    let leaving = RealServer::masquerade(socket("[fd00:244:0:1::1]:8080")?, 0);
    commands.extend([Command::Add(server), Command::AddDestination(mark, leaving)]);
    Ok(commands)
}

/// All of it is there, as it was.
fn unharmed(stage: &Stage, before: &BTreeSet<String>) -> Result<()> {
    let now = stage.ipvs_state()?;
    let lost: Vec<_> = before.difference(&now).collect();
    ensure!(lost.is_empty(), "of others these are gone or changed: {lost:#?}");
    Ok(())
}

fn stay() -> Result<()> {
    let mut stage = plan()?.build()?;
    stage.ipvs_commands(&others()?)?;
    let before = stage.ipvs_state()?;
    stage.start()?;
    stage.play(|stage| {
        unharmed(stage, &before)?;
        // That in the ServiceCIDR serves, too: it is before the rules for addresses that no Service has.
        stage.reach(POD, "10.96.7.7:80", Tcp)?;
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.change(|scene| scene.services[0].ports[0].port = 80)?;
        stage.stop()?;
        stage.start()?;
        unharmed(stage, &before)?;
        stage.change(|scene| scene.remove_service("ns/web"))?;
        unharmed(stage, &before)?;
        stage.stop()?;
        let output = stage.run_program(&["cleanup"])?;
        ensure!(output.status.success(), "cleanup: {output:?}");
        let left = stage.ipvs_state()?;
        ensure!(left == before, "left:\n{left:#?}\nwant:\n{before:#?}");
        Ok(())
    })
}

/// The only problem: it names the Service and the place.
fn told(stage: &mut Stage) -> Result<()> {
    let page = stage.progress_where("the problem", |page| !page.problems.is_empty())?;
    let named = |text: &String| text.contains("ns/web") && text.contains("10.96.0.10");
    ensure!(page.problems.len() == 1 && page.problems.iter().all(named), "{:?}", page.problems);
    Ok(())
}

/// Once the foreign one is gone, the Service is served: after five minutes at the latest, which a start cuts short.
fn served_when_gone(stage: &mut Stage) -> Result<()> {
    stage.ipvs_commands(&[Command::Delete(key(VIP, Tcp)?)])?;
    stage.stop()?;
    stage.tolerate_differences(false);
    stage.start()?;
    let page = stage.progress()?;
    ensure!(page.problems.is_empty(), "{:?}", page.problems);
    stage.has_weights(VIP, Tcp, &ENDPOINTS.map(|endpoint| (endpoint, 1)))?;
    stage.reaches(POD, VIP, Tcp, &ENDPOINTS)
}

/// Endpoints of the Service come and go: none of them is put behind the foreign virtual server.
fn unharmed_by_changes(stage: &mut Stage, before: &BTreeSet<String>) -> Result<()> {
    let full = stage.scene.clone();
    let last = ip("10.244.1.3")?;
    stage.change(|scene| scene.remove_endpoint(last))?;
    unharmed(stage, before).context("an endpoint went")?;
    stage.change(|scene| *scene = full)?;
    unharmed(stage, before).context("an endpoint came")?;
    stage.has_weights(VIP, Tcp, &[(ENDPOINTS[0], 1)])?;
    told(stage)
}

fn on_a_frontend() -> Result<()> {
    let mut stage = plan()?.build()?;
    stage.ipvs_commands(&foreign(VIP, "rr", ENDPOINTS[0], 1)?)?;
    let before = stage.ipvs_state()?;
    stage.tolerate_differences(true);
    stage.start()?;
    stage.play(|stage| {
        unharmed(stage, &before)?;
        told(stage)?;
        stage.has_weights(VIP, Tcp, &[(ENDPOINTS[0], 1)])?;
        unharmed_by_changes(stage, &before)?;
        // The Service's other frontends are served.
        let tally = tally(stage, super::CLIENTS[0], super::NODE_PORT, Tcp, 6)?;
        ensure!(tally.len() == 3, "{tally:?}");
        stage.stop()?;
        stage.start()?;
        unharmed(stage, &before).context("after a restart")?;
        told(stage)?;
        served_when_gone(stage)
    })
}

fn comes_later() -> Result<()> {
    plan()?.with(|scene| scene.services.clear()).start()?.play(|stage| {
        stage.ipvs_commands(&foreign(VIP, "rr", ENDPOINTS[0], 1)?)?;
        let before = stage.ipvs_state()?;
        let full = testkit::scene::Scene::parse(super::SCENE)?;
        stage.tolerate_differences(true);
        stage.change(|scene| *scene = full)?;
        unharmed(stage, &before)?;
        told(stage)?;
        served_when_gone(stage)
    })
}
