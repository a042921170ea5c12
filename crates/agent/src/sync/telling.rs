//! What the sync thread tells of its work: metrics, health, the page's state, the log.

use std::time::{Duration, Instant, SystemTime};

use dataplane::SyncReport;
use model::Change;

use super::{COMPARED, RETRY_LAST, SyncLoop, TRIGGERS};
use crate::board::LastSync;
use crate::metrics::{FamilyLabel, now_seconds};

impl SyncLoop {
    /// What somebody else had done to our rules is told with it.
    pub(super) fn tell_sync(&mut self, report: &SyncReport, took: Duration) {
        let Some(full) = &report.full else {
            tracing::debug!(services = report.services.len(), written = report.writes, ?took, "synced");
            return;
        };
        let foreign = self.foreign.take();
        let drift = self.note_repair(foreign, &full.drift, took);
        let news = report.writes > 0 || drift > 0 || !self.board.state().synced_once;
        if news {
            tracing::info!(observed = full.observed, written = report.writes, ?took, "{COMPARED}");
        } else {
            tracing::debug!(observed = full.observed, written = 0, ?took, "{COMPARED}");
        }
        // A full comparison holds everything twice for a moment.
        netlink::give_back_memory();
    }

    pub(super) fn note_work(&self) {
        if self.engine.has_work() {
            self.board.state().health.queue();
            self.board.metrics.queued(now_seconds());
        }
    }

    pub(super) fn count(&mut self, change: &Change) {
        let metrics = &self.board.metrics;
        metrics.changes.inc();
        match change {
            Change::Service(_) | Change::ServiceGone(_) => {
                metrics.service_changes.inc();
                metrics.service_changes_pending.inc();
            }
            Change::Slice(_) | Change::ImportSlice(_) | Change::SliceGone(_) => {
                metrics.endpoint_changes.inc();
                metrics.endpoint_changes_pending.inc();
            }
            Change::Trigger { family, at_ms } if self.triggers.len() < TRIGGERS => {
                self.triggers.push((*family, *at_ms));
            }
            _ => {}
        }
    }

    /// How long it took from the cause of each slice's change until the kernel has it.
    pub(super) fn measure_triggers(&mut self) {
        let now = now_seconds();
        for (family, at_ms) in self.triggers.drain(..) {
            let took = (now - at_ms as f64 / 1000.0).max(0.0);
            self.board.metrics.programming.get_or_create(&FamilyLabel::of(family)).observe(took);
        }
    }

    pub(super) fn show(&self, report: &SyncReport, took: Duration) {
        let metrics = &self.board.metrics;
        metrics.synced(took, report.full.is_some(), now_seconds());
        metrics.service_changes_pending.set(0);
        metrics.endpoint_changes_pending.set(0);
        metrics.writes.inc_by(report.writes as u64);
        metrics.objects.set(self.engine.object_count() as i64);
        metrics.services.set(self.engine.store().service_count() as i64);
        let mut state = self.board.state();
        state.health.done();
        state.health.set_eligible(self.engine.store().facts());
        state.last_error = None;
        state.last_sync = Some(last_sync(report, took));
        drop(state);
        self.board.listing.take_in(self.engine.store(), &report.services);
        if report.full.is_some() || report.conflicts_changed {
            self.count_problems();
        }
    }

    pub(super) fn count_problems(&self) {
        self.board.metrics.problems.set(self.engine.problem_count() as i64);
    }

    /// The same failure again and again is told now and then.
    pub(super) fn log_failure(&mut self, text: &str, wait: Duration) {
        let now = Instant::now();
        let told = |(last, at): &(String, Instant)| last == text && now.duration_since(*at) < RETRY_LAST;
        let told = self.told_failure.as_ref().is_some_and(told);
        if told && wait < RETRY_LAST {
            return tracing::debug!("{text}; comparing everything again in {wait:?}");
        }
        self.told_failure = Some((text.to_owned(), now));
        tracing::error!(
            "{text}; the kernel keeps its last good state; comparing everything again in {wait:?}"
        );
    }

    /// Most often it is a wrong name, and then no endpoint is local either.
    pub(super) fn look_for_node(&mut self) {
        let store = self.engine.store();
        let missing = store.facts().node.is_none();
        if missing && !self.node_missing {
            tracing::warn!(
                "no Node object is named {:?}: its zone and pod CIDRs are not known, its addresses are taken from the kernel, and \
                 /healthz says that load balancers should not use it; if that is not this node's name, give it with \
                 --hostname-override, since endpoints are local by that name",
                &**store.node_name()
            );
        } else if self.node_missing && !missing {
            tracing::info!("the Node object is there");
        }
        self.node_missing = missing;
    }
}

fn last_sync(report: &SyncReport, took: Duration) -> LastSync {
    let (services, full) = (report.services.len(), report.full.is_some());
    LastSync { at: SystemTime::now(), took, writes: report.writes, services, full }
}
