//! The thread that owns the engine: changes in, a committed kernel out.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dataplane::{ApplyError, Engine, FlowCheck, SyncReport};
use model::Change;
use netlink::Socket;
use nftables::Nftables;

use crate::board::{Board, Copy};
use crate::flows;

/// Messages that may wait. Sources wait when it is full.
pub(crate) const QUEUE: usize = 4096;
/// Changes folded into one sync at the most, so that a flood cannot hold a sync back.
const FOLD: usize = 20_000;
/// How often the kernel is asked whether somebody else changed the ruleset (3 us each time).
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// A look at everything because of somebody else's commit costs at most this share of the time: 1 in 50.
const LOOK_SHARE: u32 = 50;
/// How soon conntrack is asked again after it refused.
const FLOWS_AGAIN: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// A source has seen something.
    Change(Change),
    /// A page wants a copy.
    Copy(SyncSender<Copy>),
    /// The process ends; rules stay.
    Stop,
}

/// The thread's state.
pub(crate) struct SyncLoop {
    engine: Engine<Nftables>,
    conntrack: Option<Socket>,
    board: Arc<Board>,
    inbox: Receiver<Message>,
    /// The generation that we know all of: of the last look at everything, and our own commits since.
    generation: Option<u32>,
    retry: Option<(Instant, Duration)>,
    next_look: Instant,
    next_watch: Instant,
    foreign: bool,
    /// Frontends whose flows could not be cleaned yet, and when to try again.
    flows_due: Vec<FlowCheck>,
    next_flows: Instant,
    /// The list of Problems changed since it was last shown.
    problems_changed: bool,
}

impl SyncLoop {
    pub(crate) fn new(
        engine: Engine<Nftables>,
        conntrack: Option<Socket>,
        board: Arc<Board>,
        inbox: Receiver<Message>,
    ) -> Self {
        let now = Instant::now();
        Self {
            engine,
            conntrack,
            board,
            inbox,
            generation: None,
            retry: None,
            next_look: now,
            next_watch: now,
            foreign: false,
            flows_due: Vec::new(),
            next_flows: now,
            problems_changed: false,
        }
    }

    /// Runs until told to stop.
    pub(crate) fn run(mut self) {
        while self.take_in() {
            self.watch_kernel();
            if self.engine.has_work() && self.retry.is_none_or(|(at, _)| at <= Instant::now()) {
                self.sync();
            }
        }
    }

    /// Waits for a message, then takes what else is there. False = stop.
    fn take_in(&mut self) -> bool {
        let mut message = match self.inbox.recv_timeout(self.patience()) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        for _ in 0..FOLD {
            match message {
                Message::Stop => return false,
                Message::Copy(reply) => self.answer(&reply),
                Message::Change(change) => self.handle(change),
            }
            match self.inbox.try_recv() {
                Ok(next) => message = next,
                Err(_) => break,
            }
        }
        if std::mem::take(&mut self.problems_changed) {
            self.count_problems();
        }
        true
    }

    fn patience(&self) -> Duration {
        // In the middle of a batch there is nothing to try again.
        let retry = self.retry.filter(|_| self.engine.has_work());
        let until = retry.map_or(self.next_watch, |(at, _)| at.min(self.next_watch));
        until.saturating_duration_since(Instant::now())
    }

    fn handle(&mut self, change: Change) {
        self.board.metrics.changes.inc();
        if let Change::Problem(problem) = &change {
            tracing::warn!("{problem}");
        }
        self.problems_changed |= matches!(change, Change::Problem(_) | Change::ProblemSolved(_));
        self.engine.handle(change);
        if self.engine.has_work() {
            self.board.state().health.queue();
            self.board.metrics.last_queued.set(now_seconds());
        }
    }

    fn sync(&mut self) {
        let started = Instant::now();
        let before = (self.engine.dataplane_mut().generation().ok(), self.engine.dataplane().commits());
        let result = self.engine.sync();
        let looked = result.as_ref().is_ok_and(|report| report.full.is_some());
        // Not the present one: what others commit meanwhile would never be looked at.
        let known = if looked { before.0.or(self.generation) } else { self.generation };
        let own = self.engine.dataplane().commits().wrapping_sub(before.1);
        self.generation = known.map(|generation| generation.wrapping_add(own));
        match result {
            Ok(report) => self.succeeded(report, started.elapsed()),
            Err(error) => self.failed(&error),
        }
    }

