//! What the program says of a fault: lines, metrics, Problems.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::relists::KINDS;
use super::{Fault, When, until};
use crate::http;
use crate::stage::{Stage, socket};

/// What was there before a fault.
pub(super) struct Seen {
    log: usize,
    writes: f64,
    errors: f64,
    /// The most memory that the program ever had.
    pub(super) peak: f64,
    /// When the fault began.
    pub(super) since: Instant,
}

impl Seen {
    /// Looks around.
    pub(super) fn before(stage: &Stage, fault: &Fault) -> Result<Self> {
        let running = fault.when == When::Running;
        let log = stage.log().map_or(0, |log| log.len());
        let writes = if running { stage.metric("towpath_kernel_writes_total")? } else { 0.0 };
        let errors = match fault.counts {
            Some((resource, reason, _)) if running => errors(stage, resource, reason)?,
            _ => 0.0,
        };
        let peak = if running { stage.metric("towpath_peak_resident_memory_bytes")? } else { 0.0 };
        Ok(Self { log, writes, errors, peak, since: Instant::now() })
    }

    /// What the log has since then.
    fn log(&self, stage: &Stage) -> Result<String> {
        stage.log()?.get(self.log..).map(str::to_owned).context("the log has shrunk")
    }

    /// Lines that complain about the API.
    fn complaints(&self, stage: &Stage) -> Result<Vec<String>> {
        let complains = |line: &&str| {
            let loud = line.contains(" WARN ") || line.contains(" ERROR ");
            loud && (line.contains("api: ") || line.contains("kubernetes"))
        };
        Ok(self.log(stage)?.lines().filter(complains).map(str::to_owned).collect())
    }

    fn saying(&self, stage: &Stage, words: &[&str]) -> Result<usize> {
        let log = self.log(stage)?;
        Ok(log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count())
    }

    /// Waits until it is told; the error shows what is counted instead.
    pub(super) fn await_told(&self, stage: &Stage, fault: &Fault) -> Result<()> {
        self.told(stage, fault).with_context(|| format!("errors so far: {:#?}", all_errors(stage)))
    }

    /// Waits until the line is there, and until it was tried often enough.
    fn told(&self, stage: &Stage, fault: &Fault) -> Result<()> {
        let left = fault.within.saturating_sub(self.since.elapsed());
        if !fault.says.is_empty() {
            until(&format!("a line that says {:?}", fault.says), left, || {
                Ok(self.saying(stage, fault.says)? > 0)
            })?;
        }
        let Some((resource, reason, times)) = fault.counts else { return Ok(()) };
        let left = fault.within.saturating_sub(self.since.elapsed());
        until(&format!("{times} {reason} of {resource} among the errors"), left, || {
            Ok(errors(stage, resource, reason)? >= self.errors + times as f64)
        })
        .map(drop)
    }

    /// Waits until it was tried once more.
    pub(super) fn await_another_try(&self, stage: &Stage, fault: &Fault) -> Result<()> {
        let Some((resource, reason, _)) = fault.counts else { return Ok(()) };
        let before = errors(stage, resource, reason)?;
        until("another try", super::SOON, || Ok(errors(stage, resource, reason)? > before)).map(drop)
    }

    /// The Problem is on the debug page, and counted.
    pub(super) fn is_a_problem(&self, stage: &Stage) -> Result<()> {
        until("the Problem on the debug page", super::SOON, || {
            let page = http::get(stage.node(), socket("127.0.0.1:10249")?, "/debug/rules")?;
            let told = page.is_some_and(|page| page.body.contains("api: "));
            Ok(told && stage.metric("towpath_problems")? > 0.0)
        })
        .map(drop)
    }

    /// Nothing was written to the kernel since then.
    pub(super) fn nothing_written(&self, stage: &Stage) -> Result<()> {
        let writes = stage.metric("towpath_kernel_writes_total")? - self.writes;
        ensure!(writes == 0.0, "{writes} objects were written");
        Ok(())
    }

    /// It was told once, and nothing of it is left.
    pub(super) fn is_over(&self, stage: &mut Stage, fault: &Fault) -> Result<()> {
        stage.progress_where("no Problem to be left", |page| page.problems.is_empty())?;
        ensure!(stage.metric("towpath_problems")? == 0.0, "Problems are still counted");
        let (complaints, lines) = (self.complaints(stage)?, &fault.lines);
        ensure!(lines.contains(&complaints.len()), "want {lines:?} lines, got {complaints:#?}");
        let told = self.saying(stage, fault.says)?;
        ensure!(fault.says.is_empty() || fault.told.contains(&told), "{told} lines say {:?}", fault.says);
        Ok(())
    }
}

/// How often requests for a resource failed for a reason.
pub(super) fn errors(stage: &Stage, resource: &str, reason: &str) -> Result<f64> {
    sample(stage, &format!("towpath_api_errors_total{{resource=\"{resource}\",reason=\"{reason}\"}}"))
}

/// How often any request failed for a reason.
pub(super) fn errors_of_all(stage: &Stage, reason: &str) -> Result<f64> {
    KINDS.iter().try_fold(0.0, |sum, resource| Ok(sum + errors(stage, resource, reason)?))
}

/// All errors that are counted.
fn all_errors(stage: &Stage) -> Vec<String> {
    let page = socket("127.0.0.1:10249").and_then(|at| http::get(stage.node(), at, "/metrics"));
    let body = page.ok().flatten().map(|page| page.body).unwrap_or_default();
    body.lines().filter(|line| line.starts_with("towpath_api_errors")).map(str::to_owned).collect()
}

/// A counter of a resource.
pub(super) fn of_resource(stage: &Stage, name: &str, resource: &str) -> Result<f64> {
    sample(stage, &format!("{name}{{resource=\"{resource}\"}}"))
}

/// A value that is not on the page while it is 0, or while nobody serves it.
fn sample(stage: &Stage, name: &str) -> Result<f64> {
    let page = http::get(stage.node(), socket("127.0.0.1:10249")?, "/metrics")?;
    let body = page.map(|page| page.body).unwrap_or_default();
    let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(Ok(0.0), |value| value.parse().with_context(|| format!("{name} is {value:?}")))
}
