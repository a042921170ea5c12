//! Whether an upstream is well: what real questions and, after a failure, probes say.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::edns::EdnsDoubt;
use crate::group::lock;

/// How an upstream stands; the better ones are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Nothing is known against it.
    Good,
    /// It failed since it last answered.
    Suspect,
    /// It failed `max_fails` times in a row.
    Down,
    /// It leads back to this server.
    Looping,
}

/// One upstream's health.
#[derive(Default)]
pub(crate) struct Health {
    fails: AtomicU32,
    looping: AtomicBool,
    probing: AtomicBool,
    checking: AtomicBool,
    /// Whether it knows EDNS.
    pub(crate) edns: EdnsDoubt,
    /// When it last answered after a failure.
    recovered: Mutex<Option<Instant>>,
    /// Smoothed time to a reply, in microseconds; 0: unknown.
    rtt: AtomicU64,
    /// Smoothed deviation from it.
    deviation: AtomicU64,
}

impl Health {
    pub(crate) fn standing(&self, max_fails: u32) -> Standing {
        let fails = self.fails.load(Ordering::Relaxed);
        match fails {
            _ if self.looping.load(Ordering::Relaxed) => Standing::Looping,
            0 => Standing::Good,
            _ if max_fails > 0 && fails >= max_fails => Standing::Down,
            _ => Standing::Suspect,
        }
    }

    /// A reply came.
    pub(crate) fn succeeded(&self, took: Duration) {
        if self.fails.swap(0, Ordering::Relaxed) > 0 {
            *lock(&self.recovered) = Some(Instant::now());
        }
        let new = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let old = self.rtt.load(Ordering::Relaxed);
        let deviation = self.deviation.load(Ordering::Relaxed);
        // The weights of RFC 6298, section 2.
        let (smoothed, deviation) = match old {
            0 => (new, new / 2),
            _ => (old - old / 8 + new / 8, deviation - deviation / 4 + old.abs_diff(new) / 4),
        };
        self.rtt.store(smoothed.max(1), Ordering::Relaxed);
        self.deviation.store(deviation, Ordering::Relaxed);
    }

    /// No reply came; true if a probe is to be started.
    pub(crate) fn failed(&self) -> bool {
        self.fails.fetch_add(1, Ordering::Relaxed);
        !self.probing.swap(true, Ordering::Relaxed)
    }

    /// The probe has ended.
    pub(crate) fn probe_ended(&self) {
        self.probing.store(false, Ordering::Relaxed);
    }

    /// Smoothed time to a reply.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(self.rtt.load(Ordering::Relaxed)).filter(|rtt| *rtt > 0).map(Duration::from_micros)
    }

    /// The time by which a reply is there, as a rule: the retransmission timeout of RFC 6298, without its bounds.
    pub(crate) fn usual(&self) -> Option<Duration> {
        self.rtt().map(|rtt| rtt + Duration::from_micros(4 * self.deviation.load(Ordering::Relaxed)))
    }

    /// True if it was not so before.
    pub(crate) fn set_looping(&self, looping: bool) -> bool {
        self.looping.swap(looping, Ordering::Relaxed) != looping
    }

    /// A look for loops begins; false if one is under way.
    pub(crate) fn begin_check(&self) -> bool {
        !self.checking.swap(true, Ordering::Relaxed)
    }

    /// It has ended.
    pub(crate) fn end_check(&self) {
        self.checking.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_looping(&self) -> bool {
        self.looping.load(Ordering::Relaxed)
    }

    /// When it last answered after a failure.
    pub(crate) fn recovered(&self) -> Option<Instant> {
        *lock(&self.recovered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_by_failures() {
        let table = [
            (0, 2, Standing::Good),
            (1, 2, Standing::Suspect),
            (2, 2, Standing::Down),
            (3, 2, Standing::Down),
            (1, 1, Standing::Down),
            (9, 0, Standing::Suspect),
        ];
        for (fails, max_fails, want) in table {
            let health = Health::default();
            let probes = (0..fails).filter(|_| health.failed()).count();
            assert_eq!(health.standing(max_fails), want, "{fails} of {max_fails}");
            assert_eq!(probes, usize::from(fails > 0), "one probe");
            health.succeeded(Duration::from_millis(1));
            assert_eq!(health.recovered().is_some(), fails > 0);
            assert_eq!(health.standing(max_fails), Standing::Good);
            health.set_looping(true);
            assert_eq!(health.standing(max_fails), Standing::Looping);
        }
    }

    #[test]
    fn rtt_is_smoothed() {
        let health = Health::default();
        assert_eq!(health.rtt(), None);
        health.succeeded(Duration::from_millis(80));
        assert_eq!(health.rtt(), Some(Duration::from_millis(80)));
        assert_eq!(health.usual(), Some(Duration::from_millis(240)));
        health.succeeded(Duration::from_millis(160));
        assert_eq!(health.rtt(), Some(Duration::from_millis(90)));
        assert_eq!(health.usual(), Some(Duration::from_millis(90 + 4 * 50)));
    }
}
