//! The first of two upstreams is dead: how long names take that nobody has asked before.

use std::time::Duration;

use anyhow::Result;
use testkit::netns::NetNs;

use crate::dns::Plan;
use crate::dns::perf::Load;
use crate::dns::server::Server;
use crate::dns::upstream;
use crate::dns::world::{MARKER, World};

const DEAD: u16 = 5304;
const GOOD: u16 = 5305;
/// The round trip to the upstream that answers.
const ROUND_TRIP: Duration = Duration::from_millis(5);
const RATE: u32 = 200;

/// Measures it.
pub(crate) fn measure(namespace: &NetNs, world: &World, plan: Plan) -> Result<()> {
    let _dead = upstream::dead(namespace, DEAD)?;
    upstream::answering(namespace, GOOD, ROUND_TRIP)?;
    let corefile = world.corefile(&[DEAD, GOOD])?;
    let server = Server::towpath(namespace, &world.no_manifests(), &corefile, MARKER)?;
    let cold = world.queries("cold");
    let load = Load { rate: Some(RATE), latencies: true, ..Load::of(&cold, plan.seconds.max(5)) };
    let (mut outcome, _) = server.load(load)?;
    let first = outcome.latencies.first().copied().unwrap_or_default();
    println!("dns: one of two upstreams dead, round trip {ROUND_TRIP:?}: the first reply took {first:.1?}");
    // The first second: the loss is found out in it, and what was asked before that waits as long.
    outcome.latencies.drain(..outcome.latencies.len().min(RATE as usize));
    println!(
        "dns: one of two upstreams dead, after that: p50 {:.1?}, p99 {:.1?}, max {:.1?}; {} lost",
        outcome.latency(0.5),
        outcome.latency(0.99),
        outcome.latency(1.0),
        outcome.lost
    );
    Ok(())
}
