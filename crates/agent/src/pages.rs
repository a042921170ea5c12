//! The pages: health, metrics, and what is programmed.

use std::fmt::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admin::{Page, PageRequest, Pages};
use config::Settings;
use dataplane::{Plan, Step};
use nftables::{Key, Nftables, Value};
use resolve::{ProxyConfig, resolve};
use serde_json::{Value as Json, json};

use crate::board::{Board, Copy};
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
    /// As at the start; what can change while running is read from the copy.
    pub(crate) config: ProxyConfig,
    pub(crate) settings: Arc<Mutex<Settings>>,
    pub(crate) sync: SyncSender<Message>,
    /// One large page at a time.
    pub(crate) turn: Mutex<()>,
}

impl Pages for DebugPages {
    fn get(&self, path: &str, query: &str) -> Page {
        match path {
            "/healthz" => Page::text(200, "ok"),
            "/proxyMode" => Page::text(200, self.config.mode.as_str()),
            "/metrics" => Page { content_type: PLAIN, ..Page::text(200, self.board.metrics.plain()) },
            "/configz" => Page::json(200, self.configz()),
            "/debug/rules" => {
                let page = self.rules(query);
                // The page was made from a copy of everything.
                netlink::give_back_memory();
                page
            }
            "/" => Page::text(
                200,
                "/debug/rules\n/debug/rules?format=json\n/debug/rules?format=json&diff=1\n/metrics\n/configz\n/proxyMode\n/healthz\n",
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
        proxy.mode = self.config.mode.as_str().into();
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
        let Some(copy) = self.copy() else {
            return Page::text(503, "the sync thread does not answer; see /livez and the log\n");
        };
        let printer = printer(&copy, &copy.config);
        let diff = if has("diff=1") {
            match difference(&copy, &printer) {
                Ok(lines) => Some(lines),
                Err(error) => return Page::text(503, format!("cannot read the kernel's ruleset: {error}\n")),
            }
        } else {
            None
        };
        if has("format=json") {
            Page::json(200, self.json(&copy, &printer, diff).to_string())
        } else {
            Page::text(200, self.text(&copy, &printer, diff))
        }
    }

    fn copy(&self) -> Option<Copy> {
        let (reply, answer) = sync_channel(1);
        self.sync.try_send(Message::Copy(reply)).ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }

    fn text(&self, copy: &Copy, printer: &Nftables, diff: Option<Vec<String>>) -> String {
        let mut out = String::new();
        let state = if copy.synced { "synced" } else { "not synced" };
        let _ = writeln!(
            out,
            "# towpath on {}, mode {}, {state}",
            copy.store.node_name(),
            self.config.mode.as_str()
        );
        let _ = writeln!(
            out,
            "# state {}: {} Service(s), {} kernel objects",
            copy.store.number(),
            copy.store.service_count(),
            copy.objects.len()
        );
        let state = self.board.state().clone();
        if let Some(error) = &state.last_error {
            let _ = writeln!(out, "# last error: {error}");
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
        out + &printer.render(copy.objects.iter().map(|(key, value)| (key, value)))
    }

    fn json(&self, copy: &Copy, printer: &Nftables, diff: Option<Vec<String>>) -> Json {
        let mut page = json!({
            "node": &**copy.store.node_name(),
            "mode": self.config.mode.as_str(),
            "synced": copy.synced,
            "number": copy.store.number(),
            "objects": copy.objects.len(),
            "lastError": self.board.state().last_error,
            "configError": self.board.state().config_error,
            "problems": copy.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "services": services(copy, &copy.config, printer),
        });
        if let Some(lines) = diff {
            page["diff"] = json!(lines);
        }
        page
    }
}

/// A dataplane without a kernel that prints as the running one would.
fn printer(copy: &Copy, config: &ProxyConfig) -> Nftables {
    use dataplane::{Dataplane, Ground};
    let mut printer = Nftables::offline();
    let service_cidrs = copy.store.service_cidrs();
    printer.ground(&Ground { config, facts: copy.store.facts(), service_cidrs: &service_cidrs });
    printer
}

/// Per Service what it became.
fn services(copy: &Copy, config: &ProxyConfig, printer: &Nftables) -> Json {
    use dataplane::Dataplane;
    let desired: rustc_hash::FxHashMap<&Key, &Value> = copy.objects.iter().map(|(k, v)| (k, v)).collect();
    let now = |key: &Key| desired.get(key).map(|value| **value);
    let mut names: Vec<_> = copy.store.entries().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    let each = names.into_iter().filter_map(|name| {
        let routes = resolve(&copy.store, config, &name).routes;
        let objects = routes.iter().flat_map(|route| printer.lower(route, &now));
        let objects: Vec<String> = objects.map(|(key, value)| printer.describe(&key, &value)).collect();
        let routes: Vec<RouteView> = routes.iter().map(RouteView::new).collect();
        (!routes.is_empty())
            .then(|| json!({ "service": name.to_string(), "routes": routes, "objects": objects }))
    });
    Json::Array(each.collect())
}

/// What the kernel lacks (`+`), has beyond (`-`) or has otherwise (`!`), a line each.
fn difference(copy: &Copy, printer: &Nftables) -> Result<Vec<String>, dataplane::ApplyError> {
    use dataplane::{Dataplane, Ledger};
    let mut kernel = Nftables::open().map_err(dataplane::ApplyError::new("cannot open nf_tables"))?;
    let observed = kernel.observe()?;
    let mut ledger = Ledger::default();
    ledger.set_tracking(false);
    ledger.replace((), copy.objects.clone());
    let plan: Plan<Key, Value> = ledger.diff(&observed);
    let mut lines: Vec<String> = plan.steps.iter().map(|(key, step)| line(printer, key, step)).collect();
    lines.sort_unstable();
    Ok(lines)
}

fn line(printer: &Nftables, key: &Key, step: &Step<Value>) -> String {
    match step {
        Step::Create(new) => format!("+ {}", printer.describe(key, new)),
        Step::Delete(old) => format!("- {}", printer.describe(key, old)),
        Step::Update { old, new } => {
            format!("! {} (has {})", printer.describe(key, new), printer.describe(key, old))
        }
    }
}
