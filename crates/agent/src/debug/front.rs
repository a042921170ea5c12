//! `/debug/rules` for people: the state of the node, and the list of Services.

use std::time::{Duration, SystemTime};

use admin::{Format, Page, PageRequest};
use model::{Problem, Store};
use page::{Front, ListView, Marks, Overview, PROBLEMS, ProblemsView, Search, SyncView};

use super::{DebugPages, LINKS, VERSION};
use crate::ask::Seen;
use crate::board::LastSync;
use crate::connection_table::ConnectionTable;
use crate::health::rfc3339;

/// Services that are marked as having Problems.
const MARKS: usize = 10_000;
/// The sync thread is not asked if it has not come round for so long: what was known last is shown.
const SILENCE: Duration = Duration::from_secs(3);
/// What is said then.
const SILENT: &str = "the sync thread does not answer, so this may be old; see /livez and the log";

/// What the sync thread tells of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) node: String,
    pub(super) place: String,
    pub(super) synced: bool,
    services: usize,
    objects: usize,
    problems: ProblemsView,
    marks: Marks,
}

impl Told {
    fn new(seen: &Seen<'_>) -> Self {
        let engine = seen.engine;
        let store = engine.store();
        let mut told = Self {
            node: store.node_name().to_string(),
            place: engine.place().to_string(),
            synced: seen.synced,
            services: store.service_count(),
            objects: engine.object_count(),
            ..Self::default()
        };
        engine.visit_problems(&mut |problem| told.note(store, problem));
        told
    }

    fn note(&mut self, store: &Store, problem: &Problem) {
        self.problems.total += 1;
        if self.problems.shown.len() < PROBLEMS {
            self.problems.shown.push(problem.to_string());
        }
        if let Some(service) = about(store, problem).filter(|_| self.marks.len() < MARKS) {
            *self.marks.entry(service).or_default() += 1;
        }
    }
}

/// The Service that a Problem is about, as `namespace/name`: its own, or one of its slices'.
pub(super) fn about(store: &Store, problem: &Problem) -> Option<String> {
    let mut words = problem.subject.object.split(' ');
    match (words.next()?, words.next()?) {
        ("Service", name) => Some(name.to_owned()),
        ("EndpointSlice", name) => {
            let (namespace, name) = name.split_once('/')?;
            let owner = store.slice_owner(&model::NamespacedName::new(namespace, name))?;
            Some(owner.to_string())
        }
        _ => None,
    }
}

impl DebugPages {
    /// The state and the list; `format` is how.
    pub(super) fn front(&self, request: &PageRequest, format: Format) -> Page {
        let value = |name: &str| request.value(name);
        let search = Search::new(value("q"), value("sort").as_deref(), value("page").as_deref());
        let (told, answered) = self.told();
        let front = Front { overview: self.overview(&told, answered), list: self.list(&search, &told.marks) };
        match format {
            Format::Html => html(200, page::html::front(&front)),
            Format::Json => Page::json(200, serde_json::to_string(&front).unwrap_or_default()),
            Format::Text => Page::text(200, page::text::front(&front)),
        }
    }

    fn list(&self, search: &Search, marks: &Marks) -> ListView {
        self.board.listing.list(search, marks)
    }

    /// What the sync thread says, or what it said last; and whether it answered.
    pub(super) fn told(&self) -> (Told, bool) {
        let alive = self.board.state().health.seen_alive_within(SILENCE);
        let fresh = alive.then(|| self.asker.ask(Told::new).ok()).flatten();
        let mut last = super::lock(&self.last_told);
        match fresh {
            Some(told) => {
                *last = told.clone();
                (told, true)
            }
            None => (Told { synced: false, ..last.clone() }, false),
        }
    }

    fn overview(&self, told: &Told, answered: bool) -> Overview {
        let state = self.board.state().clone();
        let mut troubles: Vec<String> = Vec::new();
        troubles.extend((!answered).then(|| SILENT.to_owned()));
        troubles.extend(ConnectionTable::read().and_then(|table| table.trouble()));
        troubles.extend(state.last_error);
        troubles.extend(state.move_error);
        troubles.extend(state.leftovers);
        troubles.extend(state.config_error.map(|error| format!("configuration not in force: {error}")));
        let metrics = &self.board.metrics;
        Overview {
            node: told.node.clone(),
            version: VERSION,
            place: told.place.clone(),
            synced: told.synced,
            services: told.services,
            objects: told.objects as u64,
            writes: metrics.writes.get(),
            last_sync: state.last_sync.as_ref().map(sync_view),
            repaired: metrics.drift.get(),
            last_repair: state.last_repair.as_ref().map(|last| format!("{}: {last}", rfc3339(last.at))),
            troubles,
            problems: told.problems.clone(),
            links: LINKS.to_vec(),
        }
    }
}

fn sync_view(sync: &LastSync) -> SyncView {
    SyncView {
        at: rfc3339(sync.at),
        seconds_ago: SystemTime::now().duration_since(sync.at).map_or(0, |past| past.as_secs()),
        took_ms: sync.took.as_secs_f64() * 1_000.0,
        writes: sync.writes,
        services: sync.services,
        full: sync.full,
    }
}

/// A page for browsers: it runs nothing but its own script, and no cache or other site gets hold of it.
pub(super) fn html(status: u16, body: String) -> Page {
    Page { content_type: "text/html; charset=utf-8", ..Page::text(status, body) }
        .with("Content-Security-Policy", page::html::policy())
        .with("Referrer-Policy", "no-referrer")
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept")
}
