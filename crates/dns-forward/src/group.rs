//! One group: its settings, its cache, what is under way, its upstreams.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dns_wire::{Stored, Ttls};

use crate::asking::Key;
use crate::cache::Cache;
use crate::failures::Failures;
use crate::flights::{Flights, Joined};
use crate::metrics::Counter;
use crate::remote::Remote;
use crate::{Asking, Done, Group, GroupMetrics, Hit, StaleMode, Why};

/// A configured group. A handle: clones are the same group.
#[derive(Clone)]
pub struct GroupHandle(pub(crate) Arc<State>);

impl std::fmt::Debug for GroupHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "GroupHandle({})", self.0.settings.name)
    }
}

impl GroupHandle {
    /// [`Group::name`].
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Whether it has a cache.
    pub fn has_cache(&self) -> bool {
        self.0.cache.is_some()
    }
}

/// What is behind a handle.
pub(crate) struct State {
    pub(crate) settings: Group,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) remotes: Vec<Arc<Remote>>,
    /// Whose turn it is: [`crate::Policy::RoundRobin`].
    pub(crate) turn: AtomicUsize,
    pub(crate) counters: Arc<Counters>,
    flights: Mutex<Flights>,
    failures: Mutex<Failures>,
}

/// What a group counts; goes on when it is configured anew.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) coalesced: Counter,
    pub(crate) overloaded: Counter,
    pub(crate) all_down: Counter,
    pub(crate) failed: Counter,
    pub(crate) hedged: Counter,
}

/// What becomes of a question.
pub(crate) enum Admission {
    /// It is to be asked.
    Start(Key),
    /// It is under way already.
    Joined,
    /// It cannot be asked.
    Refused(Why),
}

impl State {
    pub(crate) fn new(
        settings: Group,
        cache: Option<Arc<Cache>>,
        remotes: Vec<Arc<Remote>>,
        counters: Arc<Counters>,
    ) -> Self {
        let (turn, flights, failures) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        Self { settings, cache, remotes, turn, counters, flights, failures }
    }

    /// Takes a question, or says why not. Without `done` it is a refresh, which nobody waits for.
    pub(crate) fn admit(&self, asking: &Asking<'_>, done: Option<Done>, now: Instant) -> Admission {
        let key = Key::of(asking);
        if self.remotes.is_empty() {
            return Admission::Refused(Why::NoUpstream);
        }
        if lock(&self.failures).contains(&key, now) {
            return Admission::Refused(Why::RecentFailure);
        }
        match lock(&self.flights).join(&key, done, self.settings.max_concurrent) {
            Joined::First => Admission::Start(key),
            Joined::Waits => {
                self.counters.coalesced.add();
                Admission::Joined
            }
            Joined::Full => {
                self.counters.overloaded.add();
                Admission::Refused(Why::Overloaded)
            }
        }
    }

    pub(crate) fn take_waiters(&self, key: &Key) -> Vec<Done> {
        lock(&self.flights).take_waiters(key)
    }

    pub(crate) fn end(&self, key: &Key) -> Vec<Done> {
        lock(&self.flights).end(key)
    }

    pub(crate) fn remember_failure(&self, key: Key, now: Instant) {
        lock(&self.failures).add(key, now);
    }

    /// What the cache has, and whether it is to be asked again now.
    pub(crate) fn lookup(&self, asking: &Asking<'_>, now: Instant) -> Option<(Hit, bool)> {
        let (cache, settings) = (self.cache.as_ref()?, self.settings.cache.as_ref()?);
        let found = cache.lookup(asking, now, settings)?;
        let waits_for_recheck = found.0.stale && !found.1;
        let recovered = if waits_for_recheck { self.recovered() } else { None };
        match recovered {
            Some(recovered) if cache.forget_recheck(asking, recovered) => cache.lookup(asking, now, settings),
            _ => Some(found),
        }
    }

    /// When an upstream last answered after a failure.
    fn recovered(&self) -> Option<Instant> {
        self.remotes.iter().filter_map(|remote| remote.health.recovered()).max()
    }

    /// Whether this question is under way.
    pub(crate) fn is_under_way(&self, asking: &Asking<'_>) -> bool {
        lock(&self.flights).contains(&Key::of(asking))
    }

    /// An answer past its life that may still be given (or one that is not past it).
    pub(crate) fn stale(&self, asking: &Asking<'_>, now: Instant) -> Option<Hit> {
        self.cache.as_ref()?.stale(asking, now, self.settings.cache.as_ref()?)
    }

    /// For a while the stale answer is given at once.
    pub(crate) fn recheck_later(&self, asking: &Asking<'_>, now: Instant) {
        if let Some(cache) = &self.cache {
            cache.recheck_later(asking, now);
        }
    }

    /// Keeps a message and makes the hit for those who wait for it.
    pub(crate) fn keep(&self, asking: &Asking<'_>, stored: Arc<Stored>, now: Instant) -> Hit {
        match (&self.cache, &self.settings.cache) {
            (Some(cache), Some(settings)) => cache.keep(asking, stored, now, settings),
            _ => Hit { stored, ttls: Ttls::KEEP, stale: false, cached: false },
        }
    }

    /// How long those who ask wait before they get a stale answer.
    pub(crate) fn client_wait(&self) -> Option<Duration> {
        match self.settings.cache.as_ref()?.stale?.mode {
            StaleMode::Verify(wait) => Some(wait),
            StaleMode::Immediate => Some(Duration::ZERO),
        }
    }

    pub(crate) fn metrics(&self) -> GroupMetrics {
        let (in_flight, waiting) = lock(&self.flights).counts();
        GroupMetrics {
            name: self.settings.name.clone(),
            in_flight,
            waiting,
            coalesced: self.counters.coalesced.get(),
            overloaded: self.counters.overloaded.get(),
            all_down: self.counters.all_down.get(),
            failed: self.counters.failed.get(),
            hedged: self.counters.hedged.get(),
            cache: self.cache.as_ref().map(|cache| cache.metrics()),
            upstreams: self.remotes.iter().map(|remote| remote.metrics()).collect(),
        }
    }
}

/// A lock whose holder panicked is taken all the same: what it guards is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
