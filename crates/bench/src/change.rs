//! One change: from its arrival to the kernel's commit.

use std::time::{Duration, Instant};

use anyhow::Result;
use dataplane::{Dataplane, Engine};
use model::Change;
use testkit::netns::NetNs;

use crate::data::{self, Size};
use crate::load::Kind;
use crate::stats;

/// Measures kinds of changes, each on Services spread over the cluster.
pub(crate) fn measure<D: Dataplane + 'static>(size: Size, changes: u32, kind: Kind<D>) -> Result<()> {
    let namespace = NetNs::new()?;
    namespace.run(|| in_namespace(size, changes, kind))?
}

fn in_namespace<D: Dataplane>(size: Size, changes: u32, kind: Kind<D>) -> Result<()> {
    let mut engine = kind.engine(size)?;
    engine.sync()?;
    let m = size.endpoints;
    let spread = |i: u32| (i.wrapping_mul(7919)) % size.services;
    let mut run = |what: &str, change: &dyn Fn(u32) -> Change| -> Result<()> {
        let times = (0..changes).map(|i| one(&mut engine, change(spread(i)))).collect::<Result<Vec<_>>>()?;
        stats::print(what, times);
        Ok(())
    };
    run("one endpoint added (a slot)", &|n| data::slice(n, 0..m + 1))?;
    run("one endpoint removed (a slot)", &|n| data::slice(n, 0..m))?;
    run("one endpoint replaced (a slot)", &|n| data::slice(n, (0..m - 1).chain([m + 1])))?;
    let class = beyond(m);
    run("endpoints added up to a class of slots", &|n| data::slice(n, 0..class - 1))?;
    run("one endpoint more than a class holds (slots and verdict)", &|n| data::slice(n, 0..class))?;
    run("one endpoint less again (slots and verdict)", &|n| data::slice(n, 0..class - 1))?;
    run("one Service added", &|n| data::service(size.services + n))?;
    run("a Service that is as it was", &|n| data::service(n))
}

fn one<D: Dataplane>(engine: &mut Engine<D>, change: Change) -> Result<Duration> {
    let started = Instant::now();
    engine.handle(change);
    engine.sync()?;
    Ok(started.elapsed())
}

/// The smallest number of endpoints above `m` that needs a larger class of slots: 2^n + 1 or 3 * 2^n + 1.
fn beyond(m: u32) -> u32 {
    (m + 1..)
        .find(|n| (n - 1).is_power_of_two() || ((n - 1) % 3 == 0 && ((n - 1) / 3).is_power_of_two()))
        .unwrap_or(m)
}
