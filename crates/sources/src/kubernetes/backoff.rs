//! How long to wait before the next try: soon at first, then longer and longer, and never all kinds at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A try that was good for this long begins a new count. Not longer: a load balancer that ends connections every half
/// minute must not make the pauses grow.
pub(super) const HEALTHY: Duration = Duration::from_secs(10);
/// The longest wait before the first new try.
const FIRST_TRY: Duration = Duration::from_millis(100);

/// Pauses between tries.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    tries: u32,
}

impl Backoff {
    /// Pauses from `first`, doubling, to `last`.
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, tries: 0 }
    }

    /// The next pause: from half of its full length to all of it, but soon for the first.
    pub(super) fn pause(&mut self) -> Duration {
        let full = match self.tries {
            0 => return self.begin(),
            tries => self.first.saturating_mul(1 << (tries - 1).min(16)).min(self.last),
        };
        self.tries += 1;
        between(full / 2, full)
    }

    fn begin(&mut self) -> Duration {
        self.tries = 1;
        between(Duration::ZERO, FIRST_TRY.min(self.first))
    }

    /// A stream that was open for this long has ended; returns whether that was long enough to forget what was before.
    pub(super) fn was_open(&mut self, time: Duration) -> bool {
        let healthy = time >= HEALTHY;
        if healthy {
            self.tries = 0;
        }
        healthy
    }
}

/// A random time from `low` to `high`.
pub(super) fn between(low: Duration, high: Duration) -> Duration {
    // The standard library's only source of randomness; it need not be a good one here.
    let random = RandomState::new().hash_one(0u8) >> 32;
    low + (high.saturating_sub(low)).mul_f64(random as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(500), ms(30_000));
        for full in [100, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let pause = backoff.pause();
            let least = if full == 100 { Duration::ZERO } else { ms(full) / 2 };
            assert!(pause >= least && pause <= ms(full), "{pause:?} of {full}");
        }
        assert!(!backoff.was_open(ms(9_000)));
        assert!(backoff.pause() > ms(10_000));
        assert!(backoff.was_open(ms(10_000)));
        assert!(backoff.pause() <= ms(100));
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::BTreeSet<_> =
            (0..50).map(|_| between(Duration::ZERO, Duration::from_secs(1))).collect();
        assert!(pauses.len() > 40);
    }
}
