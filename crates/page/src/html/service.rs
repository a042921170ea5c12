//! `/debug/rules/NAMESPACE/NAME`: one Service on this node.

use maud::{Markup, html};

use super::front::problem;
use super::{Frame, count, drawing, follow, grouped, said};
use crate::{
    ChangeView, Difference, EndpointView, Link, LoadView, PortView, ServiceView, StandingView, WayView,
};

/// The page. `links` lead to other pages.
pub fn service(view: &ServiceView, links: &[Link], version: &str) -> String {
    let frame = Frame {
        title: format!("{}/{} - towpath", view.namespace, view.name),
        node: &view.node,
        links,
        version,
        here: "",
    };
    frame.around(&html! {
        p.crumbs { a href="/debug/rules" { "Services" } " / " a href={ "/debug/rules?q=" (view.namespace) "%2F" } { (view.namespace) } }
        h1 { (view.namespace) "/" (view.name) " " small { (view.kind) } }
        form.bar { (follow()) }
        (said())
        div id="service" data-live { (head(view)) (contents(view)) @for (at, port) in view.ports.iter().enumerate() { (port_section(at, view.mode, port)) } (more_ports(view)) (draining(view)) }
        (explain(view))
        (connections(view))
        (changes(view))
        (rules(view))
    })
}

fn head(view: &ServiceView) -> Markup {
    html! {
        @if let Some(why) = &view.not_served { ul.notes { li { "Not served by this proxy: " (why) } } }
        @if !view.problems.is_empty() {
            ul.notes aria-label="Problems" { @for one in &view.problems { li { (problem(one)) } } }
        }
        dl.settings {
            dt { "State" }
            dd {
                @if view.synced { span.good { "synced" } } @else { span.warn { "not synced" } }
                ", " (view.place) ", " (count(view.rules.objects, "kernel object"))
            }
            @for setting in &view.settings {
                dt { (setting.name) }
                dd { span.mono { (setting.value) } @if !setting.meaning.is_empty() { " " span.soft { (setting.meaning) } } }
            }
        }
    }
}

/// Where each port is, where there are many.
fn contents(view: &ServiceView) -> Markup {
    html! {
        @if view.ports.len() > 2 {
            nav.pages aria-label="Ports" {
                @for (at, port) in view.ports.iter().enumerate() {
                    a href={ "#port" (at) } { (port_name(port)) " " (port.protocol.to_uppercase()) ", " (port.family) }
                }
            }
        }
    }
}

fn port_name(port: &PortView) -> &str {
    if port.port.is_empty() { "Port without a name" } else { &port.port }
}

fn port_section(at: usize, mode: &str, port: &PortView) -> Markup {
    html! {
        section aria-labelledby={ "port" (at) } {
            h2 id={ "port" (at) } { (port_name(port)) " " span.soft { (port.protocol.to_uppercase()) ", " (port.family) } }
            (drawing::figure(at, mode, port))
            @if !port.lost.is_empty() { ul.notes { @for lost in &port.lost { li { "Not served at " (lost) } } } }
            (ways(port))
            (endpoints(at, port))
        }
    }
}

fn ways(port: &PortView) -> Markup {
    html! {
        dl.settings {
            (way("From the cluster", &port.internal))
            @if let Some(external) = &port.external { (way("From outside", external)) }
            @if let Some(here) = &port.from_here { (way("From this node to outside addresses", here)) }
        }
    }
}

fn way(name: &str, way: &WayView) -> Markup {
    html! {
        dt { (name) }
        dd { (outcome(way)) " " span.soft { "Policy " (way.policy) ". " (way.masquerade) } }
    }
}

fn outcome(way: &WayView) -> Markup {
    let total = way.shares.len() + way.more;
    let why = if way.elsewhere {
        "usable endpoints exist, but none on this node"
    } else {
        "no usable endpoint exists anywhere"
    };
    match way.verdict {
        "dnat" => html! { "One of " (count(total, "endpoint")) ", " (way.chosen) "." },
        "reject" => html! { span.bad { "Refused" } ": " (why) "." },
        _ => html! { span.bad { "Dropped" } ": " (why) "." },
    }
}

