//! Looking after what is programmed: others' changes, stale flows, what was refused.

use std::time::{Duration, Instant, SystemTime};

use dataplane::Summary;

use super::SyncLoop;
use crate::repair::{Repair, Words};

/// How often somebody looks whether others have changed our rules (3 us each time in mode nftables).
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(250);
/// How soon rules of single Services are tried again that the kernel refused: a module may have been loaded.
const REFUSED_AGAIN: Duration = Duration::from_secs(300);

/// How soon a sync that has failed is tried again when others have changed something since.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// How often the log says that a repair waits.
const WAITING_EVERY: Duration = Duration::from_secs(300);

/// How often somebody looks for rules of ours in other modes.
const AROUND_EVERY: Duration = Duration::from_secs(300);
/// The first such look after the start.
pub(super) const AROUND_FIRST: Duration = Duration::from_secs(30);

/// Others may have changed our rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Foreign {
    /// Who, where that is known.
    by: Option<String>,
}

impl SyncLoop {
    /// Looks at everything when somebody else may have changed our rules, but not too often.
    pub(super) fn watch_kernel(&mut self) {
        let now = Instant::now();
        if now < self.next_watch {
            return;
        }
        self.next_watch = now + WATCH_EVERY;
        if !self.flows_due.is_empty() && now >= self.next_flows {
            self.clean_flows();
        }
        // Before the first sync there is nothing to guard.
        let guards = self.followers.first_sync.is_none();
        if guards && self.engine.touched_by_others() {
            if self.share.allows(now) {
                self.foreign = Some(Foreign { by: self.engine.touched_by() });
                self.engine.request_full();
                // What was in the way may be gone.
                self.retry = self.retry.map(|(at, wait)| (at.min(now + TRY_AGAIN), wait));
            } else {
                self.say_that_it_waits(now);
            }
        }
        let settings = self.engine.settings_set_again();
        if !settings.is_empty() {
            self.of_settings.repaired(&settings.join(", "), None);
        }
        self.try_refused_again(now);
        self.look_around(now);
    }

    /// A comparison because of others has failed: it has cost its time too.
    pub(super) fn note_failed_repair(&mut self, took: Duration) {
        if self.foreign.is_some() {
            self.share.spent(took, Instant::now());
        }
    }

    /// Tells what a comparison has found that others had changed, and that is repaired: also one that was made for another
    /// reason. How many objects that were.
    pub(super) fn note_repair(
        &mut self,
        foreign: Option<Foreign>,
        difference: &Summary,
        took: Duration,
    ) -> usize {
        let now = Instant::now();
        if foreign.is_some() {
            self.share.spent(took, now);
        }
        if difference.total() == 0 {
            return 0;
        }
        let repair = Repair {
            at: SystemTime::now(),
            took,
            by: foreign.and_then(|foreign| foreign.by),
            difference: difference.clone(),
        };
        self.log_repair(&repair, now);
        if let Some(message) = self.telling.message(&repair, now) {
            self.followers.events.repaired(message);
        }
        self.board.metrics.repaired(difference);
        let mut state = self.board.state();
        state.repairs += 1;
        state.last_repair = Some(repair);
        difference.total()
    }

    fn log_repair(&mut self, repair: &Repair, now: Instant) {
        let by = repair.by.as_deref().unwrap_or("unknown");
        match self.logging.words(now) {
            Words::Full => {
                let objects = repair.difference.total();
                tracing::warn!(objects, by, "another program had changed our tables; repaired");
                repair.lines().iter().for_each(|line| tracing::warn!("{line}"));
            }
            Words::Sum(left_out) => tracing::warn!(
                left_out,
                by,
                "another program changes our tables again and again; the log tells one repair in 30 s, all are counted in \
                 towpath_repairs_total: stop that program, or see /debug/status for the last repair"
            ),
            Words::None => {}
        }
    }

    /// Says, now and then, that what others have changed waits.
    fn say_that_it_waits(&mut self, now: Instant) {
        if self.next_waiting.is_some_and(|next| now < next) {
            return;
        }
        self.next_waiting = Some(now + WAITING_EVERY);
        let by = self.engine.touched_by();
        let by = by.as_deref().unwrap_or("unknown");
        tracing::warn!(
            by,
            "others commit so often that comparing everything would take more than 1/50 of the time: a repair may be late by as much"
        );
    }

    /// Now and then, unless another mode is about to be written.
    fn look_around(&mut self, now: Instant) {
        let begun = self.followers.first_sync.is_none() && self.switch.target().is_none();
        if begun && now >= self.next_around {
            self.next_around = now + AROUND_EVERY;
            self.janitor.look_around(self.engine.place());
        }
    }

    fn try_refused_again(&mut self, now: Instant) {
        if !self.engine.has_refusals() {
            self.next_refused = None;
        } else if *self.next_refused.get_or_insert(now + REFUSED_AGAIN) <= now {
            self.next_refused = None;
            self.engine.request_full();
        }
    }
}
