//! What upstreams said, until it ends, and for a while after that.
//!
//! Sharded by a seeded hash, each shard behind a lock that is held for one look-up. The bytes are bounded, not the entries.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dns_wire::{Stored, Ttls};

use crate::group::lock;
use crate::metrics::{CacheMetrics, Counter};
use crate::{Asking, CacheSettings, Hit};

mod entry;
mod life;
mod shard;

use entry::{Entry, KeyBuf};
use life::Kind;
use shard::Shard;

/// TTL of an answer past its life, in seconds (RFC 8767, section 4).
pub const STALE_TTL: u32 = 30;
/// After the upstreams failed, an answer past its life is given at once for this long: the failure recheck timer of RFC 8767,
/// section 5.
pub const RECHECK: Duration = Duration::from_secs(30);
/// Shards at most, and the bytes that make one worth while.
const SHARDS: usize = 16;
const SHARD_BYTES: usize = 256 * 1024;

/// One group's cache.
pub(crate) struct Cache {
    epoch: Instant,
    seed: RandomState,
    shards: Box<[Mutex<Shard>]>,
    success_hits: Counter,
    denial_hits: Counter,
    misses: Counter,
    prefetches: Counter,
    served_stale: Counter,
    drops: Counter,
}

impl Cache {
    /// A cache of at most `max_bytes`; its clock begins at `epoch`.
    pub(crate) fn new(max_bytes: usize, epoch: Instant) -> Self {
        let shards = (max_bytes / SHARD_BYTES).clamp(1, SHARDS);
        Self {
            epoch,
            seed: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::new(Shard::new(max_bytes / shards))).collect(),
            success_hits: Counter::default(),
            denial_hits: Counter::default(),
            misses: Counter::default(),
            prefetches: Counter::default(),
            served_stale: Counter::default(),
            drops: Counter::default(),
        }
    }

    /// What there is for a question, and whether it is to be asked again now.
    pub(crate) fn lookup(
        &self,
        asking: &Asking<'_>,
        now: Instant,
        settings: &CacheSettings,
    ) -> Option<(Hit, bool)> {
        let millis = self.millis(now);
        let found = self.with(asking, |entry| {
            let found = entry.hit(millis, settings);
            found.map(|(hit, refresh)| (hit, refresh, entry.kind))
        });
        let Some((hit, refresh, kind)) = found.flatten() else {
            self.misses.add();
            return None;
        };
        self.count(&hit, refresh, kind);
        Some((hit, refresh))
    }

    fn count(&self, hit: &Hit, refresh: bool, kind: Kind) {
        if kind == Kind::Success { &self.success_hits } else { &self.denial_hits }.add();
        if hit.stale {
            self.served_stale.add();
        } else if refresh {
            self.prefetches.add();
        }
    }

    /// What may be given when upstreams fail.
    pub(crate) fn stale(&self, asking: &Asking<'_>, now: Instant, settings: &CacheSettings) -> Option<Hit> {
        let millis = self.millis(now);
        let hit = self.with(asking, |entry| entry.fallback(millis, settings)).flatten()?;
        self.served_stale.add();
        Some(hit)
    }

    /// The upstreams failed: what is past its life is given at once for [`RECHECK`].
    pub(crate) fn recheck_later(&self, asking: &Asking<'_>, now: Instant) {
        let millis = self.millis(now);
        self.with(asking, |entry| entry.recheck_later(millis));
    }

    /// Upstreams recovered at `since`: an answer that was put off before may be asked for again. True if it was put off.
    pub(crate) fn forget_recheck(&self, asking: &Asking<'_>, since: Instant) -> bool {
        let since = self.millis(since);
        self.with(asking, |entry| entry.forget_recheck(since)).unwrap_or(false)
    }

    /// Keeps a message, if it may be kept, and makes the hit for those who wait for it.
    pub(crate) fn keep(
        &self,
        asking: &Asking<'_>,
        stored: Arc<Stored>,
        now: Instant,
        settings: &CacheSettings,
    ) -> Hit {
        let ttls = if life::covers(asking, settings) { life::ttls(&stored, settings) } else { Ttls::KEEP };
        let hit = Hit { stored: stored.clone(), ttls, stale: false, cached: false };
        let Some((kind, life)) = life::life(&stored, asking, settings) else {
            self.drops.add();
            return hit;
        };
        let (mut buffer, millis) = (KeyBuf::new(), self.millis(now));
        let key = buffer.fill(asking);
        let hash = self.seed.hash_one(key);
        let mut shard = lock(self.shard(hash));
        let usable = |old: &&mut Entry| old.kind != Kind::Failure && old.fallback(millis, settings).is_some();
        if kind == Kind::Failure
            && let Some(old) = shard.get(hash, key).filter(usable)
        {
            old.recheck_later(millis);
        } else if !shard.put(hash, Entry::new(asking.bits(), kind, stored, millis, life)) {
            self.drops.add();
        }
        hit
    }

    pub(crate) fn metrics(&self) -> CacheMetrics {
        let mut metrics = CacheMetrics {
            success_hits: self.success_hits.get(),
            denial_hits: self.denial_hits.get(),
            misses: self.misses.get(),
            prefetches: self.prefetches.get(),
            served_stale: self.served_stale.get(),
            drops: self.drops.get(),
            ..CacheMetrics::default()
        };
        self.shards.iter().for_each(|shard| lock(shard).add_to(&mut metrics));
        metrics
    }

    fn with<T>(&self, asking: &Asking<'_>, action: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut buffer = KeyBuf::new();
        let key = buffer.fill(asking);
        let hash = self.seed.hash_one(key);
        lock(self.shard(hash)).get(hash, key).map(action)
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        let at = (hash >> 32) as usize % self.shards.len();
        &self.shards[at]
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
