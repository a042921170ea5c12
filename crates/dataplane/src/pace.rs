//! How often something may be done that costs time and that nobody asked for.

use std::time::{Duration, Instant};

/// A share of the time, to be spent on looks at the kernel. What is not spent is saved, up to a bound, so that after a
/// quiet time several looks may follow each other at once. It reads no clock.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// One part in so many may be spent.
    share: u32,
    most: Duration,
    /// What was saved by `at`; in debt if the last look cost more.
    saved: Duration,
    debt: Duration,
    at: Option<Instant>,
    /// What may be owed at most.
    most_owed: Duration,
}

impl Pace {
    /// One part in `share` (at least 1) of the time, with at most `most` saved; at first that much is.
    pub fn new(share: u32, most: Duration) -> Self {
        Self {
            share: share.max(1),
            most,
            saved: most,
            debt: Duration::ZERO,
            at: None,
            most_owed: Duration::MAX,
        }
    }

    /// It is done this long after the last time at the latest, whatever it costs: on a machine that stands still at times, the
    /// time that it took is no measure.
    #[must_use]
    pub fn waiting_at_most(self, longest: Duration) -> Self {
        Self { most_owed: longest / self.share, ..self }
    }

    /// Whether it may be done now: nothing is owed.
    pub fn allows(&mut self, now: Instant) -> bool {
        self.earn(now);
        self.debt.is_zero()
    }

    /// It was done, and cost so much.
    pub fn spent(&mut self, now: Instant, cost: Duration) {
        self.earn(now);
        self.debt = (self.debt + cost.saturating_sub(self.saved)).min(self.most_owed);
        self.saved = self.saved.saturating_sub(cost);
    }

    fn earn(&mut self, now: Instant) {
        let since = now.saturating_duration_since(*self.at.get_or_insert(now));
        self.at = Some(now);
        let earned = since / self.share;
        let rest = earned.saturating_sub(self.debt);
        self.debt = self.debt.saturating_sub(earned);
        self.saved = (self.saved + rest).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_saved_is_spent_at_once_and_then_the_share_counts() {
        let (start, mut pace) = (Instant::now(), Pace::new(50, 300 * MS));
        let mut times = 0;
        while pace.allows(start) {
            pace.spent(start, 100 * MS);
            times += 1;
        }
        // The last one that may begin takes it into no debt: 3 x 100 ms are just what is saved, a fourth is owed.
        assert_eq!(times, 4);
        assert!(!pace.allows(start + 4_999 * MS));
        assert!(pace.allows(start + 5_000 * MS));
    }

    #[test]
    fn in_the_long_run_it_is_the_share() {
        let (start, mut pace, mut spent) = (Instant::now(), Pace::new(100, 10 * MS), Duration::ZERO);
        for tick in 0..40_000 {
            let now = start + 250 * MS * tick;
            if pace.allows(now) {
                pace.spent(now, 40 * MS);
                spent += 40 * MS;
            }
        }
        let whole = 250 * MS * 40_000;
        assert!(spent <= whole / 100 + 50 * MS && spent >= whole / 100 - 50 * MS, "{spent:?}");
    }

    #[test]
    fn what_costs_little_is_done_each_time() {
        let (start, mut pace) = (Instant::now(), Pace::new(100, Duration::ZERO));
        for tick in 0..1_000 {
            let now = start + 250 * MS * tick;
            assert!(pace.allows(now), "{tick}");
            pace.spent(now, 2 * MS);
        }
    }

    #[test]
    fn nothing_is_put_off_for_longer_than_it_may_be() {
        let (start, mut pace) = (Instant::now(), Pace::new(200, Duration::ZERO).waiting_at_most(2_000 * MS));
        for _ in 0..3 {
            pace.spent(start, 500 * MS);
        }
        assert!(!pace.allows(start + 1_999 * MS));
        assert!(pace.allows(start + 2_000 * MS));
    }
}
