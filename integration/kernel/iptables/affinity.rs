//! `sessionAffinity: ClientIP` by the match `recent`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::Udp;
use testkit::scene::Scene;
use testkit::wait;

use crate::Test;
use crate::affinity::timeout::connections_refresh;
use crate::affinity::{FAMILIES, Family, settled, stage_with};
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("clients_stick_and_are_spread", clients_stick),
    Test::new("every_frontend_of_a_service_has_the_same_choice", frontends_share),
    Test::new("udp_clients_stick", udp_sticks),
    Test::new("it_is_over_after_the_timeout", timeout_expires),
    Test::new("each_new_connection_starts_the_timeout_again", connections_refresh),
    Test::new("a_lost_endpoint_is_forgotten_and_other_clients_stay", lost_endpoint),
    Test::new("a_restart_keeps_the_choices", restart_keeps),
];

const CONNECTIONS: usize = 12;

/// Where every client of a family is at a frontend, and it is there every time.
fn choices(stage: &Stage, family: &Family, to: &str, connections: usize) -> Result<Vec<SocketAddr>> {
    family.clients.iter().map(|client| settled(stage, client, to, connections)).collect()
}

/// The chance that 16 clients of three endpoints are all at one place is 1 in 14 million.
fn clients_stick() -> Result<()> {
    stage_with(|_| ())?.play(|stage| {
        let mut places = BTreeSet::new();
        for family in &FAMILIES {
            places.extend(choices(stage, family, family.vip, CONNECTIONS)?);
        }
        let spread = |v4: bool| places.iter().filter(|place| place.is_ipv4() == v4).count() > 1;
        ensure!(spread(true) || spread(false), "everybody was sent to one place: {places:?}");
        Ok(())
    })
}

fn frontends_share() -> Result<()> {
    stage_with(|_| ())?.play(|stage| {
        for family in &FAMILIES {
            let first = choices(stage, family, family.vip, 1)?;
            ensure!(choices(stage, family, family.node_port, 2)? == first, "another choice at the NodePort");
            ensure!(choices(stage, family, family.vip, 2)? == first, "another choice at the ClusterIP");
        }
        Ok(())
    })
}

fn udp_sticks() -> Result<()> {
    stage_with(|_| ())?.play(|stage| {
        for (client, to) in [("203.0.113.1", "10.96.0.10:53"), ("2001:db8:1::1", "[fd00:192::2]:30011")] {
            let ask = || stage.reach(client, to, Udp).map(|answer| answer.endpoint);
            let all = (0..CONNECTIONS).map(|_| ask()).collect::<Result<BTreeSet<_>>>()?;
            ensure!(all.len() == 1, "{client} -> {to}/udp was sent to {all:?}");
        }
        Ok(())
    })
}

fn set_timeout(seconds: u32) -> impl FnOnce(&mut Scene) {
    move |scene| scene.services[0].affinity_timeout = Some(seconds)
}

/// After a pause of more than a second there is another choice: of 8 clients at least one is elsewhere.
fn timeout_expires() -> Result<()> {
    stage_with(set_timeout(1))?.play(|stage| {
        let family = &FAMILIES[0];
        let first = choices(stage, family, family.vip, CONNECTIONS)?;
        let last = Instant::now();
        wait::until("more than the timeout", Duration::from_secs(5), || {
            Ok((last.elapsed() > Duration::from_millis(2_200)).then_some(()))
        })?;
        let again = choices(stage, family, family.vip, 2)?;
        ensure!(first != again, "nobody was sent elsewhere: {again:?}");
        Ok(())
    })
}

fn lost_endpoint() -> Result<()> {
    stage_with(|_| ())?.play(|stage| {
        let family = &FAMILIES[0];
        let before = choices(stage, family, family.vip, 2)?;
        let lost = before[0].ip();
        stage.change(|scene| scene.remove_endpoint(lost))?;
        let after = choices(stage, family, family.vip, 3)?;
        for ((client, before), after) in family.clients.iter().zip(&before).zip(&after) {
            let right = if before.ip() == lost { after.ip() != lost } else { after == before };
            ensure!(right, "{client} was at {before}, is at {after}");
        }
        // It comes back, and nobody is dragged there.
        let full = Scene::parse(crate::affinity::SCENE)?;
        stage.change(|scene| scene.slices = full.slices)?;
        ensure!(choices(stage, family, family.vip, 2)? == after, "an endpoint that came back took clients");
        Ok(())
    })
}

fn restart_keeps() -> Result<()> {
    stage_with(|_| ())?.play(|stage| {
        let family = &FAMILIES[0];
        let before = choices(stage, family, family.vip, 2)?;
        stage.stop()?;
        stage.scene.services[0].ports[0].node_port = None;
        stage.publish()?;
        stage.start()?;
        ensure!(choices(stage, family, family.vip, 2)? == before, "a restart moved clients");
        let first = ip(family.first).context("the first endpoint")?;
        ensure!(before.iter().all(|place| place.ip().is_ipv4() == first.is_ipv4()));
        Ok(())
    })
}
