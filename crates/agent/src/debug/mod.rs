//! The pages: health, metrics, and what is programmed.

mod audit;
pub(crate) mod diff;
pub(crate) mod explain;
mod flows;
mod framed;
mod front;
mod large;
mod rules;
mod service;
pub(crate) mod status;
mod top;

pub(crate) use flows::PATH as FLOWS;
pub(crate) use large::Large;
pub(crate) use top::{MOST as TOP_MOST, PATH as TOP};

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use admin::{Format, Page, PageRequest, Pages};
use config::Settings;
use page::Link;
use sources::kubernetes::Stats;

use crate::ask::Asker;
use crate::board::Board;
use crate::compare::Comparer;
use crate::connections::FlowDesk;
use crate::dns::{self, Dns};
use crate::metrics::{CodeLabel, OPENMETRICS, PLAIN};
use crate::settings;
use crate::sync::Message;

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Pages that lead to one another.
const LINKS: &[Link] = &[
    Link { path: "/debug/rules", title: "Services" },
    Link { path: "/debug/status", title: "Status" },
    Link { path: "/debug/explain", title: "Explain" },
    Link { path: "/debug/flows", title: "Connections" },
    Link { path: "/debug/top", title: "Busiest" },
    Link { path: "/debug/audit", title: "Changes" },
    Link { path: "/debug/diff", title: "Compare" },
    Link { path: "/debug/dns", title: "DNS" },
    Link { path: "/debug/", title: "All pages" },
];

/// `/healthz`, `/livez` and `/readyz`.
pub(crate) struct HealthPages {
    pub(crate) board: Arc<Board>,
}

impl Pages for HealthPages {
    fn get(&self, path: &str, _: &str) -> Page {
        let with_eligibility = match path {
            "/healthz" => true,
            "/livez" => false,
            "/readyz" => return self.ready(),
            _ => return Page::not_found(),
        };
        let (code, body) = self.board.state().health.answer(with_eligibility);
        let metrics = &self.board.metrics;
        let counter = if with_eligibility { &metrics.healthz } else { &metrics.livez };
        counter.get_or_create(&CodeLabel { code }).inc();
        Page::json(code, body)
    }

    fn is_quick(&self, _: &str) -> bool {
        true
    }
}

impl HealthPages {
    /// Whether the first sync has succeeded, and the self-probe, if it runs: pods on this node can use Services. kube-proxy has no such page.
    fn ready(&self) -> Page {
        let state = self.board.state();
        match state.health.probe() {
            _ if !state.synced_once => Page::text(503, "the first sync has not succeeded yet\n"),
            Some(why) => Page::text(503, format!("the self-probe fails: {why}\n")),
            None => Page::text(200, "ok"),
        }
    }
}

/// What pages of one Service begin with.
const SERVICE: &str = "/debug/rules/";

/// What the sync thread said last of itself.
#[derive(Debug, Default)]
pub(crate) struct LastTold(Mutex<front::Told>);

fn lock(last: &LastTold) -> MutexGuard<'_, front::Told> {
    last.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `/metrics`, `/proxyMode`, `/configz`, `/debug/rules`.
pub(crate) struct DebugPages {
    pub(crate) board: Arc<Board>,
    pub(crate) settings: Arc<Mutex<Settings>>,
    pub(crate) sync: SyncSender<Message>,
    /// For questions that cost little.
    pub(crate) asker: Arc<Asker>,
    /// For comparisons with the kernel.
    pub(crate) comparer: Comparer,
    /// Answers questions about connections.
    pub(crate) flows: Arc<FlowDesk>,
    pub(crate) dns: Option<Arc<Dns>>,
    /// Of the API server, where there is one.
    pub(crate) api: Option<Arc<Stats>>,
    /// Whole rulesets.
    pub(crate) large: Large,
    /// What the sync thread said last, for when it does not.
    pub(crate) last_told: LastTold,
}

impl Pages for DebugPages {
    fn get(&self, path: &str, query: &str) -> Page {
        self.get_with(&PageRequest { path: path.into(), query: query.into(), accept: None })
    }

    fn get_with(&self, request: &PageRequest) -> Page {
        self.framed(request).unwrap_or_else(|| self.framed_error(request, self.plain(request)))
    }

    fn is_quick(&self, path: &str) -> bool {
        !path.starts_with("/debug/")
    }

    /// By the node's name; addresses and `localhost` are always good.
    fn answers_to(&self, name: &str) -> bool {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings::node_name(&settings).is_ok_and(|node| node.eq_ignore_ascii_case(name))
    }
}

impl DebugPages {
    /// The page as its handler writes it.
    fn plain(&self, request: &PageRequest) -> Page {
        match &*request.path {
            "/healthz" => Page::text(200, "ok"),
            "/proxyMode" => Page::text(200, self.board.state().mode.as_str()),
            "/metrics" if admin::wants_openmetrics(request.accept.as_deref()) => {
                Page { content_type: OPENMETRICS, ..Page::text(200, self.board.metrics.openmetrics()) }
            }
            "/metrics" => Page { content_type: PLAIN, ..Page::text(200, self.board.metrics.plain()) },
            "/configz" => Page::json(200, self.configz()),
            "/debug/rules" => {
                let page = self.rules(request);
                // The page was made from a copy of everything.
                netlink::give_back_memory();
                page
            }
            path if path.starts_with(SERVICE) => self.service(&path[SERVICE.len()..], request),
            "/debug/audit" => self.audit(request),
            diff::PATH => self.diff(request),
            status::PATH => self.status(request),
            explain::PATH => self.explain(request),
            FLOWS => flows::page(&self.flows, request),
            TOP => self.top(request),
            dns::PATH => dns::page(self.dns.as_deref(), request),
            "/" | "/debug" | "/debug/" => self.index(request),
            _ => Page::not_found(),
        }
    }

    /// What is in force: with the mode and the detection that were chosen, as kube-proxy shows them.
    fn configz(&self) -> String {
        let mut proxy = self.settings.lock().unwrap_or_else(PoisonError::into_inner).proxy.clone();
        proxy.mode = self.board.state().mode.as_str().into();
        if proxy.detect_local_mode.is_empty() {
            proxy.detect_local_mode = "ClusterCIDR".into();
        }
        proxy.to_json()
    }
}

/// An answer as JSON where that is asked for, else as text.
fn in_form(request: &PageRequest, json: impl FnOnce() -> String, text: impl FnOnce() -> String) -> Page {
    match request.format() {
        Ok(Format::Json) => Page::json(200, json()),
        Ok(Format::Html | Format::Text) => Page::text(200, text()),
        Err(page) => page,
    }
}
