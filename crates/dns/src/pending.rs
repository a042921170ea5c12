//! Queries that wait for upstreams: bounded in all, and for each source.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::shared::Shared;

/// Queries that may wait at a time, over all sources and groups; further ones get SERVFAIL.
pub(crate) const MOST: usize = 4_096;
/// Of these, for one source: half, so that others can wait too.
pub(crate) const MOST_OF_ONE: u32 = 2_048;
/// Questions that one source may have under way: a slow upstream and one noisy pod do not use up what a group may have. Who asks
/// what is under way already is not counted here, whoever asked first.
pub(crate) const MOST_FLIGHTS_OF_ONE: u32 = 256;

/// How many wait, by source; a source without any is not in it.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    all: usize,
    sources: FxHashMap<IpAddr, Source>,
}

#[derive(Debug, Default)]
struct Source {
    /// Queries that wait.
    waiting: u32,
    /// Questions that it was the first to ask.
    flights: u32,
}

impl Waiting {
    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.lock().all
    }

    fn take(&self, source: IpAddr) -> bool {
        let mut table = self.lock();
        if table.all >= MOST {
            return false;
        }
        let count = table.sources.entry(source).or_default();
        if count.waiting >= MOST_OF_ONE {
            return false;
        }
        count.waiting += 1;
        table.all += 1;
        true
    }

    fn free(&self, source: IpAddr) {
        let mut table = self.lock();
        table.all = table.all.saturating_sub(1);
        if let Some(count) = table.sources.get_mut(&source) {
            count.waiting = count.waiting.saturating_sub(1);
        }
        table.tidy(source);
    }

    fn start_flight(&self, source: IpAddr) -> bool {
        let mut table = self.lock();
        let count = table.sources.entry(source).or_default();
        let has_room = count.flights < MOST_FLIGHTS_OF_ONE;
        count.flights += u32::from(has_room);
        has_room
    }

    fn end_flight(&self, source: IpAddr) {
        let mut table = self.lock();
        if let Some(count) = table.sources.get_mut(&source) {
            count.flights = count.flights.saturating_sub(1);
        }
        table.tidy(source);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn tidy(&mut self, source: IpAddr) {
        if self.sources.get(&source).is_some_and(|count| count.waiting == 0 && count.flights == 0) {
            self.sources.remove(&source);
        }
    }
}

/// A question that a source was the first to ask, as long as this lives.
pub(crate) struct Flight<'a> {
    waiting: &'a Waiting,
    source: IpAddr,
}

impl<'a> Flight<'a> {
    /// `None`: the source has too many under way already.
    pub(crate) fn start(waiting: &'a Waiting, source: IpAddr) -> Option<Self> {
        waiting.start_flight(source).then(|| Self { waiting, source })
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.waiting.end_flight(self.source);
    }
}

/// One query that waits, as long as this lives.
pub(crate) struct Pending {
    shared: Arc<Shared>,
    source: IpAddr,
}

impl Pending {
    /// `None`: too many wait already.
    pub(crate) fn take(shared: &Arc<Shared>, source: IpAddr) -> Option<Self> {
        shared.waiting.take(source).then(|| Self { shared: Arc::clone(shared), source })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.waiting.free(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_all_places() {
        let waiting = Waiting::default();
        let source = |low: u32| IpAddr::V4((0x0a00_0000 + low).into());
        let taken = (0..10_000).filter(|_| waiting.take(source(1))).count();
        assert_eq!(taken, MOST_OF_ONE as usize);
        let others = (0..10_000).filter(|low| waiting.take(source(2 + low))).count();
        assert_eq!((others, waiting.count()), (MOST - taken, MOST));
        (0..taken).for_each(|_| waiting.free(source(1)));
        assert_eq!((waiting.take(source(1)), waiting.lock().sources.len()), (true, others + 1));
    }

    #[test]
    fn one_source_starts_a_part_only() {
        let (waiting, source) = (Waiting::default(), IpAddr::from([10, 0, 0, 1]));
        let flights: Vec<_> = (0..1_000).filter_map(|_| Flight::start(&waiting, source)).collect();
        assert_eq!(flights.len(), MOST_FLIGHTS_OF_ONE as usize);
        assert!(waiting.take(source), "it may wait for what is under way");
        assert!(Flight::start(&waiting, IpAddr::from([10, 0, 0, 2])).is_some());
        drop(flights);
        assert!(Flight::start(&waiting, source).is_some());
        waiting.free(source);
        assert!(waiting.lock().sources.is_empty());
    }
}
