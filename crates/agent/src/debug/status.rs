//! `/debug/status`: how the agent is doing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use admin::{Page, PageRequest};
use sources::kubernetes::Stats;

use super::{DebugPages, in_form};
use crate::ask::Seen;
use crate::board::{LastSync, State};
use crate::colour::Colours;
use crate::connection_table::ConnectionTable;
use crate::health::rfc3339;
use crate::status::{ApiView, LastSyncView, ProblemsView, RulesStatus, StatusView, reasons};

/// Where the page is.
pub(crate) const PATH: &str = "/debug/status";
/// The sync thread is not asked if it has not come round for so long: the rest is shown without it.
const SILENCE: Duration = Duration::from_secs(3);
/// Problems that are shown.
const PROBLEMS: usize = 5;

/// What the sync thread says of itself.
struct Told {
    node: String,
    place: String,
    synced: bool,
    services: usize,
    /// Counted only while the list of Services is not made yet.
    endpoints: Option<usize>,
    objects: usize,
    problems: ProblemsView,
}

impl DebugPages {
    pub(super) fn status(&self, request: &PageRequest) -> Page {
        let view = self.status_view(SystemTime::now());
        in_form(request, || view.json(), || view.text(Colours(false)))
    }

    fn status_view(&self, now: SystemTime) -> StatusView {
        let state = self.board.state().clone();
        // The list of Services knows it without the sync thread, once there is one.
        let count = !state.synced_once;
        let told = match state.health.seen_alive_within(SILENCE) {
            true => self.asker.ask(move |seen| Told::new(seen, count)).ok(),
            false => None,
        };
        let reasons = reasons(&state, told.is_some());
        let metrics = &self.board.metrics;
        let mut rules = rules_status(&state, now);
        rules.pending_service_changes = metrics.service_changes_pending.get();
        rules.pending_endpoint_changes = metrics.endpoint_changes_pending.get();
        rules.repaired_objects = metrics.drift.get();
        let mut view = StatusView {
            version: env!("CARGO_PKG_VERSION").into(),
            mode: state.mode.as_str().into(),
            started: state.started.map(rfc3339).unwrap_or_default(),
            uptime_seconds: state.started.map_or(0, |started| since(started, now)),
            healthy: reasons.is_empty(),
            reasons,
            node_eligible: state.health.is_eligible(),
            rules,
            api: self.api.as_deref().map(|stats| api(stats, now)),
            dns: self.dns.as_deref().map(crate::dns::Dns::summary),
            connection_table: ConnectionTable::read(),
            why: state.why,
            ..StatusView::default()
        };
        view.rules.endpoints = self.board.listing.endpoints();
        if let Some(told) = told {
            told.put(&mut view);
        }
        view
    }
}

impl Told {
    fn new(seen: &Seen<'_>, count: bool) -> Self {
        let (engine, store) = (seen.engine, seen.engine.store());
        let slices = || store.entries().flat_map(|(_, entry)| entry.slices.values());
        let mut problems = ProblemsView::default();
        engine.visit_problems(&mut |problem| {
            problems.count += 1;
            if problems.first.len() < PROBLEMS {
                problems.first.push(problem.to_string());
            }
        });
        Self {
            node: store.node_name().to_string(),
            place: engine.place().to_string(),
            synced: seen.synced,
            services: store.service_count(),
            endpoints: count.then(|| slices().map(|slice| slice.endpoints.len()).sum()),
            objects: engine.object_count(),
            problems,
        }
    }

    fn put(self, view: &mut StatusView) {
        (view.node, view.place, view.problems) = (self.node, self.place, self.problems);
        let rules = &mut view.rules;
        rules.synced = self.synced;
        (rules.services, rules.objects) = (self.services, self.objects);
        rules.endpoints = self.endpoints.unwrap_or(rules.endpoints);
    }
}

fn rules_status(state: &State, now: SystemTime) -> RulesStatus {
    RulesStatus {
        ready: state.synced_once,
        last_sync: state.last_sync.as_ref().map(|sync| last_sync(sync, now)),
        repairs: state.repairs,
        last_repair_at: state.last_repair.as_ref().map(|repair| rfc3339(repair.at)),
        last_repair: state.last_repair.as_ref().map(ToString::to_string),
        leftovers: state.leftovers.clone(),
        move_error: state.move_error.clone(),
        config_error: state.config_error.clone(),
        ..RulesStatus::default()
    }
}

fn last_sync(sync: &LastSync, now: SystemTime) -> LastSyncView {
    LastSyncView {
        at: rfc3339(sync.at),
        seconds_ago: since(sync.at, now),
        took_microseconds: u64::try_from(sync.took.as_micros()).unwrap_or(u64::MAX),
        writes: sync.writes,
        services: sync.services,
        full: sync.full,
    }
}

/// Kinds for which a list was never begun are not watched.
fn api(stats: &Stats, now: SystemTime) -> ApiView {
    let watched: Vec<_> = stats.kinds().filter(|(_, kind)| kind.lists.load(Relaxed) > 0).collect();
    let last = watched.iter().map(|(_, kind)| kind.last_event_ms.load(Relaxed)).max().unwrap_or(0);
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    ApiView {
        kinds: watched.len(),
        connected: watched.iter().filter(|(_, kind)| kind.connected.load(Relaxed)).count(),
        last_event_seconds_ago: (last > 0).then(|| since(at(last / 1000), now)),
        errors: stats.errors().map(|(_, _, count)| count).sum(),
        snapshot: stats.snapshot().map(|seconds| rfc3339(at(seconds))),
    }
}

/// Whole seconds; 0 where the clock was set back.
fn since(then: SystemTime, now: SystemTime) -> u64 {
    now.duration_since(then).map_or(0, |time| time.as_secs())
}
