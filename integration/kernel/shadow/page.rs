//! What the program tells: its page, its log, its metric.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use testkit::wait;

use super::{METRICS, PATIENCE};
use crate::http;
use crate::stage::{Stage, socket};

/// `/debug/shadow?format=json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Page {
    pub(super) summary: String,
    pub(super) compared: bool,
    pub(super) waiting: usize,
    pub(super) differences: Vec<Value>,
}

fn page(stage: &Stage) -> Result<Option<Page>> {
    let page = http::get(stage.node(), socket(METRICS)?, "/debug/shadow?format=json")?;
    page.map(|page| serde_json::from_str(&page.body).with_context(|| page.body.clone())).transpose()
}

/// The page, once it is as asked for.
pub(super) fn await_page(stage: &Stage, what: &str, good: impl Fn(&Page) -> bool) -> Result<Page> {
    let mut last = None;
    let reached = wait::until(what, PATIENCE, || {
        last = page(stage)?;
        Ok(last.clone().filter(|page| good(page)))
    });
    reached.with_context(|| format!("last seen: {last:?}"))
}

/// Waits for a comparison without any difference.
pub(super) fn await_agreement(stage: &Stage) -> Result<Page> {
    await_page(stage, "no difference", |page| page.summary.ends_with(": no difference"))
}

/// What follows `begin` in lines of the log.
pub(super) fn lines_of(stage: &Stage, begin: &str) -> Result<Vec<String>> {
    let log = stage.log()?;
    Ok(log.lines().filter_map(|line| line.split_once(begin)).map(|(_, rest)| rest.to_owned()).collect())
}

/// The metric.
pub(super) fn differences_in_metrics(stage: &Stage) -> Result<f64> {
    stage.metric("towpath_shadow_differences")
}

/// Waits until that is what follows `begin`: the log is written by a thread of its own, after the page.
pub(super) fn await_lines(stage: &Stage, begin: &str, wanted: &[&str]) -> Result<()> {
    stage.soon(&format!("the log to have {begin:?}"), |stage| {
        let lines = lines_of(stage, begin)?;
        ensure!(lines == wanted, "it has {lines:#?}");
        Ok(())
    })
}
