//! How much of a core's time reading may take: a share of it, and some at once.

use std::fs;
use std::time::{Duration, Instant};

/// In the long run one in this many parts of a core's time.
const SHARE: u32 = 20;
/// So much more at once, so that a person who asks some questions does not wait.
const BURST: Duration = Duration::from_secs(2);
/// This thread's time on a processor, in nanoseconds, is the first word (`proc_pid_schedstat`, `fs/proc/base.c`).
const SCHEDSTAT: &str = "/proc/thread-self/schedstat";

/// What was spent of late.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: Duration,
    at: Option<Instant>,
}

impl Budget {
    /// How long to wait before anything more is spent.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.pass(now);
        self.spent.saturating_sub(BURST) * SHARE
    }

    /// So much was spent.
    pub(super) fn spend(&mut self, now: Instant, cost: Duration) {
        self.pass(now);
        self.spent += cost;
    }

    fn pass(&mut self, now: Instant) {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.spent = self.spent.saturating_sub(passed / SHARE);
        self.at = Some(now);
    }
}

/// This thread's time on a processor until now; `None` where the kernel does not count it (`CONFIG_SCHED_INFO`).
pub(crate) fn thread_time() -> Option<Duration> {
    let text = fs::read_to_string(SCHEDSTAT).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The thread's time since then; by the clock, where the kernel does not count it.
pub(crate) fn since((clock, before): (Instant, Option<Duration>)) -> Duration {
    let counted = thread_time().zip(before).map(|(now, before)| now.saturating_sub(before));
    counted.unwrap_or_else(|| clock.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_a_share_for_ever() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..4 {
            assert_eq!(budget.wait(start), Duration::ZERO);
            budget.spend(start, Duration::from_millis(600));
        }
        assert_eq!(budget.wait(start), Duration::from_secs(8), "0.4 s too much is twenty times that");
        assert_eq!(budget.wait(at(8)), Duration::ZERO);
        budget.spend(at(8), Duration::from_millis(100));
        assert_eq!(budget.wait(at(8)), Duration::from_secs(2));
        assert_eq!(budget.wait(at(1_000)), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_sleeps_spends_nothing() {
        let started = (Instant::now(), thread_time());
        std::thread::sleep(Duration::from_millis(30));
        let slept = since(started);
        assert!(started.1.is_none() || slept < Duration::from_millis(25), "{slept:?}");
    }
}