fn endpoints(at: usize, port: &PortView) -> Markup {
    html! {
        div.scroll {
            table.stack {
                caption { (count(port.endpoints.len() + port.more_endpoints, "endpoint")) }
                thead {
                    tr {
                        th scope="col" { "Endpoint" } th scope="col" { "State" } th scope="col" { "Where" } @if hinted(port) { th scope="col" { "Hints" } }
                        th scope="col" { "From the cluster" }
                        @if port.external.is_some() { th scope="col" { "From outside" } }
                        @if port.from_here.is_some() { th scope="col" { "From this node" } }
                    }
                }
                tbody {
                    @for endpoint in &port.endpoints { (endpoint_line(endpoint, hinted(port))) }
                    @if port.endpoints.is_empty() { tr { td colspan="7" { "No slice of the Service has an endpoint for this port." } } }
                }
            }
        }
        @if port.more_endpoints > 0 { p.soft { "and " (port.more_endpoints) " more: " a href={ "?endpoints=1000#port" (at) } { "up to 1,000" } } }
        @if !port.unfit.is_empty() { (unfit(at, port)) }
    }
}

fn hinted(port: &PortView) -> bool {
    port.endpoints.iter().any(|endpoint| !endpoint.hints.is_empty())
}

fn endpoint_line(endpoint: &EndpointView, hinted: bool) -> Markup {
    html! {
        tr.here[endpoint.local] {
            th.mono scope="row" { (endpoint.address) }
            td data-name="State" { (state(endpoint)) }
            td data-name="Where" { (place(endpoint)) }
            @if hinted { td data-name="Hints" { (endpoint.hints) } }
            td data-name="From the cluster" { (standing(&endpoint.internal)) }
            @if let Some(external) = &endpoint.external { td data-name="From outside" { (standing(external)) } }
            @if let Some(here) = &endpoint.from_here { td data-name="From this node" { (standing(here)) } }
        }
    }
}

fn state(endpoint: &EndpointView) -> Markup {
    match (endpoint.ready, endpoint.terminating, endpoint.serving) {
        (true, false, _) => html! { span.good { "ready" } },
        (true, true, _) => html! { span.warn { "ready, terminating" } },
        (false, true, true) => html! { span.warn { "terminating, serves" } },
        (false, true, false) => html! { span.bad { "terminating" } },
        (false, false, true) => html! { span.warn { "not ready, serves" } },
        (false, false, false) => html! { span.bad { "not ready" } },
    }
}

fn place(endpoint: &EndpointView) -> Markup {
    html! {
        @match (&endpoint.node, endpoint.local) {
            (_, true) => { "this node" },
            (Some(node), _) => { (node) },
            (None, _) => { span.soft { "not said" } },
        }
        @if let Some(zone) = &endpoint.zone { ", " (zone) }
    }
}

fn standing(standing: &StandingView) -> Markup {
    html! { @if standing.used { span.good { "used" } } @else { span.soft { "not used: " } (standing.reason) } }
}

fn unfit(at: usize, port: &PortView) -> Markup {
    html! {
        details id={ "unfit" (at) } {
            summary { (count(port.unfit.len(), "endpoint")) " of other slices" }
            ul { @for one in &port.unfit { li { span.mono { (one.address) } ": " (one.reason) } } }
        }
    }
}

fn more_ports(view: &ServiceView) -> Markup {
    html! { @if view.more_ports > 0 { p.soft { "and " (count(view.more_ports, "port")) " more: " code { "/debug/rules?format=json" } " has all" } } }
}

fn draining(view: &ServiceView) -> Markup {
    html! {
        @if !view.draining.is_empty() {
            h2 id="draining" { "Draining" }
            table.stack {
                thead {
                    tr { th scope="col" { "Endpoint" } th scope="col" { "Gone at" } th scope="col" { "Connections end at" } th scope="col" { "In" } }
                }
                tbody {
                    @for one in &view.draining {
                        tr {
                            th.mono scope="row" { (one.endpoint) " " span.soft { (one.protocol.to_uppercase()) } }
                            td data-name="Gone at" { (one.gone_at) }
                            td data-name="Connections end at" { (one.ends_at) }
                            td.number data-name="In" { (grouped(one.ends_in_seconds)) " s" }
                        }
                    }
                }
            }
            @if view.more_draining > 0 { p.soft { "and " (view.more_draining) " more" } }
        }
    }
}

