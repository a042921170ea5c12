//! Giving the dataplane time: work that no change asks for, as ending what drains.

use std::time::{Duration, Instant};

use super::SyncLoop;

/// How long what a sync has left is left alone.
const AFTER_SYNC: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// When it is due.
#[derive(Debug, Default)]
pub(super) struct Tending {
    at: Option<Instant>,
    /// The last wait after a failure, while it fails.
    failing: Option<Duration>,
}

impl Tending {
    /// When it is due; `None`: not before the next sync.
    pub(super) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// A sync may have left something to wait for. Many syncs do not make it more often.
    pub(super) fn after_sync(&mut self, now: Instant) {
        if self.failing.is_none() && self.at.is_none() {
            self.at = Some(now + AFTER_SYNC);
        }
    }

    /// It is due at once, unless it fails and waits.
    pub(super) fn now(&mut self, now: Instant) {
        if self.failing.is_none() {
            self.at = Some(now);
        }
    }

    /// It was done, and is to be done again after `next`.
    fn done(&mut self, now: Instant, next: Option<Duration>) {
        self.at = next.map(|wait| now + wait);
        self.failing = None;
    }

    /// It failed; how long it waits.
    fn failed(&mut self, now: Instant) -> Duration {
        let wait = self.failing.map_or(RETRY_FIRST, |last| (last * 2).min(RETRY_LAST));
        (self.at, self.failing) = (Some(now + wait), Some(wait));
        wait
    }
}

impl SyncLoop {
    /// Puts the self-probe's Service where the node is now: as a source would, but with the first sync, so that a restart
    /// changes nothing.
    pub(super) fn place_canary(&mut self) {
        let Some(canary) = &mut self.followers.canary else { return };
        for change in canary.place(self.engine.store().facts()) {
            self.switch.handle(&change);
            self.engine.handle(change);
        }
    }

    /// Does it, if it is due.
    pub(super) fn tend(&mut self) {
        let now = Instant::now();
        if self.tending.due().is_none_or(|at| at > now) {
            return;
        }
        match self.engine.tend() {
            Ok(next) => self.tending.done(now, next),
            Err(error) => {
                let wait = self.tending.failed(now);
                tracing::warn!("{error}; comparing everything, and trying again in {wait:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_due_after_a_sync_and_when_it_has_said() {
        let (now, mut tending) = (Instant::now(), Tending::default());
        assert_eq!(tending.due(), None);
        tending.after_sync(now);
        tending.after_sync(now + SECOND / 2);
        assert_eq!(tending.due(), Some(now + AFTER_SYNC));
        tending.done(now, Some(SECOND));
        assert_eq!(tending.due(), Some(now + SECOND));
        tending.done(now, None);
        assert_eq!(tending.due(), None);
    }

    #[test]
    fn a_failure_is_tried_again_at_its_own_pace() {
        let (now, mut tending) = (Instant::now(), Tending::default());
        let waits: Vec<u64> = (0..7)
            .map(|_| {
                let wait = tending.failed(now);
                tending.after_sync(now);
                assert_eq!(tending.due(), Some(now + wait));
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        tending.done(now, None);
        assert_eq!(tending.failed(now), RETRY_FIRST);
    }
}
