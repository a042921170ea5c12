//! The thread that owns the engine: changes in, a committed kernel out.

mod cleaning;
mod draining;
mod guard;
mod moving;
mod noting;
mod share;
mod telling;
mod tending;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use config::Settings;
use dataplane::{ApplyError, Draining, FlowCheck, SyncReport};
use model::{Change, IpFamily, NodeFacts, Store};
use netlink::Socket;
use resolve::ProxyConfig;

use crate::ask::{Question, Seen};
use crate::audit::{Because, Waiting};
use crate::board::{Board, Copy};
use crate::dns_feed::DnsFeed;
use crate::drain::Cutter;
use crate::driver::Driver;
use crate::events::Events;
use crate::janitor::Janitor;
use crate::local_book::{HealthNews, LocalBook};
use crate::metrics::RepairedLabel;
use crate::modes::Place;
use crate::opened::Opened;
use crate::options::proxy_config;
use crate::repair::{Logging, Reporter, Telling};
use crate::self_probe::Canary;
use crate::switch::Switch;
use guard::Foreign;
use share::Share;
use tending::Tending;

/// Messages that may wait. Sources wait when it is full.
pub(crate) const QUEUE: usize = 4096;
/// Changes folded into one sync at the most, so that a flood cannot hold a sync back.
const FOLD: usize = 20_000;
/// Changes folded until DNS is told of those that wait for no rules: about a millisecond's.
const DNS_FOLD: usize = 256;
/// Causes of changes that may wait for their sync, to be measured; further ones are not measured.
const TRIGGERS: usize = 10_000;
/// How soon conntrack is asked again after it refused.
const FLOWS_AGAIN: Duration = Duration::from_secs(5);
/// In mode iptables, where the kernel takes whole tables, a sync is followed by a pause as long as it took, at most this
/// (kube-proxy's default minSyncPeriod).
const REST: Duration = Duration::from_secs(1);
/// What the log says of a full comparison.
const COMPARED: &str = "compared everything with the kernel";
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// What the thread is told.
pub(crate) enum Message {
    /// A source has seen something.
    Change(Change),
    /// A page wants to know something.
    Ask(Question),
    /// A page wants a copy.
    Copy(SyncSender<Copy>),
    /// The writer of snapshots wants the store; it gets it only if all of it is programmed.
    Store(SyncSender<Option<Store>>),
    /// The settings changed: how Services are read, the node's primary address, what is the dataplane's own.
    Settings(Box<Settings>),
    /// The settings changed, and the mode with them: to that of this dataplane.
    Mode(Opened, Box<Settings>),
    /// The process ends; rules stay.
    Stop,
}

/// The thread's state.
pub(crate) struct SyncLoop {
    engine: Box<dyn Driver>,
    /// The engine of another mode, until its rules are complete.
    switch: Switch,
    /// A further move that was asked for while one loads.
    pending_move: Option<(Opened, Box<Settings>)>,
    janitor: Janitor,
    conntrack: Option<Socket>,
    board: Arc<Board>,
    inbox: Receiver<Message>,
    retry: Option<(Instant, Duration)>,
    /// No sync before this moment: the iptables tools shall not run all the time.
    rested: Instant,
    /// When the dataplane is given time.
    tending: Tending,
    /// The time that goes to comparing everything because of others.
    share: Share,
    /// Which repairs get an Event.
    telling: Telling,
    /// Tells of settings of the kernel that were set again.
    of_settings: Reporter,
    /// What the log has said of the last failure, and when.
    told_failure: Option<(String, Instant)>,
    /// How much the log says of them.
    logging: Logging,
    /// When the log says again that a repair waits.
    next_waiting: Option<Instant>,
    next_watch: Instant,
    /// Why everything is compared next, if that is because of others.
    foreign: Option<Foreign>,
    /// When rules of ours in other modes are looked for again.
    next_around: Instant,
    /// When what the kernel refused of single Services is tried again.
    next_refused: Option<Instant>,
    /// Frontends whose flows could not be cleaned yet, and when to try again.
    flows_due: Vec<FlowCheck>,
    next_flows: Instant,
    /// Endpoints whose connections end at a time.
    draining: Draining,
    cutter: Cutter,
    /// The list of Problems changed since it was last shown.
    problems_changed: bool,
    /// Causes of slice changes that wait for their sync: family, milliseconds since 1970.
    triggers: Vec<(IpFamily, u64)>,
    book: LocalBook,
    node_missing: bool,
    /// What waits to be noted in the audit trail.
    audit: Waiting,
    /// Told what follows from a sync.
    followers: Followers,
}