    fn succeeded(&mut self, mut report: SyncReport, took: Duration) {
        self.flows_due.append(&mut report.flows);
        self.clean_flows();
        self.retry = None;
        if let Some(full) = report.full {
            let foreign = std::mem::take(&mut self.foreign);
            if foreign {
                self.next_look = Instant::now() + took * LOOK_SHARE;
            }
            let drift = if foreign { full.drifted } else { 0 };
            if drift > 0 {
                tracing::warn!(objects = drift, "another program had changed our tables; repaired");
                self.board.metrics.drift.inc_by(drift as u64);
            }
            tracing::info!(
                observed = full.observed,
                written = report.writes,
                ?took,
                "compared everything with the kernel"
            );
            // A full comparison holds everything twice for a moment.
            netlink::give_back_memory();
        } else {
            tracing::debug!(services = report.resolved, written = report.writes, ?took, "synced");
        }
        report.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
        self.show(&report, took);
    }

    fn show(&self, report: &SyncReport, took: Duration) {
        let metrics = &self.board.metrics;
        metrics.sync_duration.observe(took.as_secs_f64());
        let kind =
            if report.full.is_some() { &metrics.full_sync_duration } else { &metrics.partial_sync_duration };
        kind.observe(took.as_secs_f64());
        metrics.last_sync.set(now_seconds());
        metrics.writes.inc_by(report.writes as u64);
        metrics.objects.set(self.engine.object_count() as i64);
        metrics.services.set(self.engine.store().service_count() as i64);
        let mut state = self.board.state();
        state.health.done();
        state.health.set_eligible(self.engine.store().facts());
        state.last_error = None;
        drop(state);
        if report.full.is_some() || report.conflicts_changed {
            self.count_problems();
        }
    }

    fn count_problems(&self) {
        self.board.metrics.problems.set(self.engine.problem_count() as i64);
    }

    fn failed(&mut self, error: &ApplyError) {
        let text = error.to_string();
        let wait = self.retry.map_or(RETRY_FIRST, |(_, last)| (last * 2).min(RETRY_LAST));
        self.retry = Some((Instant::now() + wait, wait));
        tracing::error!(
            "{text}; the kernel keeps its last good state; comparing everything again in {wait:?}"
        );
        self.board.metrics.sync_failures.inc();
        self.board.state().last_error = Some(text);
    }

    /// Cleans what is due. What fails is due again later: a client that goes on sending keeps a stale flow alive.
    fn clean_flows(&mut self) {
        let checks = std::mem::take(&mut self.flows_due);
        let Some(socket) = self.conntrack.as_mut().filter(|_| !checks.is_empty()) else { return };
        let ground = flows::Ground { config: self.engine.config(), facts: self.engine.store().facts() };
        let cleaned = flows::clean(socket, ground, &checks);
        if cleaned.deleted > 0 {
            tracing::info!(deleted = cleaned.deleted, "deleted conntrack flows whose endpoint is gone");
            self.board.metrics.flows_deleted.inc_by(cleaned.deleted as u64);
        }
        if let Some(error) = cleaned.error {
            tracing::error!(%error, "cannot delete stale conntrack flows; trying again in {FLOWS_AGAIN:?}");
            self.flows_due = cleaned.failed;
            self.next_flows = Instant::now() + FLOWS_AGAIN;
        }
    }

    /// Looks at everything when somebody else has committed to nf_tables, but not too often.
    fn watch_kernel(&mut self) {
        let now = Instant::now();
        if now < self.next_watch {
            return;
        }
        self.next_watch = now + WATCH_EVERY;
        if !self.flows_due.is_empty() && now >= self.next_flows {
            self.clean_flows();
        }
        let Some(known) = self.generation else { return };
        let current = self.engine.dataplane_mut().generation();
        if current.is_ok_and(|generation| generation != known) && now >= self.next_look {
            self.foreign = true;
            self.engine.request_full();
        }
    }

    fn answer(&self, reply: &SyncSender<Copy>) {
        let copy = Copy {
            store: self.engine.store().clone(),
            objects: self.engine.objects().map(|(key, value)| (key.clone(), *value)).collect(),
            problems: self.engine.problems(),
            synced: self.engine.is_ready() && !self.engine.has_work() && self.retry.is_none(),
        };
        let _ = reply.send(copy);
    }
}

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
