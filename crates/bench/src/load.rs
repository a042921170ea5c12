//! A full load: from parsed objects to committed rules.

use std::time::Instant;

use anyhow::Result;
use dataplane::Engine;
use model::Store;
use nftables::Nftables;
use resolve::{DetectLocal, ProxyConfig};
use testkit::netns::NetNs;

use crate::data::{self, Size};
use crate::stats;

/// An engine of the namespace that this thread is in, with everything handed to it and nothing written.
pub(crate) fn engine(size: Size) -> Result<Engine<Nftables>> {
    let cidrs = vec!["20.0.0.0/8".parse()?];
    let config = ProxyConfig { detect_local: DetectLocal::ClusterCidr(cidrs), ..ProxyConfig::default() };
    let mut engine = Engine::new(Store::new("node-1"), config, Nftables::open()?, &[]);
    data::cluster(size).into_iter().for_each(|change| engine.handle(change));
    Ok(engine)
}

/// Measures full loads, and the same again with nothing to do.
pub(crate) fn measure(size: Size, repetitions: u32) -> Result<()> {
    let (mut loads, mut again, mut writes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..repetitions {
        let namespace = NetNs::new()?;
        let (load, restart, restart_writes) = namespace.run(|| once(size))??;
        loads.push(load);
        again.push(restart);
        writes += restart_writes;
    }
    stats::print("full load, parsed objects to committed rules", loads);
    stats::print("the same by a new engine, nothing changed", again);
    println!("writes of all those restarts: {writes}");
    Ok(())
}

fn once(size: Size) -> Result<(std::time::Duration, std::time::Duration, usize)> {
    let mut first = engine_timed(size)?;
    let load = first.1.elapsed_sync(&mut first.0)?.0;
    drop(first);
    let mut second = engine_timed(size)?;
    let (restart, writes) = second.1.elapsed_sync(&mut second.0)?;
    Ok((load, restart, writes))
}

struct Clock(Instant);

impl Clock {
    fn elapsed_sync(&self, engine: &mut Engine<Nftables>) -> Result<(std::time::Duration, usize)> {
        let report = engine.sync()?;
        Ok((self.0.elapsed(), report.writes))
    }
}

/// The clock starts when the objects are there and nobody has looked at them.
fn engine_timed(size: Size) -> Result<(Engine<Nftables>, Clock)> {
    let changes = data::cluster(size);
    let cidrs = vec!["20.0.0.0/8".parse()?];
    let config = ProxyConfig { detect_local: DetectLocal::ClusterCidr(cidrs), ..ProxyConfig::default() };
    let mut engine = Engine::new(Store::new("node-1"), config, Nftables::open()?, &[]);
    let clock = Clock(Instant::now());
    changes.into_iter().for_each(|change| engine.handle(change));
    Ok((engine, clock))
}
