//! DNS: CPU per reply, latency, memory, a dead upstream, a noisy client; beside an echo in the same run.
//!
//! The clients are `dnsperf` (Debian's package of this name). It stops at about 130,000 queries a second on two cores, so what is
//! reported is replies per CPU second of the server, never queries a second.

mod cost;
mod crowd;
mod echo;
mod failure;
mod memory;
mod perf;
mod server;
mod upstream;
mod world;

use anyhow::Result;
use clap::ValueEnum;
use testkit::netns::NetNs;

pub(crate) use echo::serve as serve_echo;

use crate::dns::world::World;

/// Endpoints of each Service, so that 10,000 Services have 50,000.
const ENDPOINTS: u32 = 5;
/// Names that are asked of upstreams and cached.
const CACHED: u32 = 10_000;

/// One part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU per reply at fixed rates and saturated; latency.
    Cost,
    /// Resident memory.
    Memory,
    /// One of two upstreams is dead.
    Failure,
    /// One client asks for 50,000 random names a second.
    Crowd,
}

/// How much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) services: u32,
    pub(crate) repetitions: u32,
    /// Of each single run.
    pub(crate) seconds: u32,
}

/// Measures one part, or all.
pub(crate) fn measure(plan: Plan, part: Option<Part>) -> Result<()> {
    println!(
        "# DNS: {ENDPOINTS} endpoints of each Service, {CACHED} names to cache, {} s a run",
        plan.seconds
    );
    let world = World::new(plan.services, ENDPOINTS, CACHED)?;
    let namespace = NetNs::new()?;
    let all = [Part::Cost, Part::Memory, Part::Failure, Part::Crowd];
    for part in part.map_or_else(|| all.to_vec(), |part| vec![part]) {
        match part {
            Part::Cost => cost::measure(&namespace, &world, plan)?,
            Part::Memory => memory::measure(&namespace, &world)?,
            Part::Failure => failure::measure(&namespace, &world, plan)?,
            Part::Crowd => crowd::measure(&namespace, &world, plan)?,
        }
    }
    Ok(())
}
