//! How much of the thread's time may go to comparing everything because of others. Pure: times are handed in.

use std::time::{Duration, Instant};

/// In the long run, one part of so many.
const PART: u32 = 50;
/// Comparisons in a row that may come at once, after a time without any.
const BURST: u32 = 5;

/// What was spent, and what of it was paid for by time.
#[derive(Debug)]
pub(super) struct Share {
    debt: Duration,
    paid: Instant,
    /// What the dearest cost since all was paid for: a cheap one must not make those before it look like too many.
    dearest: Duration,
}

impl Share {
    /// Nothing is spent.
    pub(super) fn new(now: Instant) -> Self {
        Self { debt: Duration::ZERO, paid: now, dearest: Duration::ZERO }
    }

    /// Whether one more, as costly as the dearest, is within the share.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        self.pay(now);
        self.debt <= self.dearest * (BURST - 1)
    }

    /// One was made.
    pub(super) fn spent(&mut self, cost: Duration, now: Instant) {
        self.pay(now);
        let before = if self.debt.is_zero() { Duration::ZERO } else { self.dearest };
        self.dearest = before.max(cost);
        self.debt += cost;
    }

    fn pay(&mut self, now: Instant) {
        self.debt = self.debt.saturating_sub(now.saturating_duration_since(self.paid) / PART);
        self.paid = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that are made in a time, of those that somebody asks for four times a second.
    fn made(seconds: u32, cost: Duration) -> Vec<u32> {
        let start = Instant::now();
        let mut share = Share::new(start);
        let ask = |quarter: &u32| {
            let now = start + Duration::from_millis(250) * *quarter;
            let allowed = share.allows(now);
            if allowed {
                share.spent(cost, now);
            }
            allowed
        };
        (0..seconds * 4).filter(ask).collect()
    }

    #[test]
    fn some_are_made_at_once_and_then_one_part_of_the_time_goes_to_them() {
        let made = made(1000, Duration::from_millis(300));
        assert_eq!(made[..5], [0, 1, 2, 3, 4]);
        let later: Vec<u32> = made[4..].windows(2).map(|pair| (pair[1] - pair[0]) / 4).collect();
        assert!(later[1..].iter().all(|seconds| *seconds == 15), "{later:?}");
        assert_eq!(made.len() - 5, 1000 / 15);
    }

    #[test]
    fn what_costs_nothing_is_always_allowed() {
        assert_eq!(made(10, Duration::ZERO).len(), 40);
    }

    #[test]
    fn a_cheap_one_after_dear_ones_makes_nobody_wait() {
        let start = Instant::now();
        let mut share = Share::new(start);
        for cost in [2800, 1500, 230] {
            assert!(share.allows(start));
            share.spent(Duration::from_millis(cost), start);
        }
        assert!(share.allows(start));
        // Paid for, the dear one is forgotten.
        let later = start + Duration::from_secs(1000);
        assert!(share.allows(later));
        for _ in 0..5 {
            share.spent(Duration::from_millis(230), later);
        }
        assert!(!share.allows(later));
    }

    #[test]
    fn a_costly_one_is_paid_for() {
        let start = Instant::now();
        let mut share = Share::new(start);
        for _ in 0..5 {
            assert!(share.allows(start));
            share.spent(Duration::from_secs(2), start);
        }
        assert!(!share.allows(start + Duration::from_secs(99)));
        assert!(share.allows(start + Duration::from_secs(100)));
    }
}
