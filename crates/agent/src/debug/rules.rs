//! `/debug/rules`: what is programmed.

use std::fmt::Write;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use admin::{Format, Page, PageRequest, in_one_line};
use resolve::resolve;
use serde_json::json;

use super::DebugPages;
use crate::board::Copy;
use crate::sync::Message;
use crate::view::RouteView;

/// A page waits this long for the sync thread.
const PATIENCE: Duration = Duration::from_secs(20);

impl DebugPages {
    pub(super) fn rules(&self, request: &PageRequest) -> Page {
        let format = match request.format() {
            Ok(format) => format,
            Err(page) => return page,
        };
        let is_list = ["q", "sort", "page"].iter().any(|name| request.value(name).is_some());
        if format == Format::Html || is_list {
            return self.front(request, format);
        }
        let query = &*request.query;
        let mut turn = match self.large.turn() {
            Ok(turn) => turn,
            Err(page) => return page,
        };
        let has = |wanted: &str| query.split('&').any(|pair| pair == wanted);
        let Some(mut copy) = self.copy() else {
            return Page::text(503, "the sync thread does not answer; see /livez and the log\n");
        };
        turn.took(copy.took);
        let diff = if has("diff=1") {
            match copy.rules.difference() {
                Ok(lines) => Some(lines),
                Err(error) => return Page::text(503, format!("cannot read the kernel's ruleset: {error}\n")),
            }
        } else {
            None
        };
        let page = if format == Format::Json {
            Page::json(200, self.json(&copy, diff))
        } else {
            Page::text(200, self.text(&copy, diff))
        };
        Page { held: Some(self.large.body()), ..page }
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
        let errors = state.last_error.iter().map(|error| format!("last error: {error}"));
        let errors = errors.chain(state.move_error.clone()).chain(state.leftovers.clone());
        let of_file = |error: &String| format!("configuration not in force: {error}");
        let errors = errors.chain(state.config_error.as_ref().map(of_file));
        let problems = copy.problems.iter().map(|problem| format!("problem: {problem}"));
        for line in errors.chain(problems) {
            let _ = writeln!(out, "# {}", in_one_line(&line));
        }
        if let Some(lines) = diff {
            let _ = writeln!(out, "# difference to the kernel: {} objects", lines.len());
            lines.iter().for_each(|line| out += &format!("# {line}\n"));
        }
        out + &copy.rules.render()
    }

    fn json(&self, copy: &Copy, diff: Option<Vec<String>>) -> String {
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
        });
        if let Some(lines) = diff {
            page["diff"] = json!(lines);
        }
        // Services are written one by one: as values all together they would take several times their text.
        let mut text = page.to_string();
        text.pop();
        text += ",\"services\":[";
        services(copy, &mut text);
        text + "]}"
    }
}

/// Per Service what it became.
fn services(copy: &Copy, text: &mut String) {
    let mut names: Vec<_> = copy.store.entries().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    let start = text.len();
    for name in names {
        let routes = resolve(&copy.store, &copy.config, &name).routes;
        if routes.is_empty() {
            continue;
        }
        let objects: Vec<String> = routes.iter().flat_map(|route| copy.rules.objects_of(route)).collect();
        let routes: Vec<RouteView> = routes.iter().map(RouteView::new).collect();
        if text.len() > start {
            text.push(',');
        }
        *text += &json!({ "service": name.to_string(), "routes": routes, "objects": objects }).to_string();
    }
}
