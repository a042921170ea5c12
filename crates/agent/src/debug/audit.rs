//! `/debug/audit`: the last changes, and what they meant in rules.

use admin::{Page, PageRequest};
use model::NamespacedName;

use super::{DebugPages, in_form};
use crate::audit::TrailView;

/// Entries that are shown where the request names no number.
const LIMIT: usize = 100;
/// Entries that are shown at the most: as many as can be kept.
const MOST: usize = 10_000;

impl DebugPages {
    /// `?service=NAMESPACE/NAME`, `?limit=N`, in each form.
    pub(super) fn audit(&self, request: &PageRequest) -> Page {
        let service = match request.value("service").map(|text| service(&text)) {
            Some(None) => return Page::text(400, "service: write it as NAMESPACE/NAME\n"),
            service => service.flatten(),
        };
        let limit = match request.value("limit").map(|text| text.parse::<usize>()) {
            None => LIMIT,
            Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
            Some(_) => return Page::text(400, format!("limit: write a number from 1 to {MOST}\n")),
        };
        if !self.board.trail.is_on() {
            return Page::text(404, "no changes are kept: auditEntries is 0\n");
        }
        let found = self.board.trail.last(service.as_ref(), limit);
        in_form(request, || TrailView::new(&found).json(), || found.text())
    }
}

fn service(text: &str) -> Option<NamespacedName> {
    let (namespace, name) = text.split_once('/')?;
    (!namespace.is_empty() && !name.is_empty()).then(|| NamespacedName::new(namespace, name))
}
