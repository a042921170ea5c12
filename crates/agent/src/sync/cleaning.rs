//! Stale conntrack flows, after the rules that have made them so.

use std::time::Instant;

use model::IpFamily;

use super::{FLOWS_AGAIN, SyncLoop};
use crate::metrics::FamilyLabel;
use crate::stale_flows;

impl SyncLoop {
    /// Cleans what is due. What fails is due again later: a client that goes on sending keeps a stale flow alive.
    pub(super) fn clean_flows(&mut self) {
        let checks = std::mem::take(&mut self.flows_due);
        let Some(socket) = self.conntrack.as_mut().filter(|_| !checks.is_empty()) else { return };
        let ground = stale_flows::Ground { config: self.engine.config(), facts: self.engine.store().facts() };
        let started = Instant::now();
        let cleaned = stale_flows::clean(socket, ground, &checks);
        let metrics = &self.board.metrics;
        for (family, deleted) in IpFamily::ALL.into_iter().zip(cleaned.deleted) {
            let label = FamilyLabel::of(family);
            metrics.flows_deleted.get_or_create(&label).inc_by(deleted as u64);
            metrics.flow_cleaning.get_or_create(&label).observe(started.elapsed().as_secs_f64());
        }
        let deleted: usize = cleaned.deleted.iter().sum();
        if deleted > 0 {
            tracing::info!(deleted, "deleted conntrack flows whose endpoint is gone");
        }
        if let Some(error) = cleaned.error {
            tracing::error!(%error, "cannot delete stale conntrack flows; trying again in {FLOWS_AGAIN:?}");
            self.flows_due = cleaned.failed;
            self.next_flows = Instant::now() + FLOWS_AGAIN;
        }
    }
}
