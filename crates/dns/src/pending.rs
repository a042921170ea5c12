//! Queries that wait for upstreams: bounded in all, and for each source.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::shared::Shared;

/// Queries that may wait at a time, over all sources and groups; further ones get SERVFAIL.
pub(crate) const MOST: usize = 4_096;
/// Of these, for one source: a slow upstream and one noisy pod do not use up what a group may have under way.
pub(crate) const MOST_OF_ONE: u32 = 256;

/// How many wait, by source; a source without any is not in it.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    all: usize,
    sources: FxHashMap<IpAddr, u32>,
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
        if *count >= MOST_OF_ONE {
            return false;
        }
        *count += 1;
        table.all += 1;
        true
    }

    fn free(&self, source: IpAddr) {
        let mut table = self.lock();
        table.all = table.all.saturating_sub(1);
        if let Some(count) = table.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                table.sources.remove(&source);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}
