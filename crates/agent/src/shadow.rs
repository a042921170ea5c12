//! `towpath run --shadow`: what a running kube-proxy has programmed, compared with what towpath would do. Writes nothing.
//!
//! ```text
//! sources --Change--> Store --resolve--> Expected --+
//!                                                   +-- compare --> differences that last --> log, /debug/shadow, metric
//! kernel --read as kube-proxy writes it--> Programmed
//! ```
//!
//! kube-proxy and towpath hear of a change at different moments, so a difference counts only when it lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ::shadow::{Difference, Expected, Place, Reader, ShadowError, compare, locate};
use admin::service_health::ServiceHealth;
use admin::{Page, Pages};
use anyhow::{Result, ensure};
use config::Settings;
use model::{Change, Store, Touched};
use resolve::resolve;
use serde_json::json;
use sources::{Addresses, stop_pair};
use tokio::sync::mpsc::unbounded_channel;

use crate::board::Board;
use crate::cli::RunArgs;
use crate::events::Events;
use crate::metrics::PLAIN;
use crate::options::proxy_config;
use crate::pages::HealthPages;
use crate::serve::{HealthOwner, Listeners, until_stopped};
use crate::source::Objects;
use crate::sync::{Message, QUEUE};
use crate::{logging, modes, settings, signals, source};

/// No change for so long, before it is worth comparing: kube-proxy waits up to a second between two syncs.
const QUIET: Duration = Duration::from_secs(2);
/// The least time between two comparisons.
const EVERY: Duration = Duration::from_secs(5);
/// Reading kube-proxy's rules costs at most this share of the time: 1 in 20.
const SHARE: u32 = 20;
/// A difference is reported when it has lasted for so long.
const LASTS: Duration = Duration::from_secs(10);

/// Compares until SIGTERM or SIGINT.
pub(crate) fn run(args: &RunArgs, settings: Settings) -> Result<()> {
    signals::hold()?;
    let settings = without_traces(args, settings);
    let node = settings::node_name(&settings)?;
    let objects = Objects::open(&settings, &args.proxy, &node)?;
    let addresses = Addresses::open()?;
    let log = logging::start(&settings)?;
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    tracing::info!(
        node,
        version = env!("CARGO_PKG_VERSION"),
        "comparing with kube-proxy; nothing is written"
    );
    let mode = modes::offline(&settings);
    let board = Board::new(settings::late(&settings, mode), objects.stats());
    let report = Arc::new(Mutex::new(Report::default()));
    let (to_sync, inbox) = sync_channel(QUEUE);
    let watcher = Watcher {
        store: Store::new(node),
        settings: settings.clone(),
        waiting: [objects.name(), Addresses::NAME].into_iter().collect(),
        inbox,
        changed: Instant::now(),
        next: Instant::now(),
        seen: BTreeMap::new(),
        reader: None,
        said: String::new(),
        board: Arc::clone(&board),
        report: Arc::clone(&report),
    };
    let watcher = thread::Builder::new().name("shadow".into()).spawn(move || watcher.run())?;
    let (stopper, stop) = stop_pair()?;
    let sources = source::start(objects, addresses, &to_sync, &stop)?;
    let (_restart, restarts) = unbounded_channel();
    let events = Events::default();
    let owner = HealthOwner { board: Arc::clone(&board), events: events.clone() };
    let (_health, service_health) = ServiceHealth::new(Arc::new(owner));
    let listeners = Listeners {
        health: Arc::new(HealthPages { board: Arc::clone(&board) }),
        debug: Arc::new(ShadowPages { board, report }),
        service_health,
        events,
    };
    let threads: Vec<_> = sources.iter().chain([&watcher]).collect();
    let result = until_stopped(&settings, listeners, restarts, &threads);
    stopper.stop();
    let _ = to_sync.send(Message::Stop);
    sources.into_iter().for_each(|thread| drop(thread.join()));
    let panicked = watcher.join().is_err();
    log.flush();
    ensure!(!panicked, "the thread that compares failed");
    result
}

/// Beside a kube-proxy, whose ports these are: addresses are listened on only if flags name them. Nothing is kept on
/// disk, and nothing is said to the API server.
fn without_traces(args: &RunArgs, mut settings: Settings) -> Settings {
    settings.towpath.snapshot.enabled = false;
    settings.towpath.events = false;
    settings.towpath.startup_taint.clear();
    // Not those of the file, which are kube-proxy's own.
    let given = |flag: &Option<String>| flag.clone().unwrap_or_default();
    settings.proxy.healthz_bind_address = given(&args.proxy.healthz_bind_address);
    settings.proxy.metrics_bind_address = given(&args.proxy.metrics_bind_address);
    settings
}

/// What the last comparison found.
#[derive(Clone, Debug, Default)]
struct Report {
    /// A sentence about it.
    summary: String,
    /// The differences that last, a line each.
    lines: Vec<String>,
    /// For scripts.
    list: Vec<serde_json::Value>,
}

/// A difference that was seen by each comparison since.
struct Seen {
    since: Instant,
    told: bool,
}

/// The thread that compares.
struct Watcher {
    store: Store,
    settings: Settings,
    waiting: BTreeSet<&'static str>,
    inbox: Receiver<Message>,
    changed: Instant,
    next: Instant,
    seen: BTreeMap<Difference, Seen>,
    /// Where kube-proxy's rules were the last time, and what reads them.
    reader: Option<(Place, Reader)>,
    /// The last sentence of the log, so that it is not said again.
    said: String,
    board: Arc<Board>,
    report: Arc<Mutex<Report>>,
}

