//! One client asks for names that nobody has asked before, as fast as said; another asks as always.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::netns::NetNs;

use crate::dns::Plan;
use crate::dns::perf::{Load, Outcome, median};
use crate::dns::server::Server;
use crate::dns::upstream;
use crate::dns::world::World;

const UPSTREAM: u16 = 5306;
const ROUND_TRIP: Duration = Duration::from_millis(5);
const NOISE: u32 = 50_000;
const RATE: u32 = 1000;
/// The noise is there before and after the measured run.
const MARGIN: u32 = 1;

/// Measures both servers: what the machine itself does to the client that asks as always is the echo's difference.
pub(crate) fn measure(namespace: &NetNs, world: &World, plan: Plan) -> Result<()> {
    upstream::answering(namespace, UPSTREAM, ROUND_TRIP)?;
    let corefile = world.corefile(&[UPSTREAM])?;
    let echo = Server::echo(namespace)?;
    one(&echo, world, plan)?;
    drop(echo);
    let ours = Server::towpath(namespace, &world.manifests(), &corefile, &world.known())?;
    one(&ours, world, plan)
}

fn one(server: &Server<'_>, world: &World, plan: Plan) -> Result<()> {
    let (mut quiet, mut noisy, mut growth) = (Vec::new(), Vec::new(), 0);
    for _ in 0..plan.repetitions {
        quiet.push(p99(&ordinary(server, world, plan)?));
        let before = server.status("VmRSS:")?;
        server.forget_peak()?;
        noisy.push(p99(&amid_noise(server, world, plan)?));
        growth = growth.max(server.status("VmHWM:")?.saturating_sub(before));
    }
    let (quiet, noisy) = (median(quiet), median(noisy));
    println!(
        "dns: {}: p99 of a client with {RATE} queries a second {quiet:.2} ms; beside {NOISE} random names a second {noisy:.2} ms \
         ({:+.2} ms), memory +{:.1} MiB",
        server.title,
        noisy - quiet,
        growth as f64 / 1024.0
    );
    Ok(())
}

fn p99(outcome: &Outcome) -> f64 {
    outcome.latency(0.99).as_secs_f64() * 1e3
}

fn ordinary(server: &Server<'_>, world: &World, plan: Plan) -> Result<Outcome> {
    let mix = world.queries("mix");
    Ok(server.load(Load { rate: Some(RATE), latencies: true, ..Load::of(&mix, plan.seconds) })?.0)
}

fn amid_noise(server: &Server<'_>, world: &World, plan: Plan) -> Result<Outcome> {
    let random = world.queries("random");
    let noise = Load { rate: Some(NOISE), from: "127.0.0.2", ..Load::of(&random, plan.seconds + 2 * MARGIN) };
    thread::scope(|scope| {
        let noise = scope.spawn(|| server.load_unchecked(noise));
        thread::sleep(Duration::from_secs(MARGIN.into()));
        let outcome = ordinary(server, world, plan);
        noise.join().ok().context("the noisy client")??;
        outcome
    })
}
