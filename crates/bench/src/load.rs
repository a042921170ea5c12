//! A full load: from parsed objects to committed rules.

use std::time::{Duration, Instant};

use anyhow::Result;
use dataplane::{Dataplane, Engine};
use model::Store;
use resolve::{DetectLocal, Mode, ProxyConfig};
use testkit::netns::NetNs;

use crate::data::{self, Size};
use crate::stats;

/// A dataplane, and how it is opened in the namespace of the calling thread.
pub(crate) struct Kind<D> {
    pub(crate) mode: Mode,
    pub(crate) open: fn() -> Result<D>,
}

// Not derived: that would ask D for it.
impl<D> Clone for Kind<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Kind<D> {}

impl<D: Dataplane> Kind<D> {
    fn empty(&self) -> Result<Engine<D>> {
        let cidrs = vec!["20.0.0.0/8".parse()?];
        let detect_local = DetectLocal::ClusterCidr(cidrs);
        let config = ProxyConfig { mode: self.mode, detect_local, ..ProxyConfig::default() };
        Ok(Engine::new(Store::new("node-1"), config, (self.open)()?, &[]))
    }

    /// An engine of the namespace that this thread is in, with everything handed to it and nothing written.
    pub(crate) fn engine(&self, size: Size) -> Result<Engine<D>> {
        let mut engine = self.empty()?;
        data::cluster(size).into_iter().for_each(|change| engine.handle(change));
        Ok(engine)
    }

    /// From objects that nobody has looked at to committed rules; and the number of objects written.
    fn timed(&self, size: Size) -> Result<(Duration, usize)> {
        let changes = data::cluster(size);
        let mut engine = self.empty()?;
        let started = Instant::now();
        changes.into_iter().for_each(|change| engine.handle(change));
        let report = engine.sync()?;
        Ok((started.elapsed(), report.writes))
    }
}

/// Measures full loads, and the same again with nothing to do.
pub(crate) fn measure<D: Dataplane + 'static>(size: Size, repetitions: u32, kind: Kind<D>) -> Result<()> {
    let (mut loads, mut again, mut writes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..repetitions {
        let namespace = NetNs::new()?;
        let (load, restart) =
            namespace.run(|| -> Result<_> { Ok((kind.timed(size)?, kind.timed(size)?)) })??;
        loads.push(load.0);
        again.push(restart.0);
        writes += restart.1;
    }
    stats::print("full load, parsed objects to committed rules", loads);
    stats::print("the same by a new engine, nothing changed", again);
    println!("writes of all those restarts: {writes}");
    Ok(())
}
