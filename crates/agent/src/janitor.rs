//! Removes what nobody needs any more, beside the sync thread: rules of ours in another mode, and what kube-proxy has left.
//!
//! Only once rules that do the same work are in force. What cannot be removed is said, tried again a few times, and
//! then left: it does no harm that was not there before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::driver::Driver;
use crate::modes::{Opened, Place};

/// Waits between tries.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// At most one chore is done at a time.
#[derive(Default)]
pub(crate) struct Janitor {
    thread: Option<JoinHandle<()>>,
    /// Chores that empty places of ours and are not done yet.
    emptying: Arc<AtomicUsize>,
    /// Whether what kube-proxy has left is removed.
    takeover: bool,
}

impl Janitor {
    /// A janitor that removes what kube-proxy has left, or not.
    pub(crate) fn new(takeover: bool) -> Self {
        Self { takeover, ..Self::default() }
    }

    /// Whether it still empties places of ours: none may be written meanwhile but the one in force.
    pub(crate) fn is_busy(&self) -> bool {
        self.emptying.load(Ordering::Acquire) > 0
    }

    /// What a start finds: rules of ours in other modes than the one in force, and kube-proxy's.
    pub(crate) fn at_start(&mut self, in_force: Place) {
        let takeover = self.takeover;
        let others = move || {
            for place in Place::ALL.into_iter().filter(|place| *place != in_force) {
                patiently(&place.to_string(), || empty(place));
            }
        };
        self.start(others, move || {
            if takeover {
                let mut said = BTreeSet::new();
                patiently("kube-proxy", || take_over(&mut said));
            }
        });
    }

    /// Removes the rules of an engine that was replaced.
    pub(crate) fn remove(&mut self, mut left: Box<dyn Driver>) {
        let place = left.place();
        let empty = move || {
            patiently(&place.to_string(), || {
                let removed = left.remove()?;
                tracing::info!(objects = removed, "removed the rules of {place}");
                Ok(())
            });
        };
        self.start(empty, || {});
    }

    /// Empties places of ours, one after the other, then does what nobody has to wait for.
    fn start(&mut self, empty: impl FnOnce() + Send + 'static, then: impl FnOnce() + Send + 'static) {
        let before = self.thread.take().filter(|_| self.is_busy());
        let emptying = Busy::new(&self.emptying);
        let work = move || {
            if let Some(before) = before {
                let _ = before.join();
            }
            empty();
            drop(emptying);
            then();
        };
        match thread::Builder::new().name("janitor".into()).spawn(work) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::error!(%error, "cannot start a thread that removes old rules; they stay"),
        }
    }
}

/// Counts a chore while it is there, however it ends.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Empties a place where rules of ours may be. A place that cannot be looked at has none, or cannot be emptied either.
fn empty(place: Place) -> Result<()> {
    let mut opened = match Opened::at(place) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::debug!("{place} is not looked at: {error:#}");
            return Ok(());
        }
    };
    // As without nf_tables in the kernel, where the tools for it are installed all the same.
    let found = opened.is_installed().unwrap_or_else(|error| {
        tracing::debug!("{place} cannot be looked at: {error}");
        false
    });
    if found {
        let removed = opened.remove()?;
        tracing::info!(objects = removed, "removed rules of ours that were left in {place}");
    }
    Ok(())
}

/// Removes what kube-proxy has left. What stays is said once.
fn take_over(said: &mut BTreeSet<String>) -> Result<()> {
    let report = takeover::remove(&BTreeSet::new());
    report.removed.iter().for_each(|what| tracing::info!("removed what kube-proxy has left: {what}"));
    let news: Vec<String> = report.kept.into_iter().filter(|what| said.insert(what.clone())).collect();
    news.iter().for_each(|what| tracing::warn!("left in place: {what}"));
    match report.failed.first() {
        Some(failed) => Err(anyhow::anyhow!("{failed}")),
        None => Ok(()),
    }
}

fn patiently(what: &str, mut work: impl FnMut() -> Result<()>) {
    for wait in AGAIN.into_iter().map(Some).chain([None]) {
        let Err(error) = work() else { return };
        match wait {
            Some(wait) => {
                tracing::warn!("cannot remove the old rules of {what}: {error:#}; trying again in {wait:?}");
                thread::sleep(wait);
            }
            None => tracing::error!(
                "the old rules of {what} stay: {error:#}; `towpath cleanup` and `towpath cleanup --kube-proxy` remove them"
            ),
        }
    }
}
