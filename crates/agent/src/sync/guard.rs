//! Looking after what is programmed: others' changes, stale flows, what was refused.

use std::time::{Duration, Instant, SystemTime};

use dataplane::Summary;

use super::SyncLoop;
use crate::repair::Repair;

/// How often somebody looks whether others have changed our rules (3 us each time in mode nftables).
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(250);
/// How soon rules of single Services are tried again that the kernel refused: a module may have been loaded.
const REFUSED_AGAIN: Duration = Duration::from_secs(300);

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
        if guards && self.engine.touched_by_others() && self.share.allows(now) {
            self.foreign = Some(Foreign { by: self.engine.touched_by() });
            self.engine.request_full();
        }
        self.try_refused_again(now);
        self.look_around(now);
    }

    /// Tells what a comparison because of others has found and repaired. How many objects that were.
    pub(super) fn note_repair(&mut self, foreign: Foreign, difference: &Summary, took: Duration) -> usize {
        let now = Instant::now();
        self.share.spent(took, now);
        if difference.total() == 0 {
            return 0;
        }
        let repair = Repair { at: SystemTime::now(), took, by: foreign.by, difference: difference.clone() };
        let by = repair.by.as_deref().unwrap_or("unknown");
        tracing::warn!(objects = difference.total(), by, "another program had changed our tables; repaired");
        repair.lines().iter().for_each(|line| tracing::warn!("{line}"));
        if let Some(message) = self.telling.message(&repair, now) {
            self.followers.events.repaired(message);
        }
        self.board.metrics.repaired(difference);
        let mut state = self.board.state();
        state.repairs += 1;
        state.last_repair = Some(repair);
        difference.total()
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
