//! The same for a terminal.

use std::fmt::Write;

use crate::{EndpointView, Front, PortView, ServiceView, StandingView, WayView};

/// The list of Services, below the state of the node.
pub fn front(front: &Front) -> String {
    let Front { overview, list } = front;
    let state = if overview.synced { "synced" } else { "not synced" };
    let mut out =
        format!("# towpath {} on {}, {}, {state}\n", overview.version, overview.node, overview.place);
    let _ = writeln!(out, "# {} Services, {} kernel objects", overview.services, overview.objects);
    if let Some(sync) = &overview.last_sync {
        let _ = writeln!(out, "# last sync {}: {} objects in {:.1} ms", sync.at, sync.writes, sync.took_ms);
    }
    for trouble in &overview.troubles {
        let _ = writeln!(out, "# {}", line(trouble));
    }
    for problem in &overview.problems.shown {
        let _ = writeln!(out, "# problem: {}", line(problem));
    }
    let _ =
        writeln!(out, "# {} of {} Services, part {} of {}", list.matched, list.total, list.page, list.pages);
    let longest = list.rows.iter().map(|row| row.namespace.len() + 1 + row.name.len()).max();
    let width = longest.unwrap_or(0).max(20);
    for row in &list.rows {
        let name = format!("{}/{}", row.namespace, row.name);
        let more = if row.more_frontends > 0 { format!(" +{}", row.more_frontends) } else { String::new() };
        let endpoints = format!("{}/{}", row.usable, row.known);
        let at = row.frontends.join(" ");
        let _ = writeln!(out, "{name:<width$} {:<12} {endpoints:>9}  {at}{more}", row.kind);
    }
    out
}

/// One Service.
pub fn service(view: &ServiceView) -> String {
    let state = if view.synced { "synced" } else { "not synced" };
    let mut out = format!(
        "{}/{}  {}, on {}, {}, {state}\n",
        view.namespace, view.name, view.kind, view.node, view.place
    );
    if let Some(why) = &view.not_served {
        let _ = writeln!(out, "not served by this proxy: {}", line(why));
    }
    for problem in &view.problems {
        let _ = writeln!(out, "problem: {}", line(problem));
    }
    for setting in &view.settings {
        let _ = writeln!(out, "{}: {}  {}", setting.name, line(&setting.value), line(&setting.meaning));
    }
    view.ports.iter().for_each(|one| port(&mut out, one));
    if view.more_ports > 0 {
        let _ = writeln!(out, "\nand {} more ports", view.more_ports);
    }
    draining(&mut out, view);
    changes(&mut out, view);
    let _ = writeln!(out, "\nin the kernel: {} objects\n{}", view.rules.objects, view.rules.text);
    if let Some(difference) = &view.difference {
        match &difference.error {
            Some(error) => out += &format!("difference to the kernel: not known: {error}\n"),
            None => out += &format!("difference to the kernel: {} objects\n", difference.total),
        }
        for line in &difference.lines {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn draining(out: &mut String, view: &ServiceView) {
    for one in &view.draining {
        let _ = writeln!(
            out,
            "\ndraining: {} {}, gone at {}; its connections end at {}, in {} s",
            one.endpoint, one.protocol, one.gone_at, one.ends_at, one.ends_in_seconds
        );
    }
    if view.more_draining > 0 {
        let _ = writeln!(out, "\nand {} more endpoints drain", view.more_draining);
    }
}

fn changes(out: &mut String, view: &ServiceView) {
    for change in &view.changes {
        let error =
            change.error.as_ref().map(|error| format!(", refused: {}", line(error))).unwrap_or_default();
        let others = match change.others {
            0 => String::new(),
            1 => " of this and another Service".into(),
            others => format!(" of this and {others} other Services"),
        };
        let (at, because, writes) = (&change.at, &change.because, change.writes);
        let _ = writeln!(out, "\n{at} {because}: {writes} kernel objects{others}{error}");
        for text in change.objects.iter().chain(&change.lines) {
            let _ = writeln!(out, "  {}", line(text));
        }
    }
    for one in view.connections.iter().flat_map(|found| &found.endpoints) {
        let _ = writeln!(
            out,
            "{}: {} connections, {} in use, {} not answered, {} ending",
            one.endpoint, one.connections, one.established, one.opening, one.closing
        );
    }
}

/// Control characters of others' words cannot play with the terminal, nor make lines of their own.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn port(out: &mut String, port: &PortView) {
    let name = if port.port.is_empty() { "port" } else { &port.port };
    let _ = writeln!(out, "\n{name} {} {}", port.protocol, port.family);
    for at in &port.frontends {
        let only = at.allowed_sources.as_ref().map(|nets| format!("  only from {}", nets.join(", ")));
        let _ = writeln!(out, "  {:<12} {}{}", at.kind, at.address, only.unwrap_or_default());
    }
    for lost in &port.lost {
        let _ = writeln!(out, "  not served at {lost}");
    }
    way(out, "from the cluster", &port.internal);
    port.external.iter().for_each(|external| way(out, "from outside", external));
    port.from_here.iter().for_each(|here| way(out, "from this node to outside addresses", here));
    port.endpoints.iter().for_each(|one| endpoint(out, one));
    if port.more_endpoints > 0 {
        let _ = writeln!(out, "  and {} more endpoints", port.more_endpoints);
    }
    for one in &port.unfit {
        let _ = writeln!(out, "  {}: {}", one.address, line(&one.reason));
    }
}

fn way(out: &mut String, name: &str, way: &WayView) {
    let outcome = match way.verdict {
        "dnat" => format!("one of {}, {}", way.shares.len() + way.more, way.chosen),
        "reject" => format!(
            "refused, {}",
            if way.elsewhere { "no usable endpoint on this node" } else { "no usable endpoint exists" }
        ),
        _ => "dropped, no usable endpoint on this node".into(),
    };
    let _ = writeln!(out, "  {name}: {outcome}; policy {}; {}", way.policy, way.masquerade);
}

fn endpoint(out: &mut String, endpoint: &EndpointView) {
    let place = match (&endpoint.node, endpoint.local) {
        (_, true) => "this node".to_owned(),
        (Some(node), _) => line(node),
        (None, _) => "-".to_owned(),
    };
    let ways = [
        ("cluster", Some(&endpoint.internal)),
        ("outside", endpoint.external.as_ref()),
        ("node", endpoint.from_here.as_ref()),
    ];
    let ways: Vec<String> =
        ways.into_iter().filter_map(|(name, of)| Some(format!("{name}: {}", standing(of?)))).collect();
    let state = state(endpoint);
    let _ = writeln!(out, "  {:<24} {state:<20} {place:<16} {}", endpoint.address, ways.join("; "));
}

fn state(endpoint: &EndpointView) -> &'static str {
    match (endpoint.ready, endpoint.terminating, endpoint.serving) {
        (true, _, _) => "ready",
        (false, true, true) => "terminating, serves",
        (false, true, false) => "terminating",
        (false, false, true) => "not ready, serves",
        (false, false, false) => "not ready",
    }
}

fn standing(standing: &StandingView) -> String {
    if standing.used { "used".into() } else { format!("not used, {}", line(&standing.reason)) }
}