/// Hears of health checks that changed.
pub(crate) type HealthFollower = Box<dyn FnMut(HealthNews) + Send>;
/// Hears that what is known of the node changed, or the settings did.
pub(crate) type NodeFollower = Box<dyn FnMut(&ProxyConfig, &NodeFacts) + Send>;

/// Who is told what follows from a sync. Called on the sync thread: they must not block.
pub(crate) struct Followers {
    /// Health checks that changed.
    pub(crate) health: HealthFollower,
    /// What is known of the node changed, or the settings did.
    pub(crate) node: NodeFollower,
    /// The first sync has succeeded.
    pub(crate) first_sync: Option<Box<dyn FnOnce() + Send>>,
    /// Tells DNS what has changed; nothing where DNS is off.
    pub(crate) dns: Option<DnsFeed>,
    /// Told of repairs.
    pub(crate) events: Events,
    /// The self-probe's Service; nothing where that is off.
    pub(crate) canary: Option<Canary>,
}

impl SyncLoop {
    pub(crate) fn new(
        engine: Box<dyn Driver>,
        janitor: Janitor,
        conntrack: Option<Socket>,
        board: Arc<Board>,
        inbox: Receiver<Message>,
        followers: Followers,
    ) -> Self {
        let now = Instant::now();
        let of_settings =
            Reporter::new(RepairedLabel::SETTINGS, Arc::clone(&board), followers.events.clone());
        Self {
            engine,
            switch: Switch::default(),
            pending_move: None,
            janitor,
            conntrack,
            audit: Waiting::new(Arc::clone(&board.trail)),
            board,
            inbox,
            retry: None,
            rested: now,
            tending: Tending::default(),
            share: Share::new(now),
            telling: Telling::default(),
            of_settings,
            told_failure: None,
            logging: Logging::default(),
            next_waiting: None,
            next_watch: now,
            foreign: None,
            next_around: now + guard::AROUND_FIRST,
            next_refused: None,
            flows_due: Vec::new(),
            next_flows: now,
            draining: Draining::default(),
            cutter: Cutter::new(now),
            problems_changed: false,
            triggers: Vec::new(),
            book: LocalBook::default(),
            node_missing: false,
            followers,
        }
    }

    /// Runs until told to stop.
    pub(crate) fn run(mut self) {
        while self.take_in() {
            self.board.state().health.alive();
            self.watch_kernel();
            if self.engine.has_work() && self.next_sync() <= Instant::now() {
                self.sync();
            }
            self.end_drains();
            self.tend();
            self.advance_switch();
        }
    }

    /// Waits for a message, then takes what else is there. False = stop.
    fn take_in(&mut self) -> bool {
        let mut message = match self.inbox.recv_timeout(self.patience()) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        for folded in 1..=FOLD {
            match message {
                Message::Stop => return false,
                Message::Ask(question) => {
                    let (engine, draining) = (self.engine.as_ref(), &self.draining);
                    question(&Seen { engine, synced: self.settled(), draining });
                }
                Message::Copy(reply) => self.answer(&reply),
                Message::Store(reply) => {
                    drop(reply.try_send(self.settled().then(|| self.engine.store().clone())))
                }
                Message::Settings(settings) => self.set(&settings),
                Message::Mode(opened, settings) => self.begin_switch(opened, &settings),
                Message::Change(change) => self.handle(change),
            }
            if folded % DNS_FOLD == 0 {
                self.tell_dns();
            }
            match self.inbox.try_recv() {
                Ok(next) => message = next,
                Err(_) => break,
            }
        }
        self.tell_dns();
        self.note_idle();
        if std::mem::take(&mut self.problems_changed) {
            self.count_problems();
        }
        true
    }

    /// Tells DNS what waits for no sync.
    fn tell_dns(&mut self) {
        if let Some(dns) = &mut self.followers.dns {
            dns.fold_end(self.engine.store());
        }
    }

    /// Other settings, in the same mode.
    fn set(&mut self, settings: &Settings) {
        self.audit.because(Because::Settings);
        set(self.engine.as_mut(), settings);
        self.switch.set(settings);
        self.janitor.set(settings);
        self.note_work();
    }

