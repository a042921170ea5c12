//! A status as one screen of text.

use std::fmt::Write;

use admin::in_one_line;

use super::{ApiView, StatusView};
use crate::colour::{Colours, Tone};
use crate::dns::DnsSummary;

/// A line: what it is about, how it is, in words.
type Line = (&'static str, Tone, String);

impl StatusView {
    /// With colours or without.
    pub(crate) fn text(&self, colours: Colours) -> String {
        let health = if self.healthy {
            colours.paint(Tone::Good, "healthy")
        } else {
            colours.paint(Tone::Bad, "not healthy")
        };
        let node = if self.node.is_empty() { "this node" } else { &self.node };
        let (version, node) = (in_one_line(&self.version), in_one_line(node));
        let mut out = format!("towpath {version} on {}: {health}\n", colours.paint(Tone::Strong, &node));
        for (about, tone, words) in self.lines() {
            let words = in_one_line(&words);
            let words = if tone == Tone::Strong { words } else { colours.paint(tone, &words) };
            let _ = writeln!(out, "  {about:<12}{words}");
        }
        out
    }

    fn lines(&self) -> Vec<Line> {
        let mut all: Vec<Line> =
            self.reasons.iter().map(|reason| ("why", Tone::Bad, reason.clone())).collect();
        all.push((
            "mode",
            Tone::Strong,
            format!("{} ({})", self.place.trim_start_matches("mode "), self.why),
        ));
        let since = format!("since {} ({})", self.started, duration(self.uptime_seconds));
        all.push(("running", Tone::Strong, since));
        all.extend(self.of_rules());
        all.extend(self.connection_table.map(|table| {
            let tone = if table.is_almost_full() { Tone::Bad } else { Tone::Strong };
            ("connections", tone, table.words())
        }));
        all.push(match &self.api {
            Some(api) => of_api(api),
            None => ("objects", Tone::Strong, "from manifests".into()),
        });
        all.extend(self.dns.iter().flat_map(of_dns));
        if !self.node_eligible {
            let words =
                "load balancers should not use this node: its Node object is missing, or it is about to go";
            all.push(("node", Tone::Note, words.into()));
        }
        all.extend(self.of_problems());
        all
    }

    fn of_rules(&self) -> Vec<Line> {
        let rules = &self.rules;
        let waiting = rules.pending_service_changes + rules.pending_endpoint_changes;
        let (tone, mut words) = match (rules.synced, waiting) {
            (true, _) => (Tone::Good, "synced".to_owned()),
            (false, 0) => (Tone::Note, "not synced".to_owned()),
            (false, waiting) => (Tone::Note, format!("{waiting} changes wait")),
        };
        if let Some(sync) = &rules.last_sync {
            let kind = if sync.full { ", compared everything" } else { "" };
            let (ago, took) = (duration(sync.seconds_ago), milliseconds(sync.took_microseconds));
            let _ = write!(words, "; last sync {ago} ago: {} objects written in {took}{kind}", sync.writes);
        }
        let counts = format!(
            "{} Services, {} endpoints, {} kernel objects",
            rules.services, rules.endpoints, rules.objects
        );
        let mut all = vec![("rules", tone, words), ("state", Tone::Strong, counts)];
        if rules.repaired_objects > 0 {
            let words = format!("{} objects that others had changed were repaired", rules.repaired_objects);
            all.push(("drift", Tone::Note, words));
        }
        if let (Some(at), Some(what)) = (&rules.last_repair_at, &rules.last_repair) {
            all.push(("last repair", Tone::Note, format!("{at}: {what}")));
        }
        let errors = rules.move_error.iter().map(|error| ("mode", error.clone()));
        let of_file = |error: &String| ("config", format!("not in force: {error}"));
        let errors = errors.chain(rules.config_error.iter().map(of_file));
        let errors = errors.chain(rules.leftovers.iter().map(|line| ("left", line.clone())));
        all.extend(errors.map(|(about, words)| (about, Tone::Note, words)));
        all
    }

    fn of_problems(&self) -> Vec<Line> {
        let (count, first) = (self.problems.count, &self.problems.first);
        if count == 0 {
            return vec![("problems", Tone::Good, "none".into())];
        }
        let mut all: Vec<Line> =
            first.iter().map(|problem| ("problem", Tone::Note, problem.clone())).collect();
        if count > first.len() {
            let more = format!("and {} more: /debug/rules lists them", count - first.len());
            all.push(("problem", Tone::Note, more));
        }
        all
    }
}

fn of_api(api: &ApiView) -> Line {
    let tone = if api.connected == api.kinds && api.kinds > 0 { Tone::Good } else { Tone::Note };
    let mut words = match (api.connected, api.kinds) {
        (0, _) => "away; what is programmed stays".to_owned(),
        (connected, kinds) if connected == kinds => "connected".to_owned(),
        (connected, kinds) => format!("{connected} of {kinds} watches are open"),
    };
    if let Some(ago) = api.last_event_seconds_ago {
        let _ = write!(words, "; last event {} ago", duration(ago));
    }
    if api.errors > 0 {
        let _ = write!(words, "; {} requests failed so far", api.errors);
    }
    if let Some(time) = &api.snapshot {
        let _ = write!(words, "; the objects are those of the snapshot of {time}");
    }
    ("API server", tone, words)
}

fn of_dns(dns: &DnsSummary) -> Vec<Line> {
    let tone = if dns.complete && !dns.stale && dns.troubles.is_empty() { Tone::Good } else { Tone::Note };
    let known = match (dns.complete, dns.stale) {
        (_, true) => "names are those of the last run",
        (false, _) => "not all names are known yet",
        (true, false) => "names are complete",
    };
    let mut words = format!("{known}; answers at {}", list(&dns.listening));
    if !dns.intercepted.is_empty() {
        let _ = write!(words, "; intercepts {}", list(&dns.intercepted));
    }
    let troubles = dns.troubles.iter().map(|trouble| ("DNS", Tone::Note, trouble.clone()));
    [("DNS", tone, words)].into_iter().chain(troubles).collect()
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "no address".to_owned() } else { items.join(", ") }
}

