//! What can go wrong with an API server, while real packets flow: a table of faults, and one player for all of them.
//!
//! ```text
//! Running  (in sync) -------------- begin --> told --> change --> end --> in force   packets all the while, none lost
//! Restart  (in sync, stop) -------- begin, launch --> told --> ...                   the same: the rules stay
//! First    (nothing in the kernel)  begin, launch --> told --> ... end --> programmed    nothing before
//! ```
//!
//! Every row: one clear line (never a flood of them), a metric, nothing written to the kernel because of the fault; a
//! change that was made meanwhile comes as soon as it can; in the end no Problem is left.

pub(crate) mod contents;
pub(crate) mod credentials;
pub(crate) mod relists;
mod row;
mod seen;
pub(crate) mod servers;
pub(crate) mod silence;
mod traffic;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apiserver::Server;
use model::Protocol::Tcp;
use testkit::probe::Outcome;
use testkit::scene::Scene;
use testkit::wait;

use crate::lifecycle::POD;
use crate::packets::SILENCE;
use crate::plan::Plan;
use crate::rules::generation;
use crate::stage::{Stage, ip};
use row::{Act, Fault, SOON, When};
use seen::Seen;

/// Traffic goes to the first; the others change.
const SCENE: &str = "
services:
- {name: ns/web, type: ClusterIP, cluster_ips: [10.96.0.10], ports: [{name: p, port: 80}]}
- {name: ns/other, type: ClusterIP, cluster_ips: [10.96.0.20], ports: [{name: p, port: 80}]}
- {name: ns/gone, type: ClusterIP, cluster_ips: [10.96.0.30], ports: [{name: p, port: 80}]}
slices:
- service: ns/web
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/other
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}, {ip: 10.244.1.2, node: other}]
- service: ns/gone
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}]
";
const WEB: &str = "10.96.0.10:80";
const LEAVES: &str = "10.244.1.1";
const COMES: &str = "10.244.1.2";

impl Fault {
    /// Plays the row.
    fn play(self) -> Result<()> {
        let comes = ip(COMES)?;
        let plan = Plan::new(SCENE)?.hosts(&[POD])?.through(self.options.clone());
        let mut stage = plan.with(|scene| scene.remove_endpoint(comes)).build()?;
        if self.when != When::First {
            stage.start()?;
        }
        stage.play(|stage| match self.when {
            When::Running => traffic::during(stage, |stage| self.through(stage)),
            When::Restart => traffic::during(stage, |stage| {
                stage.stop()?;
                self.through(stage)
            }),
            When::First => self.through(stage),
        })
    }

    fn through(&self, stage: &mut Stage) -> Result<()> {
        let seen = Seen::before(stage, self)?;
        (self.begin)(stage).context("beginning the fault")?;
        let untouched = generation(stage.node())?;
        if self.when != When::Running {
            stage.launch()?;
        }
        seen.await_told(stage, self)?;
        (self.check)(stage, &seen)?;
        match self.end {
            Some(end) => self.change_waits(stage, &seen, untouched, end)?,
            None => self.change_arrives(stage, &seen, untouched)?,
        }
        in_force(stage).context("the change that was made meanwhile")?;
        seen.is_over(stage, self)
    }

    /// A change is made; the fault ends; the change is there.
    fn change_waits(&self, stage: &mut Stage, seen: &Seen, untouched: u32, end: Act) -> Result<()> {
        seen.is_a_problem(stage)?;
        nothing_written(stage, untouched)?;
        change(&mut stage.scene)?;
        stage.publish()?;
        if self.whole {
            seen.await_another_try(stage, self)?;
            nothing_written(stage, untouched)?;
        }
        end(stage).context("ending the fault")?;
        stage.await_mark().context("after the fault")
    }

    /// A change is made, and is there.
    fn change_arrives(&self, stage: &mut Stage, seen: &Seen, untouched: u32) -> Result<()> {
        stage.progress()?;
        if self.when != When::First {
            nothing_written(stage, untouched)?;
            seen.nothing_written(stage)?;
        }
        change(&mut stage.scene)?;
        stage.publish()?;
        stage.await_mark().context("while the fault lasts")
    }
}

/// What happens to the cluster meanwhile: a port, an endpoint less, an endpoint more, a Service less.
fn change(scene: &mut Scene) -> Result<()> {
    scene.service("ns/other")?.ports[0].port = 81;
    scene.remove_service("ns/gone");
    let slice = scene.slices.iter_mut().find(|slice| slice.service == "ns/other").context("no slice")?;
    slice.endpoints.retain(|endpoint| endpoint.ip.to_string() != LEAVES);
    let mut more = slice.endpoints[0].clone();
    more.ip = ip(COMES)?;
    slice.endpoints.push(more);
    Ok(())
}

/// Real packets see the change, and the Service that did not change is as it was.
fn in_force(stage: &Stage) -> Result<()> {
    stage.reaches(POD, "10.96.0.20:81", Tcp, &["10.244.0.1:8080", "10.244.1.2:8080"])?;
    stage.refused(POD, "10.96.0.20:80", Tcp)?;
    let gone = stage.send(POD, "10.96.0.30:80", Tcp, SILENCE)?;
    ensure!(!matches!(gone, Outcome::Answered { .. }), "the deleted Service answers: {gone:?}");
    stage.reaches(POD, WEB, Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])
}

/// The ruleset is the very same.
fn nothing_written(stage: &Stage, before: u32) -> Result<()> {
    let now = generation(stage.node())?;
    ensure!(now == before, "the ruleset's generation moved from {before} to {now}");
    Ok(())
}

/// The server of the stage.
fn server(stage: &Stage) -> Result<&Server> {
    Ok(&stage.cluster()?.server)
}

/// Waits for something that takes its time.
fn until(what: &str, patience: Duration, good: impl Fn() -> Result<bool>) -> Result<Duration> {
    let since = Instant::now();
    wait::until(what, patience, || Ok(good()?.then_some(())))?;
    Ok(since.elapsed())
}
