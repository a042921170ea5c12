//! The pages: health, metrics, and what is programmed.

use std::fmt::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admin::{Page, PageRequest, Pages};
use config::Settings;
use resolve::resolve;
use serde_json::{Value as Json, json};

use crate::board::{Board, Copy};
use crate::dns::{self, Dns};
use crate::metrics::{CodeLabel, OPENMETRICS, PLAIN};
use crate::sync::Message;
use crate::view::RouteView;

/// A page waits this long for the sync thread.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// Whether the first sync has succeeded: pods on this node can use Services. kube-proxy has no such page.
    fn ready(&self) -> Page {
        if self.board.state().synced_once {
            Page::text(200, "ok")
        } else {
            Page::text(503, "the first sync has not succeeded yet\n")
        }
    }
}

/// `/metrics`, `/proxyMode`, `/configz`, `/debug/rules`.
pub(crate) struct DebugPages {
    pub(crate) board: Arc<Board>,
    pub(crate) settings: Arc<Mutex<Settings>>,
    pub(crate) sync: SyncSender<Message>,
    pub(crate) dns: Option<Arc<Dns>>,
    /// One large page at a time.
    pub(crate) turn: Mutex<()>,
}

impl Pages for DebugPages {
    fn get(&self, path: &str, query: &str) -> Page {
        match path {
            "/healthz" => Page::text(200, "ok"),
            "/proxyMode" => Page::text(200, self.board.state().mode.as_str()),
            "/metrics" => Page { content_type: PLAIN, ..Page::text(200, self.board.metrics.plain()) },
            "/configz" => Page::json(200, self.configz()),
            "/debug/rules" => {
                let page = self.rules(query);
                // The page was made from a copy of everything.
                netlink::give_back_memory();
                page
            }
            dns::PATH => dns::page(self.dns.as_deref(), query),
            "/" => Page::text(
                200,
                "/debug/rules\n/debug/rules?format=json\n/debug/rules?format=json&diff=1\n/debug/dns\n/debug/dns?name=NAME&from=ADDRESS\n/metrics\n/configz\n/proxyMode\n/healthz\n",
            ),
            _ => Page::not_found(),
        }
    }

    fn get_with(&self, request: &PageRequest) -> Page {
        if request.path == "/metrics" && admin::wants_openmetrics(request.accept.as_deref()) {
            return Page { content_type: OPENMETRICS, ..Page::text(200, self.board.metrics.openmetrics()) };
        }
        self.get(&request.path, &request.query)
    }

    fn is_quick(&self, path: &str) -> bool {
        path != "/debug/rules"
    }
}

impl DebugPages {
    /// What is in force: with the mode and the detection that were chosen, as kube-proxy shows them.
    fn configz(&self) -> String {
        let mut proxy = self.settings.lock().unwrap_or_else(PoisonError::into_inner).proxy.clone();
        proxy.mode = self.board.state().mode.as_str().into();
        if proxy.detect_local_mode.is_empty() {
            proxy.detect_local_mode = "ClusterCIDR".into();
        }
        proxy.to_json()
    }

    fn rules(&self, query: &str) -> Page {
        let Ok(_turn) = self.turn.try_lock() else {
            return Page::text(503, "this page is being made for somebody else; ask again\n");
        };
        let has = |wanted: &str| query.split('&').any(|pair| pair == wanted);
        let Some(mut copy) = self.copy() else {
            return Page::text(503, "the sync thread does not answer; see /livez and the log\n");
        };
        let diff = if has("diff=1") {
            match copy.rules.difference() {
                Ok(lines) => Some(lines),
                Err(error) => return Page::text(503, format!("cannot read the kernel's ruleset: {error}\n")),
            }
        } else {
            None
        };
        if has("format=json") {
            Page::json(200, self.json(&copy, diff).to_string())
        } else {
            Page::text(200, self.text(&copy, diff))
        }
    }

    fn copy(&self) -> Option<Copy> {
        let (reply, answer) = sync_channel(1);
        self.sync.try_send(Message::Copy(reply)).ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }

    fn text(&self, copy: &Copy, diff: Option<Vec<String>>) -> String {
        let mut out = String::new();
        let state = if copy.synced { "synced" } else { "not synced" };
        let _ = writeln!(
            out,
            "# towpath on {}, mode {}, {state}",
            copy.store.node_name(),
            copy.config.mode.as_str()
        );
        let _ = writeln!(
            out,
            "# state {}: {} Service(s), {} kernel objects",
            copy.store.number(),
            copy.store.service_count(),
            copy.rules.len()
        );
        let state = self.board.state().clone();
        if let Some(error) = &state.last_error {
            let _ = writeln!(out, "# last error: {error}");
        }
        if let Some(error) = &state.move_error {
            let _ = writeln!(out, "# {error}");
        }
        for leftover in &state.leftovers {
            let _ = writeln!(out, "# {leftover}");
        }
        if let Some(error) = &state.config_error {
            let _ = writeln!(out, "# configuration not in force: {error}");
        }
        for problem in &copy.problems {
            let _ = writeln!(out, "# problem: {problem}");
        }
        if let Some(lines) = diff {
            let _ = writeln!(out, "# difference to the kernel: {} objects", lines.len());
            lines.iter().for_each(|line| out += &format!("# {line}\n"));
        }
        out + &copy.rules.render()
    }

    fn json(&self, copy: &Copy, diff: Option<Vec<String>>) -> Json {
        let state = self.board.state().clone();
        let mut page = json!({
            "node": &**copy.store.node_name(),
            "mode": copy.config.mode.as_str(),
            "synced": copy.synced,
            "number": copy.store.number(),
            "objects": copy.rules.len(),
            "lastError": state.last_error,
            "moveError": state.move_error,
            "leftovers": state.leftovers,
            "configError": state.config_error,
            "problems": copy.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "services": services(copy),
        });
        if let Some(lines) = diff {
            page["diff"] = json!(lines);
        }
        page
    }
}

/// Per Service what it became.
fn services(copy: &Copy) -> Json {
    let mut names: Vec<_> = copy.store.entries().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    let each = names.into_iter().filter_map(|name| {
        let routes = resolve(&copy.store, &copy.config, &name).routes;
        let objects: Vec<String> = routes.iter().flat_map(|route| copy.rules.objects_of(route)).collect();
        let routes: Vec<RouteView> = routes.iter().map(RouteView::new).collect();
        (!routes.is_empty())
            .then(|| json!({ "service": name.to_string(), "routes": routes, "objects": objects }))
    });
    Json::Array(each.collect())
}
