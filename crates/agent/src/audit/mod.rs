//! The audit trail: the last changes, what they meant in rules, and how long it took.
//!
//! ```text
//! sources --Cause--> Waiting (sync thread) --a sync--> Entry --> Trail (a ring, bounded) --> pages
//! ```
//!
//! A sync costs one entry, however many Services it touched: what an entry keeps is bounded by the constants below, and so is
//! the ring, in entries and in bytes.

mod entry;
mod view;
mod waiting;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::NamespacedName;

pub(crate) use entry::{Because, Entry, Object};
pub(crate) use view::TrailView;
pub(crate) use waiting::{Moment, Waiting};

/// Objects that an entry names; further ones are counted.
pub(crate) const OBJECTS: usize = 64;
/// Services that an entry names; further ones are counted.
pub(crate) const SERVICES: usize = 256;
/// Lines of rules that an entry keeps; further ones are counted.
pub(crate) const LINES: usize = 20;
/// Characters of a line, or of an error, that are kept.
pub(crate) const LINE: usize = 240;
/// Bytes that all entries together take at the most, about: the oldest go sooner.
pub(crate) const BYTES: usize = 4 << 20;

/// The last changes.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// How many are kept; 0: none, and nothing is noted.
    capacity: usize,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The number of the last entry.
    number: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// The newest first.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Entries that the ring may have.
    pub(crate) capacity: usize,
    /// Entries that it has.
    pub(crate) kept: usize,
    /// Entries that there ever were in this process.
    pub(crate) total: u64,
}

impl Trail {
    /// Sets how many entries are kept: 0 to 10,000.
    pub(crate) fn keep(&self, capacity: usize) {
        let mut ring = self.ring();
        ring.capacity = capacity;
        ring.shrink();
    }

    /// Whether entries are kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.ring().capacity > 0
    }

    /// The newest entries, at most `limit`; only those that touched a Service, if one is given.
    pub(crate) fn last(&self, service: Option<&NamespacedName>, limit: usize) -> Found {
        let ring = self.ring();
        let (capacity, kept, total) = (ring.capacity, ring.entries.len(), ring.number);
        let all: Vec<Arc<Entry>> = ring.entries.iter().rev().cloned().collect();
        drop(ring);
        let fits = |entry: &Arc<Entry>| service.is_none_or(|name| entry.is_about(name));
        Found { entries: all.into_iter().filter(fits).take(limit).collect(), capacity, kept, total }
    }

    /// Adds an entry and numbers it.
    fn add(&self, mut entry: Entry) -> Option<Arc<Entry>> {
        let mut ring = self.ring();
        if ring.capacity == 0 {
            return None;
        }
        ring.number += 1;
        entry.number = ring.number;
        let entry = Arc::new(entry);
        ring.bytes += entry.bytes();
        ring.entries.push_back(Arc::clone(&entry));
        ring.shrink();
        Some(entry)
    }

    /// Counts one more try of the last entry, if it is this failure.
    fn again(&self, number: u64, error: &str) -> bool {
        let mut ring = self.ring();
        let last = ring.entries.back_mut().filter(|last| last.number == number);
        let last = last.filter(|last| last.error.as_deref() == Some(error));
        last.map(|last| Arc::make_mut(last).tries += 1).is_some()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn shrink(&mut self) {
        while self.entries.len() > self.capacity || (self.bytes > BYTES && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests;
