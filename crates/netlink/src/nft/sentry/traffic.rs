//! How busy others are, and what follows: when listening pays, when it ends. Pure: times are handed in.

use std::time::{Duration, Instant};

/// Two commits of others within this time: it pays to listen.
const BUSY: Duration = Duration::from_secs(30);
/// So long nobody else has committed: listening ends.
const CALM: Duration = Duration::from_secs(60);
/// Messages in a moment that are no flood: what a commit of that many objects is told with.
const BURST: f64 = 20_000.0;
/// Messages a second that are no flood. Reading one takes less than a microsecond.
const RATE: f64 = 4_000.0;
/// How long nobody listens after a flood; it doubles with each.
const DEAF_FIRST: Duration = Duration::from_secs(60);
const DEAF_LAST: Duration = Duration::from_secs(3600);

/// What is known of others' commits.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    last: Option<Instant>,
    /// Messages beyond the rate, and when that was.
    level: f64,
    at: Option<Instant>,
    deaf: Option<(Instant, Duration)>,
}

impl Traffic {
    /// Most messages that may be read at once.
    pub(super) const LIMIT: usize = BURST as usize + 1;

    /// Somebody else has committed. Whether it pays to listen.
    pub(super) fn commit(&mut self, now: Instant) -> bool {
        let is_busy = self.last.is_some_and(|last| now.saturating_duration_since(last) < BUSY);
        self.last = Some(now);
        is_busy && self.deaf.is_none_or(|(until, _)| now >= until)
    }

    /// So many messages were read. Whether they are a flood; then it does not pay to listen for a time.
    pub(super) fn is_flood(&mut self, messages: usize, lost: bool, now: Instant) -> bool {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.level = (self.level - since.as_secs_f64() * RATE).max(0.0) + messages as f64;
        self.at = Some(now);
        let is_flood = lost || self.level > BURST;
        if is_flood {
            let wait = self.deaf.map_or(DEAF_FIRST, |(_, last)| (last * 2).min(DEAF_LAST));
            (self.deaf, self.level) = (Some((now + wait, wait)), 0.0);
        }
        is_flood
    }

    /// Whether listening does not pay any more.
    pub(super) fn is_calm(&mut self, now: Instant) -> bool {
        let is_calm = self.last.is_none_or(|last| now.saturating_duration_since(last) >= CALM);
        if is_calm {
            (self.deaf, self.level) = (None, 0.0);
        }
        is_calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn two_commits_in_a_row_are_busy_and_one_now_and_then_is_not() {
        let (start, mut traffic) = (Instant::now(), Traffic::default());
        let heard = [0, 30, 60, 89, 120, 121].map(|at| traffic.commit(after(start, at)));
        assert_eq!(heard, [false, false, false, true, false, true]);
        assert!(!traffic.is_calm(after(start, 180)));
        assert!(traffic.is_calm(after(start, 181)));
    }

    #[test]
    fn a_burst_is_no_flood_and_a_stream_is() {
        let (start, mut traffic) = (Instant::now(), Traffic::default());
        assert!(!traffic.is_flood(20_000, false, start));
        assert!(!traffic.is_flood(4_000, false, after(start, 1)));
        assert!(traffic.is_flood(4_001, false, after(start, 2)));
        assert!(!traffic.is_flood(20_000, false, after(start, 2)), "counted anew");
        assert!(traffic.is_flood(0, true, after(start, 100)), "lost");
    }

    #[test]
    fn after_a_flood_nobody_listens_for_a_time_that_doubles() {
        let (start, mut traffic) = (Instant::now(), Traffic::default());
        let (mut at, mut waits) = (0, Vec::new());
        for _ in 0..8 {
            traffic.is_flood(0, true, after(start, at));
            let begun = at;
            while !traffic.commit(after(start, at)) {
                at += 1;
            }
            waits.push(at - begun);
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert!(traffic.is_calm(after(start, at + 60)));
        traffic.is_flood(0, true, after(start, at + 60));
        assert!(!traffic.commit(after(start, at + 61)));
        assert!(!traffic.commit(after(start, at + 119)));
        assert!(traffic.commit(after(start, at + 120)), "a calm minute forgives");
    }
}
