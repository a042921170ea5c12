//! The thread that compares, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::shadow::{Difference, Expected, Place, Reader, ShadowError, compare, locate};
use config::Settings;
use model::{Change, Store, Touched};
use nix::errno::Errno;
use resolve::resolve;

use super::report::Report;
use crate::board::Board;
use crate::options::{proxy_config, proxy_mode};
use crate::sync::Message;

/// No change for so long, before it is worth comparing: kube-proxy waits up to a second between two syncs.
const QUIET: Duration = Duration::from_secs(2);
/// The least time between two comparisons.
const EVERY: Duration = Duration::from_secs(5);
/// Reading kube-proxy's rules costs at most this share of the time: 1 in 20.
const SHARE: u32 = 20;
/// A difference is reported when it has lasted for so long.
const LASTS: Duration = Duration::from_secs(10);
/// So many differences go to the log at once; `/debug/shadow` has all.
const LINES: usize = 100;
/// The metric's value while nothing is compared: it must not look like "no difference".
const NOT_COMPARED: i64 = -1;

/// A difference that was seen by each comparison since.
struct Seen {
    since: Instant,
    told: bool,
}

/// The thread that compares.
pub(super) struct Watcher {
    store: Store,
    settings: Settings,
    waiting: BTreeSet<&'static str>,
    inbox: Receiver<Message>,
    changed: Instant,
    next: Instant,
    seen: BTreeMap<Difference, Seen>,
    /// Where kube-proxy's rules were the last time, and what reads them.
    reader: Option<(Place, Reader)>,
    /// How many Services and frontends were compared last.
    compared: (usize, usize),
    /// What the log says: where was compared, or why not; and how many differences last.
    told: (String, Option<usize>),
    board: Arc<Board>,
    report: Arc<Mutex<Report>>,
}

impl Watcher {
    /// Compares what comes through `inbox`, once the sources have delivered their first lists.
    pub(super) fn new(
        settings: Settings,
        store: Store,
        sources: &[&'static str],
        inbox: Receiver<Message>,
        board: Arc<Board>,
        report: Arc<Mutex<Report>>,
    ) -> Self {
        let watcher = Self {
            store,
            settings,
            waiting: sources.iter().copied().collect(),
            inbox,
            changed: Instant::now(),
            next: Instant::now(),
            seen: BTreeMap::new(),
            reader: None,
            compared: (0, 0),
            told: (String::new(), None),
            board,
            report,
        };
        watcher.publish(Report::nothing(waits_for(&watcher.waiting)));
        watcher
    }

    /// Runs until it is told to stop, or nobody is there any more who could.
    pub(super) fn run(mut self) {
        while self.take_in() {
            self.board.state().health.alive();
            if self.waiting.is_empty() && self.is_due() {
                let began = Instant::now();
                self.look();
                self.next = Instant::now() + (began.elapsed() * SHARE).max(EVERY);
            }
        }
    }

    /// A cluster in which something changes all the time is compared too: what counts is what lasts.
    fn is_due(&self) -> bool {
        let now = Instant::now();
        now >= self.next && (now >= self.changed + QUIET || now >= self.next + EVERY)
    }

    /// Waits a moment for a message. False = stop.
    fn take_in(&mut self) -> bool {
        let mut touched = Touched::default();
        match self.inbox.recv_timeout(Duration::from_millis(500)) {
            Ok(Message::Change(change)) => {
                if let Change::Synced(source) = change
                    && self.waiting.remove(source)
                {
                    self.publish(Report::nothing(waits_for(&self.waiting)));
                }
                self.store.apply(change, &mut touched);
                self.changed = Instant::now();
                true
            }
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => false,
            Ok(_) | Err(RecvTimeoutError::Timeout) => true,
        }
    }

    fn look(&mut self) {
        match self.compare() {
            Ok((summary, differences)) => {
                self.follow(differences);
                let report = self.report(&summary);
                self.tell(summary, &report);
                self.publish(report);
                self.board.state().synced_once = true;
            }
            Err(error) => {
                let text = format!("cannot compare: {error}{}", remedy(&error));
                if self.told.0 != text {
                    tracing::warn!("{text}");
                    self.told = (text.clone(), None);
                }
                self.publish(Report::nothing(text));
            }
        }
    }

    /// A sentence about what was compared, and how it differs.
    fn compare(&mut self) -> Result<(String, Vec<Difference>), ShadowError> {
        // It may have changed its mode since.
        let places = locate()?;
        let wanted = |place: &&Place| self.settings.proxy.proxy_mode() == Some(proxy_mode(place.mode()));
        let Some(place) = places.iter().find(wanted).or(places.first()).copied() else {
            return Err(ShadowError::NotFound { looked: "every mode".into() });
        };
        let known = self.reader.take().filter(|(of, _)| *of == place);
        let (_, reader) = self.reader.insert(known.unwrap_or_else(|| (place, Reader::new(place))));
        let programmed = reader.read()?;
        let config = proxy_config(&self.settings, place.mode());
        let mut expected = Expected::new(place.mode());
        for (name, _) in self.store.entries() {
            expected.add(&resolve(&self.store, &config, name));
        }
        self.compared = (self.store.service_count(), programmed.frontends.len());
        let found = format!(
            "kube-proxy in mode {} ({}{})",
            place.mode().as_str(),
            programmed.found,
            beside(place, &places)
        );
        // What was read in pieces while kube-proxy wrote is no state of anything: it counts when it lasts.
        Ok((found, compare(&expected, &programmed)))
    }

    /// Tells what has come to last, and what is no more.
    fn follow(&mut self, differences: Vec<Difference>) {
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.seen);
        let mut new = Vec::new();
        for difference in differences {
            let mut seen = before.remove(&difference).unwrap_or(Seen { since: now, told: false });
            if !seen.told && now.duration_since(seen.since) >= LASTS {
                seen.told = true;
                new.push(difference.clone());
            }
            self.seen.insert(difference, seen);
        }
        new.iter().take(LINES).for_each(|difference| tracing::warn!("differs from kube-proxy: {difference}"));
        if let Some(more @ 1..) = new.len().checked_sub(LINES) {
            tracing::warn!("{more} more differ from kube-proxy: /debug/shadow has all");
        }
        let gone: Vec<Difference> =
            before.into_iter().filter(|(_, seen)| seen.told).map(|(d, _)| d).collect();
        gone.iter().take(LINES).for_each(|difference| tracing::info!("differs no more: {difference}"));
        if let Some(more @ 1..) = gone.len().checked_sub(LINES) {
            tracing::info!("{more} more differ no more");
        }
    }

