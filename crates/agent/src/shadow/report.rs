//! What the last comparison found, and its pages.

use std::sync::{Arc, Mutex, PoisonError};

use ::shadow::Difference;
use admin::{Page, Pages};
use serde_json::{Value, json};

use crate::board::Board;
use crate::metrics::PLAIN;

/// What the last comparison found.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// A sentence about it.
    pub(super) summary: String,
    /// Something was compared; otherwise the sentence says why not.
    pub(super) compared: bool,
    /// How many differences have not lasted yet.
    pub(super) waiting: usize,
    /// Those that last.
    pub(super) lasting: Vec<Difference>,
}

impl Report {
    /// Nothing was compared, and why.
    pub(super) fn nothing(summary: String) -> Self {
        Self { summary, ..Self::default() }
    }

    fn text(&self) -> String {
        let lines = self.lasting.iter().map(|difference| format!("{difference}\n"));
        [format!("# {}\n", self.summary)].into_iter().chain(lines).collect()
    }

    fn json(&self) -> String {
        let Self { summary, compared, waiting, lasting } = self;
        let list: Vec<Value> = lasting.iter().map(as_json).collect();
        json!({ "summary": summary, "compared": compared, "waiting": waiting, "differences": list })
            .to_string()
    }
}

fn as_json(difference: &Difference) -> Value {
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
pub(super) struct ShadowPages {
    pub(super) board: Arc<Board>,
    pub(super) report: Arc<Mutex<Report>>,
}

impl Pages for ShadowPages {
    fn get(&self, path: &str, query: &str) -> Page {
        let report = || self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match path {
            "/healthz" => Page::text(200, "ok"),
            "/metrics" => Page { content_type: PLAIN, ..Page::text(200, self.board.metrics.plain()) },
            "/debug/shadow" if query.split('&').any(|pair| pair == "format=json") => {
                Page::json(200, report().json())
            }
            "/debug/shadow" => Page::text(200, report().text()),
            "/" => Page::text(200, "/debug/shadow\n/debug/shadow?format=json\n/metrics\n/healthz\n"),
            _ => Page::not_found(),
        }
    }

    fn is_quick(&self, _: &str) -> bool {
        true
    }
}
