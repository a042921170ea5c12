//! Endpoints of Services with a drain deadline: when their time is over, their connections end.

use std::time::Instant;

use dataplane::SyncReport;

use super::SyncLoop;
use crate::drain::{self, AGAIN};

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
            self.cut(now);
            if let Err(error) = self.cutter.tend(self.conntrack.as_mut(), now) {
                tracing::debug!(%error, "cannot take away what drained connections have left");
            }
        }
        self.board.metrics.draining.set(i64::try_from(self.draining.len()).unwrap_or(i64::MAX));
    }

    fn cut(&mut self, now: Instant) {
        if self.cutter.rested() > now {
            return;
        }
        let due = self.draining.due(now);
        if due.is_empty() {
            return;
        }
        for (who, drains) in &due {
            self.engine.end_drain(who, &drains.frontends);
        }
        self.tending.now(now);
        let Some(socket) = self.conntrack.as_mut() else { return };
        let result = self.cutter.cut(socket, self.engine.store(), &due, now);
        let took = now.elapsed();
        self.cutter.rest(took, now + took);
        match result {
            Ok(cut) => {
                self.board.metrics.drain_ended.inc_by((cut.reset + cut.moved) as u64);
                if let Some(error) = &cut.untold {
                    tracing::warn!(
                        %error,
                        "connections to endpoints that are gone cannot be reset (nf_tables, Linux 5.9); conntrack forgets them, \
                         and clients hear of it from another endpoint"
                    );
                }
                let endpoints = due.len();
                tracing::info!(
                    endpoints,
                    reset = cut.reset,
                    moved = cut.moved,
                    ?took,
                    "drain deadlines are over"
                );
            }
            Err(error) => {
                tracing::error!(%error, "cannot end connections to endpoints that are gone; trying again in {AGAIN:?}");
                due.into_iter().for_each(|(who, drains)| self.draining.again(who, drains, now + AGAIN));
            }
        }
    }
}
