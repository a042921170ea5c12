//! One answer that is kept.

use std::sync::Arc;
use std::time::Duration;

use dns_wire::{MAX_NAME, Stored, Ttls};

use super::life::{self, Kind};
use super::{RECHECK, STALE_TTL};
use crate::{Asking, CacheSettings, Hit, StaleMode};

/// A key on the stack: lower-case name, type, class, DO and CD.
pub(super) struct KeyBuf([u8; MAX_NAME + 5]);

impl KeyBuf {
    pub(super) fn new() -> Self {
        Self([0; MAX_NAME + 5])
    }

    pub(super) fn fill(&mut self, asking: &Asking<'_>) -> &[u8] {
        let name = asking.name.wire();
        let end = name.len().min(MAX_NAME);
        for (to, from) in self.0.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        self.0[end..end + 2].copy_from_slice(&asking.qtype.to_be_bytes());
        self.0[end + 2..end + 4].copy_from_slice(&asking.qclass.to_be_bytes());
        self.0[end + 4] = asking.bits();
        &self.0[..end + 5]
    }
}

/// An answer. Its name, type and class are those of the message: it is looked up by what was asked.
pub(super) struct Entry {
    stored: Arc<Stored>,
    /// Milliseconds of the cache's clock.
    born: u64,
    /// This and what follows: milliseconds since then, 49 days at the most.
    life: u32,
    /// Until then, what is past its life is given at once.
    recheck: u32,
    /// Until then, a refresh is under way.
    refreshing: u32,
    last_hit: u32,
    hits: u16,
    pub(super) kind: Kind,
    /// [`Asking::bits`].
    bits: u8,
}

/// A refresh that has not ended by then is lost.
const REFRESH_LIMIT: u32 = 10_000;
/// What an entry takes besides the message: itself (with room that the table may have left), its place in the table and in a queue,
/// what three allocations round up to and lose between them. So that the sum is what a process grows by under churn (measured).
const OVERHEAD: usize = 2 * size_of::<Entry>() + 160;

impl Entry {
    pub(super) fn new(bits: u8, kind: Kind, stored: Arc<Stored>, now: u64, life: Duration) -> Self {
        let (life, born) = (millis(life), now);
        Self { stored, born, life, recheck: 0, refreshing: 0, last_hit: 0, hits: 0, kind, bits }
    }

    /// Whether this is the answer to what [`KeyBuf::fill`] has made a key of.
    pub(super) fn is_of(&self, key: &[u8]) -> bool {
        let (Some((bits, asked)), question) = (key.split_last(), self.stored.question()) else {
            return false;
        };
        let name = question.len().saturating_sub(4);
        // Of type and class each bit counts, of the name's letters all but one.
        *bits == self.bits
            && asked.len() == question.len()
            && asked[..name].eq_ignore_ascii_case(&question[..name])
            && asked[name..] == question[name..]
    }

    /// Bytes it takes.
    pub(super) fn cost(&self) -> usize {
        self.stored.bytes() + OVERHEAD
    }

    /// Past its life and past the time that it may be given after that.
    pub(super) fn is_dead(&self, now: u64, stale: Duration) -> bool {
        self.past(now).is_some_and(|past| self.kind == Kind::Failure || u128::from(past) >= stale.as_millis())
    }

    /// The answer, if it may be given now, and whether it is to be asked again.
    pub(super) fn hit(&mut self, now: u64, settings: &CacheSettings) -> Option<(Hit, bool)> {
        if self.past(now).is_none() {
            self.count_hit(now, settings);
            let refresh = self.is_prefetch_due(now, settings) && self.begin_refresh(now);
            return Some((self.fresh(now, settings), refresh));
        }
        let stale = settings.stale.filter(|stale| !self.is_dead(now, stale.max_age))?;
        if self.age(now) < self.recheck {
            return Some((self.stale(), false));
        }
        (stale.mode == StaleMode::Immediate).then(|| (self.stale(), self.begin_refresh(now)))
    }

    /// The answer, for when it cannot be had anew.
    pub(super) fn fallback(&self, now: u64, settings: &CacheSettings) -> Option<Hit> {
        if self.past(now).is_none() {
            return Some(self.fresh(now, settings));
        }
        settings.stale.filter(|stale| !self.is_dead(now, stale.max_age)).map(|_| self.stale())
    }

    fn fresh(&self, now: u64, settings: &CacheSettings) -> Hit {
        // The clock was read before the entry was: another thread may have made it meanwhile.
        let age = if settings.keep_ttl { 0 } else { self.age(now) / 1000 };
        let ttls = Ttls { age, ..life::ttls(&self.stored, settings) };
        Hit { stored: self.stored.clone(), ttls, stale: false, cached: true }
    }

    fn stale(&self) -> Hit {
        let ttls = Ttls { stale: Some(STALE_TTL), ..Ttls::KEEP };
        Hit { stored: self.stored.clone(), ttls, stale: true, cached: true }
    }

    /// Milliseconds since it came.
    fn age(&self, now: u64) -> u32 {
        u32::try_from(now.saturating_sub(self.born)).unwrap_or(u32::MAX)
    }

    /// How far it is past its life.
    fn past(&self, now: u64) -> Option<u64> {
        now.checked_sub(self.born.saturating_add(self.life.into()))
    }

    fn count_hit(&mut self, now: u64, settings: &CacheSettings) {
        let gap = settings.prefetch.map_or(u32::MAX, |prefetch| millis(prefetch.gap));
        let age = self.age(now);
        let popular = age.saturating_sub(self.last_hit) < gap;
        self.hits = if popular { self.hits.saturating_add(1) } else { 1 };
        self.last_hit = age;
    }

    fn is_prefetch_due(&self, now: u64, settings: &CacheSettings) -> bool {
        let Some(prefetch) = settings.prefetch.filter(|_| self.kind != Kind::Failure) else { return false };
        let left = u64::from(self.life.saturating_sub(self.age(now)));
        self.hits >= prefetch.hits && left * 100 <= u64::from(self.life) * u64::from(prefetch.percent)
    }

    fn begin_refresh(&mut self, now: u64) -> bool {
        let age = self.age(now);
        let begins = age >= self.refreshing;
        if begins {
            self.refreshing = age.saturating_add(REFRESH_LIMIT);
        }
        begins
    }

    /// Takes [`recheck_later`](Self::recheck_later) back, if that was before `since`. True if it was.
    pub(super) fn forget_recheck(&mut self, since: u64) -> bool {
        let set = (self.born + u64::from(self.recheck)).saturating_sub(millis(RECHECK).into());
        let forgets = self.recheck > 0 && set <= since;
        if forgets {
            self.recheck = 0;
        }
        forgets
    }

    /// The upstreams failed, or said so.
    pub(super) fn recheck_later(&mut self, now: u64) {
        self.recheck = self.age(now).saturating_add(millis(RECHECK));
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
