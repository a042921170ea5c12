//! What the sync thread notes for the audit trail.

use std::time::Duration;

use dataplane::{ApplyError, SyncReport};

use super::SyncLoop;
use crate::audit::{Because, Moment};

impl SyncLoop {
    /// The kernel has taken a sync.
    pub(super) fn note_commit(&mut self, report: &SyncReport, took: Duration) {
        let now = Moment::now();
        if self.followers.first_sync.is_some() {
            self.audit.because(Because::Start);
        }
        self.audit.committed(report, took, self.foreign.is_some(), now);
    }

    /// The kernel has refused one.
    pub(super) fn note_failure(&mut self, error: &ApplyError, took: Duration) {
        self.audit.failed(&error.to_string(), took, Moment::now());
    }

    /// All that came was taken in: what leads to no sync is noted as such.
    pub(super) fn note_idle(&mut self) {
        if self.engine.is_ready() && !self.engine.has_work() {
            self.audit.idle();
        }
    }
}
