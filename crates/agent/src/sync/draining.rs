//! Endpoints of Services with a drain deadline: when their time is over, their connections end.

use std::time::Instant;

use dataplane::SyncReport;

use super::SyncLoop;
use crate::drain::{self, AGAIN, Cut};

impl SyncLoop {
    /// Takes in what a sync has found. What is due at once ends at once.
    pub(super) fn take_drains(&mut self, report: &mut SyncReport) {
        let now = Instant::now();
        let mut news = std::mem::take(&mut report.drains);
        if let Some(socket) = self.conntrack.as_mut() {
            match drain::strays(socket, self.engine.store().facts(), &report.drain_checks) {
                Ok(found) => news.extend(found),
                Err(error) => tracing::warn!(
                    %error,
                    "cannot look for connections to endpoints that went before the start; they are not ended"
                ),
            }
        }
        let before = self.draining.left_out();
        news.into_iter().for_each(|one| self.draining.take(one, now));
        if self.draining.left_out() > before {
            tracing::warn!(
                endpoints = self.draining.left_out() - before,
                "more than {} endpoints drain: connections to these are not ended",
                dataplane::MOST_DRAINING
            );
        }
        self.end_drains();
    }

    /// When there is something to do.
    pub(super) fn drains_due(&self) -> Option<Instant> {
        let next = self.draining.next().map(|at| at.max(self.cutter.rested()));
        [next, self.cutter.due()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn end_drains(&mut self) {
        let now = Instant::now();
        if self.drains_due().is_some_and(|at| at <= now) {
            self.find_drained(now);
            self.let_go(now);
            match self.cutter.tend(self.conntrack.as_mut(), now) {
                Ok(cut) => self.note_cut(&cut),
                Err(error) => {
                    tracing::warn!(%error, "cannot end drained connections, or not all; trying again")
                }
            }
        }
        self.board.metrics.draining.set(i64::try_from(self.draining.len()).unwrap_or(i64::MAX));
    }

    /// Has the dataplane let go of endpoints whose connections were ended, unless they have come back and left again.
    fn let_go(&mut self, now: Instant) {
        let parted = self.cutter.parted(now);
        for (who, frontends) in &parted {
            if !self.draining.has(who) {
                self.engine.end_drain(who, frontends);
            }
        }
        if !parted.is_empty() {
            self.tending.now(now);
        }
    }

    fn note_cut(&self, cut: &Cut) {
        self.board.metrics.drain_ended.inc_by((cut.reset + cut.moved) as u64);
        if let Some(error) = &cut.untold {
            tracing::warn!(
                %error,
                "connections to endpoints that are gone cannot be reset (nf_tables, Linux 5.9); conntrack forgets them, and clients \
                 hear of it from another endpoint"
            );
        }
    }

    fn find_drained(&mut self, now: Instant) {
        if self.cutter.rested() > now {
            return;
        }
        let due = self.draining.due(now);
        if due.is_empty() {
            return;
        }
        let Some(socket) = self.conntrack.as_mut() else { return self.cutter.part(&due, now) };
        let result = self.cutter.find(socket, self.engine.store(), &due, now);
        let took = now.elapsed();
        self.cutter.rest(took, now + took);
        match result {
            Ok([reset, moved]) => {
                self.cutter.part(&due, now);
                tracing::info!(endpoints = due.len(), reset, moved, ?took, "drain deadlines are over");
            }
            Err(error) => {
                tracing::error!(%error, "cannot end connections to endpoints that are gone; trying again in {AGAIN:?}");
                due.into_iter().for_each(|(who, drains)| self.draining.again(who, drains, now + AGAIN));
            }
        }
    }
}
