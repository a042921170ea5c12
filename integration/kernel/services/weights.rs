//! `towpath.dev/weights`: how often each endpoint is chosen.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use model::Protocol::{self, Tcp, Udp};

use super::{CLIENTS, CLIENTS6, NODE_PORTS, VIPS, endpoints_of, play};
use crate::Test;
use crate::ipvs::{SCHEDULER, WEIGHTS, annotate};
use crate::stage::{Stage, socket};

pub(crate) const TESTS: &[Test] =
    &[Test::new("weights_are_shares_and_a_change_counts_at_once", weights_are_shares)];

/// Connections for each question. With weights 3 and 1 the heavier endpoint gets 300, give or take 9 (one standard deviation).
const CONNECTIONS: usize = 400;
/// Six standard deviations of an even choice, at which they are largest.
const MARGIN: usize = 60;

fn weights_are_shares() -> Result<()> {
    play(|stage| {
        // Mode ipvs needs a scheduler that looks at weights; the other modes have none.
        stage.change(|scene| {
            annotate(scene, "ns/multi", SCHEDULER, Some("wrr"));
            annotate(scene, "ns/multi", WEIGHTS, Some("10.244.1.0/24=3, fd00:244:0:1::1=3"));
        })?;
        let [first, second] = [3 * CONNECTIONS / 4, CONNECTIONS / 4];
        shares(stage, CLIENTS[0], VIPS[0][0], (Tcp, 0), [first, second])?;
        shares(stage, CLIENTS[2], NODE_PORTS[0], (Tcp, 0), [first, second])?;
        shares(stage, CLIENTS[2], VIPS[0][1], (Udp, 0), [first, second])?;
        shares(stage, CLIENTS6[0], VIPS[1][0], (Tcp, 1), [first, second])?;
        stage.change(|scene| annotate(scene, "ns/multi", WEIGHTS, Some("10.244.0.2=3")))?;
        shares(stage, CLIENTS[0], VIPS[0][0], (Tcp, 0), [second, first])?;
        stage.change(|scene| annotate(scene, "ns/multi", WEIGHTS, None))?;
        shares(stage, CLIENTS[0], VIPS[0][0], (Tcp, 0), [CONNECTIONS / 2; 2])
    })
}

/// Connections reach the endpoints about so often.
fn shares(
    stage: &Stage,
    from: &str,
    to: &str,
    (protocol, family): (Protocol, usize),
    wanted: [usize; 2],
) -> Result<()> {
    let mut counts: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    for _ in 0..CONNECTIONS {
        *counts.entry(stage.reach(from, to, protocol)?.endpoint).or_default() += 1;
    }
    for (endpoint, want) in endpoints_of(protocol, family).into_iter().zip(wanted) {
        let got = counts.get(&socket(endpoint)?).copied().unwrap_or(0);
        ensure!(got.abs_diff(want) < MARGIN, "{from} -> {to}/{protocol}: {counts:?}, want {wanted:?}");
    }
    Ok(())
}