    fn patience(&self) -> Duration {
        // In the middle of a batch there is nothing to wait for.
        let sync = self.engine.has_work().then(|| self.next_sync());
        let until = [sync, self.switch.due(), self.tending.due(), self.drains_due()].into_iter().flatten();
        let until = until.fold(self.next_watch, Instant::min);
        until.saturating_duration_since(Instant::now())
    }

    /// When the next sync may begin.
    fn next_sync(&self) -> Instant {
        self.retry.map_or(self.rested, |(at, _)| at)
    }

    fn handle(&mut self, change: Change) {
        let Some(change) = self.audit.note(change) else { return };
        self.count(&change);
        if let Change::Problem(problem) = &change {
            tracing::warn!("{problem}");
        }
        self.problems_changed |= matches!(change, Change::Problem(_) | Change::ProblemSolved(_));
        let about_node = matches!(change, Change::Node(_) | Change::NodeGone(_));
        self.switch.handle(&change);
        if let Some(dns) = &mut self.followers.dns {
            dns.note(self.engine.store(), &change);
        }
        self.engine.handle(change);
        if about_node {
            self.board.state().health.set_eligible(self.engine.store().facts());
        }
        self.note_work();
    }

    fn sync(&mut self) {
        self.place_canary();
        let started = Instant::now();
        let result = self.engine.sync();
        let took = started.elapsed();
        if matches!(self.engine.place(), Place::Iptables(_)) {
            self.rested = Instant::now() + took.min(REST);
        }
        match result {
            Ok(report) => self.succeeded(report, took),
            Err(error) => {
                self.note_failure(&error, took);
                self.note_failed_repair(took);
                self.failed(&error);
            }
        }
    }

    fn succeeded(&mut self, mut report: SyncReport, took: Duration) {
        self.note_commit(&report, took);
        self.flows_due.append(&mut report.flows);
        self.clean_flows();
        self.retry = None;
        self.tending.after_sync(Instant::now());
        self.take_drains(&mut report);
        self.tell_sync(&report, took);
        // After a move to another mode there may be changes that only the rules of before have.
        if let Some(dns) = self.followers.dns.as_mut().filter(|_| !self.engine.has_work()) {
            dns.committed(self.engine.store());
        }
        report.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
        self.show(&report, took);
        self.measure_triggers();
        if report.node_changed {
            self.look_for_node();
            (self.followers.node)(self.engine.config(), self.engine.store().facts());
        }
        for news in self.book.update(std::mem::take(&mut report.services)) {
            (self.followers.health)(news);
        }
        let metrics = &self.board.metrics;
        metrics.set_no_local("internal", self.book.internal_dropped());
        metrics.set_no_local("external", self.book.external_dropped());
        self.board.state().synced_once = true;
        if let Some(first) = self.followers.first_sync.take() {
            first();
            // It may have loaded the module whose settings the rules depend on.
            self.engine.touch_ground();
            self.janitor.at_start(self.engine.place(), self.engine.virtual_servers());
        }
    }

    /// Whether all that is known is programmed.
    fn settled(&self) -> bool {
        self.engine.is_ready() && !self.engine.has_work() && self.retry.is_none()
    }

    fn failed(&mut self, error: &ApplyError) {
        let text = error.to_string();
        let wait = self.retry.map_or(RETRY_FIRST, |(_, last)| (last * 2).min(RETRY_LAST));
        self.retry = Some((Instant::now() + wait, wait));
        self.log_failure(&text, wait);
        self.board.metrics.failed(self.engine.config().mode);
        let mut state = self.board.state();
        state.last_error = Some(text);
        // What somebody else did to our rules waits too, though no change of the cluster asked for it.
        state.health.queue();
    }

    fn answer(&self, reply: &SyncSender<Copy>) {
        let started = Instant::now();
        let mut copy = Copy {
            store: self.engine.store().clone(),
            rules: self.engine.rules(None),
            problems: self.engine.problems(),
            synced: self.settled(),
            config: self.engine.config().clone(),
            took: Duration::ZERO,
        };
        copy.took = started.elapsed();
        let _ = reply.send(copy);
    }
}

/// Gives an engine other settings; its mode stays.
pub(crate) fn set(engine: &mut dyn Driver, settings: &Settings) {
    engine.set_config(proxy_config(settings, engine.config().mode));
    engine.set_bind_address(settings.proxy.primary_ip());
    engine.set_own(settings);
    // Settings of the kernel may have changed with them.
    engine.touch_ground();
}