/// In the two largest units: `2d 3h`, `5m 0s`, `7s`.
fn duration(seconds: u64) -> String {
    let units =
        [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(units.len() - 1);
    let shown: Vec<String> =
        units[first..].iter().take(2).map(|(unit, count)| format!("{count}{unit}")).collect();
    shown.join(" ")
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{} ms", microseconds / 1000, microseconds / 100 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{LastSyncView, ProblemsView, RulesStatus};

    fn good() -> StatusView {
        let last_sync = LastSyncView {
            at: "2026-11-22T07:00:00Z".into(),
            seconds_ago: 75,
            took_microseconds: 3_456,
            writes: 12,
            services: 4,
            full: true,
        };
        StatusView {
            version: "1.2.3".into(),
            node: "n1".into(),
            place: "mode nftables".into(),
            why: "the settings ask for nftables".into(),
            started: "2026-11-20T07:00:00Z".into(),
            uptime_seconds: 2 * 86_400 + 3 * 3600 + 59,
            healthy: true,
            node_eligible: true,
            rules: RulesStatus {
                ready: true,
                synced: true,
                last_sync: Some(last_sync),
                services: 4,
                endpoints: 9,
                objects: 286,
                ..RulesStatus::default()
            },
            ..StatusView::default()
        }
    }

    #[test]
    fn one_screen() {
        let expected = "\
towpath 1.2.3 on n1: healthy
  mode        nftables (the settings ask for nftables)
  running     since 2026-11-20T07:00:00Z (2d 3h)
  rules       synced; last sync 1m 15s ago: 12 objects written in 3.4 ms, compared everything
  state       4 Services, 9 endpoints, 286 kernel objects
  objects     from manifests
  problems    none
";
        assert_eq!(good().text(Colours(false)), expected);
        assert!(
            good()
                .text(Colours(true))
                .starts_with("towpath 1.2.3 on \u{1b}[1mn1\u{1b}[0m: \u{1b}[32mhealthy\u{1b}[0m\n")
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let api =
            ApiView { kinds: 4, connected: 0, last_event_seconds_ago: Some(7), errors: 3, snapshot: None };
        let mut bad = StatusView { healthy: false, node_eligible: false, api: Some(api), ..good() };
        bad.reasons = vec!["the last sync failed: no room".into()];
        bad.rules.synced = false;
        bad.rules.pending_service_changes = 2;
        bad.rules.repaired_objects = 5;
        bad.rules.last_repair_at = Some("2026-11-22T07:00:00Z".into());
        bad.rules.last_repair = Some("nft had deleted 5 objects".into());
        bad.rules.config_error = Some("line 3".into());
        bad.problems = ProblemsView { count: 7, first: vec!["Service a/b: no".into()] };
        bad.dns = Some(DnsSummary { troubles: vec!["the link is gone".into()], ..DnsSummary::default() });
        let text = bad.text(Colours(false));
        for line in [
            "on n1: not healthy",
            "  why         the last sync failed: no room",
            "  rules       2 changes wait; last sync",
            "  drift       5 objects",
            "  last repair 2026-11-22T07:00:00Z: nft had deleted 5 objects",
            "  config      not in force: line 3",
            "  API server  away; what is programmed stays; last event 7s ago; 3 requests failed so far",
            "  DNS         not all names are known yet; answers at no address",
            "  DNS         the link is gone",
            "  node        load balancers should not",
            "  problem     Service a/b: no",
            "  problem     and 6 more",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
    }

    /// Whoever answers at the agent's address does not play with the terminal.
    #[test]
    fn words_of_others_are_only_words() {
        let mut bad = StatusView { node: "n\x1b[2J".into(), version: "1\r2".into(), ..good() };
        bad.problems = ProblemsView { count: 1, first: vec!["a\n  rules       synced\x1b]0;x\x07".into()] };
        bad.rules.last_repair_at = Some("now".into());
        bad.rules.last_repair = Some("\u{9b}31m".into());
        let text = bad.text(Colours(false));
        assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
        assert_eq!(text.matches("\n  rules ").count(), 1, "{text}");
        // Colours are ours alone.
        assert_eq!(
            bad.text(Colours(true)).matches('\x1b').count(),
            good().text(Colours(true)).matches('\x1b').count() + 2
        );
    }

    #[test]
    fn durations() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3_661, "1h 1m"), (90_000, "1d 1h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