impl Watcher {
    fn run(mut self) {
        while self.take_in() {
            self.board.state().health.alive();
            let now = Instant::now();
            if self.waiting.is_empty() && now >= self.next && now >= self.changed + QUIET {
                self.look();
                self.next = Instant::now() + (now.elapsed() * SHARE).max(EVERY);
            }
        }
    }

    /// Waits a moment for a message. False = stop.
    fn take_in(&mut self) -> bool {
        let mut touched = Touched::default();
        match self.inbox.recv_timeout(Duration::from_millis(500)) {
            Ok(Message::Change(change)) => {
                if let Change::Synced(source) = change {
                    self.waiting.remove(source);
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
                self.publish(summary);
                self.board.state().synced_once = true;
            }
            Err(error) => {
                let text = format!("cannot compare: {error}");
                self.say(&text);
                *self.report.lock().unwrap_or_else(PoisonError::into_inner) =
                    Report { summary: text, ..Report::default() };
            }
        }
    }

    /// A sentence about what was compared, and how it differs.
    fn compare(&mut self) -> Result<(String, Vec<Difference>), ShadowError> {
        // It may have changed its mode since.
        let Some(place) = locate()?.first().copied() else { return Ok(Default::default()) };
        let known = self.reader.take().filter(|(of, _)| *of == place);
        let (_, reader) = self.reader.insert(known.unwrap_or_else(|| (place, Reader::new(place))));
        let programmed = reader.read()?;
        let config = proxy_config(&self.settings.proxy, place.mode());
        let mut expected = Expected::new(place.mode());
        for (name, _) in self.store.entries() {
            expected.add(&resolve(&self.store, &config, name));
        }
        let summary = format!(
            "compared {} Services with the {} frontends of kube-proxy in mode {} ({})",
            self.store.service_count(),
            programmed.frontends.len(),
            place.mode().as_str(),
            programmed.found
        );
        // What was read in pieces while kube-proxy wrote is no state of anything: it counts when it lasts.
        Ok((summary, compare(&expected, &programmed)))
    }

    /// Tells what has come to last, and what is no more.
    fn follow(&mut self, differences: Vec<Difference>) {
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.seen);
        for difference in differences {
            let mut seen = before.remove(&difference).unwrap_or(Seen { since: now, told: false });
            if !seen.told && now.duration_since(seen.since) >= LASTS {
                tracing::warn!("differs from kube-proxy: {difference}");
                seen.told = true;
            }
            self.seen.insert(difference, seen);
        }
        for difference in before.iter().filter(|(_, seen)| seen.told).map(|(difference, _)| difference) {
            tracing::info!("differs no more: {difference}");
        }
    }

    fn publish(&mut self, summary: String) {
        let lasting: Vec<&Difference> =
            self.seen.iter().filter(|(_, seen)| seen.told).map(|(difference, _)| difference).collect();
        let waiting = self.seen.len() - lasting.len();
        let summary = match (lasting.len(), waiting) {
            (0, 0) => format!("{summary}: no difference"),
            (0, _) => format!("{summary}: waiting whether differences last"),
            (n, _) => format!("{summary}: {n} difference(s)"),
        };
        self.board.metrics.shadow_differences.set(lasting.len() as i64);
        let report = Report {
            lines: lasting.iter().map(ToString::to_string).collect(),
            list: lasting.iter().map(|difference| as_json(difference)).collect(),
            summary: summary.clone(),
        };
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        self.say(&summary);
    }

    fn say(&mut self, text: &str) {
        if self.said != text {
            tracing::info!("{text}");
            text.clone_into(&mut self.said);
        }
    }
}

fn as_json(difference: &Difference) -> serde_json::Value {
    json!({
        "service": difference.name.as_ref().map(|name| name.service.to_string()),
        "port": difference.name.as_ref().map(|name| name.port.to_string()),
        "kind": difference.kind.as_str(),
        "frontends": difference.frontends.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "meant": difference.known,
        "text": difference.to_string(),
    })
}

/// `/debug/shadow` and `/metrics`.
struct ShadowPages {
    board: Arc<Board>,
    report: Arc<Mutex<Report>>,
}

impl Pages for ShadowPages {
    fn get(&self, path: &str, query: &str) -> Page {
        let report = || self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match path {
            "/healthz" => Page::text(200, "ok"),
            "/metrics" => Page { content_type: PLAIN, ..Page::text(200, self.board.metrics.plain()) },
            "/debug/shadow" if query.split('&').any(|pair| pair == "format=json") => {
                let Report { summary, list, .. } = report();
                Page::json(200, json!({ "summary": summary, "differences": list }).to_string())
            }
            "/debug/shadow" => {
                let Report { summary, lines, .. } = report();
                Page::text(
                    200,
                    format!("# {summary}\n{}", lines.iter().map(|l| format!("{l}\n")).collect::<String>()),
                )
            }
            "/" => Page::text(200, "/debug/shadow\n/debug/shadow?format=json\n/metrics\n/healthz\n"),
            _ => Page::not_found(),
        }
    }

    fn is_quick(&self, _: &str) -> bool {
        true
    }
}