fn explain(view: &ServiceView) -> Markup {
    let target = view.ports.first().and_then(|port| {
        let vip = port.frontends.iter().find(|at| at.kind != "nodePort")?;
        Some(format!("{}/{}", vip.address, port.protocol))
    });
    html! {
        h2.screen { "What happens to a connection?" }
        form.bar method="get" action="/debug/explain" {
            div { label for="from" { "From (an address)" } input type="text" id="from" name="from" required placeholder="10.244.1.7"; }
            div.wide { label for="to" { "To (address:port/protocol)" } input type="text" id="to" name="to" required value=[target]; }
            button type="submit" { "Explain" }
        }
    }
}

fn connections(view: &ServiceView) -> Markup {
    html! {
        h2 id="connections" { "Connections now" }
        div id="flows" data-live {
            @match &view.connections {
                None => { p { a href="?flows=1#connections" { "Count its connections" } } },
                Some(found) => {
                    @for note in &found.notes { p.soft { (note) } }
                    @if found.endpoints.is_empty() { p { "None." } } @else { (load(&found.endpoints)) }
                    p { a href={ "/debug/flows?service=" (view.namespace) "/" (view.name) } { "Each of them" } }
                },
            }
        }
    }
}

fn load(endpoints: &[LoadView]) -> Markup {
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Endpoint" } th scope="col" { "Connections" } th scope="col" { "In use" }
                    th scope="col" { "Not answered" } th scope="col" { "Ending" } th scope="col" { "Bytes" }
                }
            }
            tbody {
                @for one in endpoints {
                    tr {
                        th.mono scope="row" { (one.endpoint) }
                        td.number data-name="Connections" { (grouped(one.connections)) }
                        td.number data-name="In use" { (grouped(one.established)) }
                        td.number data-name="Not answered" { (grouped(one.opening)) }
                        td.number data-name="Ending" { (grouped(one.closing)) }
                        td.number data-name="Bytes" { @if let Some(bytes) = one.bytes { (grouped(bytes)) } @else { span.soft { "not counted" } } }
                    }
                }
            }
        }
    }
}

fn changes(view: &ServiceView) -> Markup {
    html! {
        h2 id="changes" { "Last changes" }
        div id="history" data-live {
            @if view.changes.is_empty() { p { "None is remembered." } }
            ul.notes.calm { @for change in &view.changes { li { (one_change(change)) } } }
            @if !view.changes.is_empty() {
                p { a href={ "/debug/audit?service=" (view.namespace) "/" (view.name) } { "More of them" } }
            }
        }
    }
}

fn one_change(change: &ChangeView) -> Markup {
    html! {
        span.mono { (change.at) } " " (change.because) ": " (count(change.writes, "kernel object"))
        @if change.others > 0 { " of this and " (count(change.others, "other Service")) }
        @if let Some(error) = &change.error { ": " span.bad { "refused" } ", " (error) }
        @for object in &change.objects { br; (object) }
        @if !change.lines.is_empty() { pre { (change.lines.join("\n")) } }
    }
}

fn rules(view: &ServiceView) -> Markup {
    html! {
        h2 id="rules" { "In the kernel" }
        div id="ruleset" data-live {
            @if view.rules.objects == 0 { p { "Nothing." } } @else {
                pre tabindex="0" role="region" aria-label="Rules of this Service" { (view.rules.text) }
            }
            @if view.rules.cut { p.soft { "The text is cut; " code { "/debug/rules?format=text" } " has all." } }
        }
        h2 id="difference" { "What the kernel really has" }
        div id="differs" {
            @match &view.difference {
                None => { p { a href="?diff=1#difference" { "Compare with the kernel" } } },
                Some(difference) => { (differs(difference)) },
            }
        }
    }
}

fn differs(difference: &Difference) -> Markup {
    html! {
        @if let Some(error) = &difference.error { ul.notes { li.bad { "Not known: " (error) } } }
        @else if difference.total == 0 { p { span.good { "The same." } " The kernel had these objects as they should be when this page was made." } }
        @else {
            p { span.bad { (count(difference.total, "object")) " differ." } " + is lacking, - is too much, ! is otherwise." }
            pre tabindex="0" role="region" aria-label="Difference" { (difference.lines.join("\n")) }
        }
    }
}
