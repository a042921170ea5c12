//! `/debug/rules/NAMESPACE/NAME`: one Service.

mod more;
mod view;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use admin::{Format, Page, PageRequest};
use model::{IpFamily, NamespacedName, Service};
use page::{DRAINS, Difference, DrainView, ENDPOINTS, MAX_ENDPOINTS, PORTS, ServiceView};
use resolve::{LocalSource, LocalView, ProxyConfig, Resolved, Roster, resolve, roster};

use super::front::{about, html};
use super::{DebugPages, LINKS, VERSION};
use crate::ask::Seen;
use crate::compare::Subject;
use crate::health::rfc3339;
use crate::rules_view::RulesView;
use more::Own;

/// Problems of one Service that are shown.
const PROBLEMS: usize = 20;

/// What is known of one Service, copied from the sync thread to be written elsewhere.
pub(super) struct Found {
    pub(super) node: String,
    pub(super) place: String,
    pub(super) synced: bool,
    pub(super) config: ProxyConfig,
    pub(super) service: Arc<Service>,
    /// The names of its slices.
    slices: Vec<NamespacedName>,
    pub(super) resolved: Resolved,
    /// One for each of the first [`PORTS`] Routes.
    pub(super) rosters: Vec<Roster>,
    /// How local pods are told, by family.
    pub(super) detectors: [LocalSource; 2],
    pub(super) local: LocalView,
    pub(super) problems: Vec<String>,
    pub(super) rules: Box<dyn RulesView>,
    /// Endpoints that drain, the first of them.
    pub(super) draining: Vec<DrainView>,
    /// How many drain.
    pub(super) drains: usize,
}

impl Found {
    fn new(seen: &Seen<'_>, name: &NamespacedName, endpoints: usize) -> Option<Self> {
        let (engine, store) = (seen.engine, seen.engine.store());
        let entry = store.entry(name)?;
        let service = Arc::clone(entry.service.as_ref()?);
        let config = engine.config();
        let resolved = resolve(store, config, name);
        let shown = resolved.routes.iter().take(PORTS);
        let rosters = shown.map(|route| roster(store, config, route, endpoints)).collect();
        let own = name.to_string();
        let mut problems = Vec::new();
        engine.visit_problems(&mut |problem| {
            if problems.len() < PROBLEMS && about(store, problem).as_ref() == Some(&own) {
                problems.push(problem.to_string());
            }
        });
        Some(Self {
            node: store.node_name().to_string(),
            place: engine.place().to_string(),
            synced: seen.synced,
            detectors: IpFamily::ALL.map(|family| LocalSource::new(config, store.facts(), family)),
            local: LocalView::new(store, Some(entry), &resolved),
            config: config.clone(),
            rules: engine.rules(Some(std::slice::from_ref(name))),
            slices: entry.slices.values().map(|slice| slice.name.clone()).collect(),
            draining: draining(seen, name),
            drains: seen.draining.of(name).count(),
            service,
            resolved,
            rosters,
            problems,
        })
    }
}

impl DebugPages {
    /// The page of the Service whose `namespace/name` ends the path.
    pub(super) fn service(&self, path: &str, request: &PageRequest) -> Page {
        let format = match request.format() {
            Ok(format) => format,
            Err(page) => return page,
        };
        let missing = || Page::text(404, "there is no such Service on this node\n");
        let Some(name) = service_name(path) else { return missing() };
        let endpoints = request.value("endpoints").and_then(|text| text.parse().ok());
        let endpoints = endpoints.unwrap_or(ENDPOINTS).min(MAX_ENDPOINTS);
        let asked = name.clone();
        let found = match self.asker.ask(move |seen| Found::new(seen, &asked, endpoints)) {
            Ok(Some(found)) => found,
            Ok(None) => return missing(),
            Err(error) => return Page::text(503, format!("{error}\n")),
        };
        let difference = match request.value("diff").as_deref() {
            Some("1") => Some(self.difference(&name)),
            _ => None,
        };
        let flows = request.value("flows").as_deref() == Some("1");
        let connections = flows.then(|| self.connections(&name));
        let lines = found.rules.lines();
        let changes = self.changes(&Own {
            name: &name,
            slices: &found.slices,
            lines: lines.iter().map(String::as_str).collect(),
        });
        answer(&ServiceView { difference, connections, changes, ..view::service(&found, &lines) }, format)
    }

    fn difference(&self, name: &NamespacedName) -> Difference {
        match self.comparer.compare(&Subject::Service(name.clone())) {
            Ok(found) => Difference::new(found.differences.iter().map(ToString::to_string).collect()),
            Err(error) => Difference { error: Some(error.to_string()), ..Difference::default() },
        }
    }
}

/// What drains of a Service, with the times of the clock.
fn draining(seen: &Seen<'_>, name: &NamespacedName) -> Vec<DrainView> {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let shown = seen.draining.of(name).take(DRAINS).map(|(who, drains)| {
        let left = drains.until.saturating_duration_since(now);
        DrainView {
            endpoint: who.endpoint.to_string(),
            protocol: who.protocol.as_str(),
            gone_at: rfc3339(clock - now.saturating_duration_since(drains.since)),
            ends_at: rfc3339(clock + left),
            ends_in_seconds: left.as_secs(),
        }
    });
    shown.collect()
}

/// From `namespace/name`; these need no decoding.
fn service_name(path: &str) -> Option<NamespacedName> {
    let (namespace, name) = path.split_once('/')?;
    let plain = |text: &str| !text.is_empty() && !text.contains('/');
    (plain(namespace) && plain(name)).then(|| NamespacedName::new(namespace, name))
}

fn answer(view: &ServiceView, format: Format) -> Page {
    match format {
        Format::Html => html(200, page::html::service(view, LINKS, VERSION)),
        Format::Json => Page::json(200, serde_json::to_string(view).unwrap_or_default()),
        Format::Text => Page::text(200, page::text::service(view)),
    }
}
