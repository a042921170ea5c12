//! What other parts of the agent know of a Service: its last changes, its connections.

use flows::Question;
use model::NamespacedName;
use page::{CHANGED, CHANGES, ChangeView, ConnectionsView, ENDPOINTS, LoadView};

use crate::debug::DebugPages;
use crate::health::rfc3339;

/// Objects of one change that are named.
const OBJECTS: usize = 5;

impl DebugPages {
    /// The last changes of one Service.
    pub(super) fn changes(&self, name: &NamespacedName) -> Vec<ChangeView> {
        let found = self.board.trail.last(Some(name), CHANGES);
        let each = found.entries.iter().map(|entry| ChangeView {
            at: rfc3339(entry.at),
            objects: entry
                .objects
                .iter()
                .take(OBJECTS)
                .map(|object| {
                    let gone = if object.cause.gone { " deleted" } else { "" };
                    let version =
                        object.cause.version.as_deref().map(|version| format!(", resourceVersion {version}"));
                    let waited = object.waited.as_secs_f64() * 1_000.0;
                    let (kind, name) = (&object.cause.kind, &object.cause.name);
                    format!(
                        "{kind} {name}{gone}{}: in the kernel after {waited:.1} ms",
                        version.unwrap_or_default()
                    )
                })
                .collect(),
            writes: entry.writes(),
            lines: entry.lines.iter().take(CHANGED).cloned().collect(),
            error: entry.error.clone(),
        });
        each.collect()
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
