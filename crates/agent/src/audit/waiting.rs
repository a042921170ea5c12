//! What waits for its sync: held by the sync thread.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dataplane::SyncReport;
use model::{Cause, Change, NamespacedName};

use super::entry::{Because, Entry, Object, shortened};
use super::{OBJECTS, SERVICES, Trail};

/// A version that is longer is not kept. An API server's is a number.
const VERSION: usize = 64;

/// Causes that wait for the sync that they lead to. Bounded by [`OBJECTS`].
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    trail: Arc<Trail>,
    /// The cause of a change that has not come yet: there may be a sync between the two.
    next: Option<Arrived>,
    causes: Vec<Arrived>,
    more: usize,
    because: Vec<Because>,
    /// Batches that are open: what came is not complete.
    batches: usize,
    /// The number of the entry that says that just these causes could not be programmed.
    failed: Option<u64>,
    /// The last sync failed.
    retrying: bool,
}

#[derive(Debug)]
struct Arrived {
    cause: Cause,
    /// Milliseconds since 1970.
    trigger: Option<u64>,
}

/// When a sync ended, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) clock: SystemTime,
    pub(crate) instant: Instant,
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        Self { clock: SystemTime::now(), instant: Instant::now() }
    }
}

impl Waiting {
    /// What waits goes to this trail.
    pub(crate) fn new(trail: Arc<Trail>) -> Self {
        Self { trail, ..Self::default() }
    }

    /// Notes what a change tells; hands it back, unless it was for the trail alone.
    pub(crate) fn note(&mut self, change: Change) -> Option<Change> {
        match change {
            Change::Cause(cause) => {
                self.next = Some(Arrived { cause: *cause, trigger: None });
                return None;
            }
            Change::Trigger { at_ms, .. } => {
                self.next.iter_mut().for_each(|next| next.trigger = Some(at_ms));
            }
            Change::BatchBegins => self.batches += 1,
            Change::BatchEnds => self.batches = self.batches.saturating_sub(1),
            Change::KernelAddresses(_) => self.because(Because::Addresses),
            // These come from elsewhere, too: they are nobody's effect.
            Change::Problem(_) | Change::ProblemSolved(_) | Change::Synced(_) => {}
            _ => {
                if let Some(next) = self.next.take() {
                    self.arrived(next);
                }
            }
        }
        Some(change)
    }

    /// Something else than an object leads to the next sync.
    pub(crate) fn because(&mut self, what: Because) {
        if !self.because.contains(&what) {
            self.because.push(what);
        }
    }

    /// The change of a cause is there.
    fn arrived(&mut self, mut arrived: Arrived) {
        // Pods mean nothing for rules, and there are many.
        if arrived.cause.kind == "Pod" {
            return;
        }
        // What is new has not failed yet.
        self.failed = None;
        if self.causes.len() == OBJECTS {
            self.more += 1;
            return;
        }
        let is_plain =
            |version: &str| version.len() <= VERSION && version.bytes().all(|b| b.is_ascii_graphic());
        let version = &mut arrived.cause.version;
        *version = version.take().filter(|version| is_plain(version));
        self.causes.push(arrived);
    }

    /// The kernel has it.
    pub(crate) fn committed(&mut self, report: &SyncReport, took: Duration, repaired: bool, now: Moment) {
        let drift = report.full.as_ref().is_some_and(|full| full.drift.total() > 0);
        if repaired && drift {
            self.because(Because::Repair);
        }
        if self.retrying {
            self.because(Because::Retry);
        }
        let mut entry = Entry::new(now.clock, took);
        entry.full = report.full.is_some();
        entry.wrote(&report.plan);
        entry.services = report.services.iter().take(SERVICES).map(|(name, _)| name.clone()).collect();
        entry.more_services = report.services.len().saturating_sub(SERVICES);
        self.add(entry, now);
    }

    /// The kernel refused it; the causes go on to wait.
    pub(crate) fn failed(&mut self, error: &str, took: Duration, now: Moment) {
        let error = shortened(error);
        self.retrying = true;
        if self.failed.is_some_and(|number| self.trail.again(number, &error)) {
            return;
        }
        let mut entry = Entry::new(now.clock, took);
        self.describe(&mut entry, now);
        entry.error = Some(error);
        self.failed = self.publish(entry);
    }

    /// Nothing is left to program, as far as is known: what still waits meant nothing for the rules.
    pub(crate) fn idle(&mut self) {
        if self.batches == 0 && (!self.causes.is_empty() || self.more > 0) {
            let now = Moment::now();
            self.add(Entry::new(now.clock, Duration::ZERO), now);
        }
        if self.batches == 0 {
            self.because.clear();
        }
    }

    fn add(&mut self, mut entry: Entry, now: Moment) {
        self.describe(&mut entry, now);
        let is_news =
            entry.writes() > 0 || entry.because.iter().any(|because| *because != Because::Addresses);
        if entry.because.is_empty() {
            entry.because.push(if entry.full { Because::Comparison } else { Because::Objects });
        }
        (self.causes, self.because) = (Vec::new(), Vec::new());
        (self.more, self.failed, self.retrying) = (0, None, false);
        if is_news {
            self.publish(entry);
        }
    }

    /// Puts in what led to it.
    fn describe(&self, entry: &mut Entry, now: Moment) {
        entry.objects = self.causes.iter().map(|arrived| arrived.object(now)).collect();
        entry.more_objects = self.more;
        // At the start everything is new.
        if self.because.contains(&Because::Start) {
            entry.because.push(Because::Start);
            return;
        }
        entry.because.extend(&self.because);
        if !self.causes.is_empty() {
            entry.because.push(Because::Objects);
        }
        entry.because.sort_unstable();
    }

    fn publish(&self, entry: Entry) -> Option<u64> {
        let entry = self.trail.add(entry)?;
        tracing::debug!(number = entry.number, "change: {}", entry.in_a_line());
        Some(entry.number)
    }
}

impl Arrived {
    fn object(&self, now: Moment) -> Object {
        let clock = now.clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = |at_ms: u64| clock.saturating_sub(Duration::from_millis(at_ms));
        Object {
            cause: self.cause.clone(),
            waited: now.instant.saturating_duration_since(self.cause.received),
            since_trigger: self.trigger.map(since),
        }
    }
}

/// `namespace/name`, or the name alone where the kind has no namespace.
pub(super) fn plain(name: &NamespacedName) -> String {
    if name.namespace.is_empty() { name.name.to_string() } else { name.to_string() }
}
