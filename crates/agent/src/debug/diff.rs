//! `/debug/diff`: the rules that are wanted against those of the kernel.

use admin::{Page, PageRequest};

use super::{DebugPages, in_form};
use crate::compare::Subject;
use crate::diff::{DiffView, service_name};

/// Where the page is.
pub(crate) const PATH: &str = "/debug/diff";
/// Before the first lists.
const NOT_READY: &str = "not all sources have delivered their first list: nothing is wanted yet\n";

impl DebugPages {
    pub(super) fn diff(&self, request: &PageRequest) -> Page {
        let service = match request.value("service").as_deref().map(service_name).transpose() {
            Ok(service) => service,
            Err(error) => return Page::text(400, error + "\n"),
        };
        let known = service.clone();
        let about = self.asker.ask(move |seen| {
            let (store, config) = (seen.engine.store(), seen.engine.config());
            let is_there = known.is_none_or(|name| store.entry(&name).is_some());
            (is_there, seen.engine.is_ready(), store.node_name().to_string(), config.mode.as_str())
        });
        let (node, mode) = match about {
            Ok((_, false, ..)) => return Page::text(503, NOT_READY),
            Ok((false, ..)) => return Page::text(404, "there is no such Service\n"),
            Ok((_, _, node, mode)) => (node, mode),
            Err(error) => return Page::text(503, format!("{error}\n")),
        };
        match self.comparer.compare(&service.clone().map_or(Subject::All, Subject::Service)) {
            Ok(found) => {
                let view = DiffView::new(node, mode, service.as_ref(), found);
                let page = in_form(request, || view.json(), || view.text());
                Page { held: Some(self.large.body()), ..page }
            }
            Err(error) => Page::text(503, format!("{error}\n")),
        }
    }
}
