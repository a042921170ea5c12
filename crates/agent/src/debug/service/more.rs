//! What other parts of the agent know of a Service: its last changes, its connections.

use flows::Question;
use model::{Cause, NamespacedName};
use page::{CHANGED, CHANGES, ChangeView, ConnectionsView, ENDPOINTS, LoadView};

use rustc_hash::FxHashSet;

use crate::audit::{Because, Entry, Object};
use crate::debug::DebugPages;
use crate::health::rfc3339;

/// Objects of one change that are named.
const OBJECTS: usize = 5;
/// Changes among which repairs are looked for.
const RECENT: usize = 1_000;

/// What is this Service's, of a sync that touched others too.
pub(super) struct Own<'a> {
    pub(super) name: &'a NamespacedName,
    /// Its slices.
    pub(super) slices: &'a [NamespacedName],
    /// Its kernel objects, a line each.
    pub(super) lines: FxHashSet<&'a str>,
}

impl Own<'_> {
    fn is_object(&self, object: &Object) -> bool {
        let cause = &object.cause;
        let is_it = cause.kind == "Service" && cause.name == *self.name;
        is_it || cause.kind == "EndpointSlice" && self.slices.contains(&cause.name)
    }

    /// `+ line`, or `! line (was ...)`; a long one is cut.
    fn is_line(&self, line: &str) -> bool {
        let Some(line) = line.strip_prefix("+ ").or_else(|| line.strip_prefix("! ")) else { return false };
        let line = line.split(" (was ").next().unwrap_or(line);
        match line.strip_suffix("...") {
            Some(beginning) => self.lines.iter().any(|own| own.starts_with(beginning)),
            None => self.lines.contains(line),
        }
    }

    /// Another program had changed rules of this Service. Such a sync resolves no Service, and names none.
    fn is_repair(&self, entry: &Entry) -> bool {
        entry.because.contains(&Because::Repair) && entry.lines.iter().any(|line| self.is_line(line))
    }

    fn change(&self, entry: &Entry) -> ChangeView {
        let others = (entry.services.len() + entry.more_services).saturating_sub(1);
        let all = others == 0 && !entry.because.contains(&Because::Repair);
        let objects = entry.objects.iter().filter(|object| all || self.is_object(object));
        let lines = entry.lines.iter().filter(|line| all || self.is_line(line));
        let because: Vec<&str> = entry.because.iter().map(|because| because.as_str()).collect();
        ChangeView {
            at: rfc3339(entry.at),
            because: because.join(", "),
            others,
            objects: objects.take(OBJECTS).map(object).collect(),
            writes: entry.writes(),
            lines: lines.take(CHANGED).cloned().collect(),
            error: entry.error.clone(),
        }
    }
}

fn object(object: &Object) -> String {
    let Cause { kind, name, version, gone, .. } = &object.cause;
    let gone = if *gone { " deleted" } else { "" };
    let version = version.as_deref().map(|version| format!(", resourceVersion {version}"));
    let waited = object.waited.as_secs_f64() * 1_000.0;
    format!("{kind} {name}{gone}{}: in the kernel after {waited:.1} ms", version.unwrap_or_default())
}

impl DebugPages {
    /// The last changes of one Service.
    pub(super) fn changes(&self, own: &Own<'_>) -> Vec<ChangeView> {
        let mut found = self.board.trail.last(Some(own.name), CHANGES).entries;
        let repairs = self.board.trail.last(None, RECENT).entries.into_iter();
        found.extend(repairs.filter(|entry| !entry.is_about(own.name) && own.is_repair(entry)).take(CHANGES));
        found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.number));
        found.iter().take(CHANGES).map(|entry| own.change(entry)).collect()
    }

    /// Its connections, by endpoint.
    pub(super) fn connections(&self, name: &NamespacedName) -> ConnectionsView {
        let service = name.to_string();
        let answer = Question::parse(Some(&service), None, None)
            .map_err(|error| error.to_string())
            .and_then(|question| self.flows.ask(&question, 0).map_err(|error| error.to_string()));
        let view = match answer {
            Ok(view) => view,
            Err(error) => return ConnectionsView { notes: vec![error], ..ConnectionsView::default() },
        };
        let endpoints =
            view.services.into_iter().filter(|one| one.service == service).flat_map(|one| one.endpoints);
        let load = endpoints.take(ENDPOINTS).map(|one| LoadView {
            endpoint: one.endpoint,
            connections: one.totals.connections,
            opening: one.totals.opening,
            established: one.totals.established,
            closing: one.totals.closing,
            bytes: one.totals.bytes_in.zip(one.totals.bytes_out).map(|(from, to)| from + to),
        });
        ConnectionsView { endpoints: load.collect(), notes: view.notes }
    }
}