    fn report(&self, found: &str) -> Report {
        let told = self.seen.iter().filter(|(_, seen)| seen.told);
        let lasting: Vec<Difference> = told.map(|(difference, _)| difference.clone()).collect();
        let waiting = self.seen.len() - lasting.len();
        let (services, frontends) = self.compared;
        let what = match (lasting.len(), waiting) {
            (0, 0) => "no difference".into(),
            (0, n) => format!("waiting whether differences last ({n})"),
            (n, _) => format!("{n} difference(s)"),
        };
        let summary =
            format!("compared {services} Services with the {frontends} frontends of {found}: {what}");
        Report { summary, compared: true, waiting, lasting }
    }

    /// Says in the log where was compared, and how many differences last, when that is another than before.
    fn tell(&mut self, found: String, report: &Report) {
        let known = !report.lasting.is_empty() || report.waiting == 0;
        let now = (found, known.then_some(report.lasting.len()));
        if now.0 != self.told.0 || (known && now.1 != self.told.1) {
            tracing::info!("{}", report.summary);
            self.told = now;
        }
    }

    fn publish(&self, report: Report) {
        let count = if report.compared { report.lasting.len() as i64 } else { NOT_COMPARED };
        self.board.metrics.shadow_differences.set(count);
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

fn waits_for(sources: &BTreeSet<&'static str>) -> String {
    let names: Vec<&str> = sources.iter().copied().collect();
    let what = match names.is_empty() {
        true => "the first comparison is under way".into(),
        false => format!("waiting for the first list of {}", names.join(", ")),
    };
    format!("nothing is compared yet: {what}")
}

/// Names the other places where a kube-proxy has rules: leftovers, or what it is about to leave.
fn beside(place: Place, places: &[Place]) -> String {
    let others = places.iter().filter(|other| **other != place);
    others
        .map(|other| format!("; not compared: its rules of {}, which are there too", name(*other)))
        .collect()
}

fn name(place: Place) -> String {
    match place {
        Place::Iptables(variant) => format!("mode iptables ({variant})"),
        Place::Nftables | Place::Ipvs => format!("mode {}", place.mode().as_str()),
    }
}

fn remedy(error: &ShadowError) -> &'static str {
    match error {
        ShadowError::Netlink(error) if error.errno() == Some(Errno::EPERM as i32) => {
            "; reading needs root, or CAP_NET_ADMIN and CAP_NET_RAW"
        }
        _ => "",
    }
}
