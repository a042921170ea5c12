//! How long a choice is remembered.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use model::Protocol::Tcp;
use testkit::scene::Scene;
use testkit::wait;

use super::{CONNECTIONS, FAMILIES, settled, stage_with};
use crate::Test;
use crate::stage::Stage;

/// Between the bursts of a client that connects all the time.
const PACE: Duration = Duration::from_millis(10);

pub(crate) const TESTS: &[Test] = &[
    Test::new("it_is_over_after_the_timeout", timeout_expires).not_in_ipvs(),
    Test::new("each_new_connection_starts_the_timeout_again", connections_refresh),
];

fn set_timeout(seconds: u32) -> impl FnOnce(&mut Scene) {
    move |scene| scene.services[0].affinity_timeout = Some(seconds)
}

/// While somebody connects again and again without a pause, there is one place; after a pause there may be others.
fn timeout_expires() -> Result<()> {
    stage_with(set_timeout(1))?.play(|stage| {
        let client = FAMILIES[0].clients[0];
        let first = settled(stage, client, FAMILIES[0].vip, CONNECTIONS)?;
        await_forgotten(stage)?;
        wait::until("another choice after the timeout", Duration::from_secs(12), || {
            let now = stage.reach(client, FAMILIES[0].vip, Tcp)?.endpoint;
            if now == first {
                await_forgotten(stage)?;
            }
            Ok((now != first).then_some(()))
        })
    })
}

/// Nobody's choice is remembered any more.
fn await_forgotten(stage: &Stage) -> Result<()> {
    wait::until("choices to expire", Duration::from_secs(4), || {
        Ok((!affinity_maps(stage)?.contains("expires")).then_some(()))
    })
}

/// Every map of choices, as nft prints them.
pub(super) fn affinity_maps(stage: &Stage) -> Result<String> {
    let maps = stage.node().command("nft", &["list", "maps"])?;
    let ours = maps.split("\tmap ").filter(|map| map.starts_with("affinity-") && map.contains("timeout"));
    Ok(ours.collect())
}

/// With a timeout of 2 seconds, a client that connects all the time is held for longer than that. It takes a breath
/// after each few connections: without, it would come to ports that it had used before (see [`testkit::probe`]).
pub(crate) fn connections_refresh() -> Result<()> {
    stage_with(set_timeout(2))?.play(|stage| {
        let (client, start) = (FAMILIES[1].clients[0], Instant::now());
        let first = settled(stage, client, FAMILIES[1].vip, 1)?;
        while start.elapsed() < Duration::from_millis(3_500) {
            let now = settled(stage, client, FAMILIES[1].vip, 5)?;
            ensure!(now == first, "{client} was sent to {now} after {first}");
            std::thread::sleep(PACE);
        }
        Ok(())
    })
}
