//! `sessionAffinity: ClientIP`: persistent virtual servers. That clients stay, the theme `affinity` tests.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::{self, Tcp, Udp};
use netlink::ipvs::{PERSISTENT, VirtualServer};
use testkit::wait;

use super::{BALANCER, CLIENTS, NODE_PORT, VIP, VIP6, plan, tally};
use crate::Test;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("every_frontend_has_the_timeout_and_loses_it", every_frontend),
    Test::new("clients_are_forgotten_after_the_timeout", forgotten),
];

const FRONTENDS: [(&str, Protocol, u8); 6] = [
    (VIP, Tcp, 32),
    ("10.96.0.10:53", Udp, 32),
    (NODE_PORT, Tcp, 32),
    (BALANCER, Tcp, 32),
    (VIP6, Tcp, 128),
    ("[fd00:192::2]:30010", Tcp, 128),
];

/// All frontends are persistent for so long, or not at all.
fn persistent(stage: &Stage, timeout: Option<u32>) -> Result<()> {
    for (at, protocol, prefix) in FRONTENDS {
        let VirtualServer { flags, timeout: found, prefix: of_clients, .. } =
            stage.virtual_server(at, protocol)?;
        let is = flags & PERSISTENT != 0;
        ensure!(is == timeout.is_some(), "{at}/{protocol}: flags {flags:#x}, want {timeout:?}");
        if let Some(timeout) = timeout {
            ensure!((found, of_clients) == (timeout, prefix), "{at}/{protocol}: {found} s, /{of_clients}");
        }
    }
    Ok(())
}

fn set(stage: &mut Stage, timeout: Option<u32>) -> Result<()> {
    stage.change(|scene| {
        scene.services[0].session_affinity = timeout.map(|_| "ClientIP".to_owned());
        scene.services[0].affinity_timeout = timeout;
    })
}

fn every_frontend() -> Result<()> {
    plan()?.start()?.play(|stage| {
        persistent(stage, None)?;
        for timeout in [Some(10_800), Some(7), None] {
            set(stage, timeout)?;
            persistent(stage, timeout)?;
        }
        // Nobody is held any more: by turns, as before.
        let tally = tally(stage, CLIENTS[0], BALANCER, Tcp, 6)?;
        ensure!(tally.values().all(|count| *count == 2), "{tally:?}");
        Ok(())
    })
}

/// IPVS forgets a client when its connections are forgotten and the timeout is over. For UDP both can be short.
fn forgotten() -> Result<()> {
    const TO: &str = "10.96.0.10:53";
    let mut stage = plan()?.build()?;
    stage.add_flags(&["--ipvs-udp-timeout", "1s"]);
    stage.start()?;
    stage.play(|stage| {
        set(stage, Some(2))?;
        let held = tally(stage, CLIENTS[0], TO, Udp, 5)?;
        ensure!(held.len() == 1, "the client was sent to {held:?}");
        let templates = |stage: &Stage| {
            Ok::<_, anyhow::Error>(stage.reals(TO, Udp)?.values().map(|real| real.persistent).sum::<u32>())
        };
        ensure!(templates(stage)? == 1, "{} clients are remembered", templates(stage)?);
        wait::until("the client to be forgotten", Duration::from_secs(10), || {
            Ok((templates(stage)? == 0).then_some(()))
        })?;
        let (before, now) = (held.into_keys().next(), stage.reach(CLIENTS[0], TO, Udp)?.endpoint);
        // It is the next one's turn.
        ensure!(before.context("no endpoint")? != now, "the client is still at {now}");
        Ok(())
    })
}
