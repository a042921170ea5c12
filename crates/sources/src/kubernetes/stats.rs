//! Counters that the agent shows as metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use super::reason::Reason;
use super::watched::TARGETS;

/// What has happened since the start. Everything may be read at any time.
#[derive(Debug, Default)]
pub struct Stats {
    kinds: [KindStats; TARGETS.len()],
    from_snapshot: AtomicBool,
    snapshot_time: AtomicU64,
}

/// The same for one resource.
#[derive(Debug, Default)]
pub struct KindStats {
    /// Objects that are known now.
    pub objects: AtomicU64,
    /// First lists that were begun.
    pub lists: AtomicU64,
    /// Later lists that were begun: after "too old", after data that could not be read.
    pub relists: AtomicU64,
    /// Watches that were begun.
    pub watches: AtomicU64,
    /// Events that were received, bookmarks included.
    pub events: AtomicU64,
    /// Bytes of bodies that were received.
    pub bytes: AtomicU64,
    /// Whether a watch is open now.
    pub connected: AtomicBool,
    /// When the last event or bookmark came, in milliseconds since 1970; 0 before the first.
    pub last_event_ms: AtomicU64,
    /// Objects that cannot be honoured, wholly or in part.
    pub problems: AtomicU64,
    errors: [AtomicU64; Reason::ALL.len()],
}

impl Stats {
    /// Every resource with its counters.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &KindStats)> {
        TARGETS.iter().map(|target| target.watched.resource).zip(&self.kinds)
    }

    /// Every error counter that is not 0: the resource, the reason, the count.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.kinds().flat_map(|(resource, kind)| {
            let counts = Reason::ALL.iter().map(|reason| (*reason, kind.errors(*reason)));
            counts.filter(|(_, count)| *count > 0).map(move |(r, count)| (resource, r.as_str(), count))
        })
    }

    /// Whether the state comes from the snapshot, since the API server cannot be reached; and from when it is, in
    /// seconds since 1970.
    pub fn snapshot(&self) -> Option<u64> {
        self.from_snapshot.load(Relaxed).then(|| self.snapshot_time.load(Relaxed))
    }

    pub(super) fn set_snapshot(&self, time: Option<u64>) {
        self.snapshot_time.store(time.unwrap_or_default(), Relaxed);
        self.from_snapshot.store(time.is_some(), Relaxed);
    }

    pub(super) fn kind(&self, index: usize) -> &KindStats {
        &self.kinds[index]
    }
}

impl KindStats {
    /// How often something failed for this reason.
    pub fn errors(&self, reason: Reason) -> u64 {
        self.errors[reason as usize].load(Relaxed)
    }

    pub(super) fn count_error(&self, reason: Reason) {
        self.errors[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn count_event(&self) {
        self.events.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_event_ms.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
