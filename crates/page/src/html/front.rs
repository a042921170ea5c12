//! `/debug/rules`: the state of the node, and its Services.

use maud::{Markup, html};

use super::framed::linked;
use super::{Frame, count, follow, grouped, said};
use crate::{Front, ListView, Overview, RowView, Sort, SyncView};

/// The page.
pub fn front(front: &Front) -> String {
    let Front { overview, list } = front;
    let frame = Frame {
        title: format!("{} - towpath", overview.node),
        node: &overview.node,
        links: &overview.links,
        version: overview.version,
        here: "/debug/rules",
    };
    frame.around(&html! {
        h1 { "Service proxy of " span.mono { (overview.node) } }
        div id="state" data-live { (state(overview)) }
        h2 id="services" { "Services" }
        (search(list))
        (said())
        div id="list" data-live { (table(list)) }
    })
}

fn state(overview: &Overview) -> Markup {
    html! {
        dl.facts {
            (fact("State", synced(overview.synced)))
            (fact("Rules", html! { (overview.place) small { (count_of(overview.objects, "kernel object")) } }))
            (fact("Services", html! { (grouped(overview.services as u64)) }))
            (fact("Last sync", last_sync(overview.last_sync.as_ref())))
            (fact("Written since the start", html! { (count_of(overview.writes, "object")) }))
            (fact("Changed by others", repaired(overview)))
            (fact("Problems", problems_fact(overview.problems.total)))
        }
        @if !overview.troubles.is_empty() {
            ul.notes aria-label="Troubles" { @for trouble in &overview.troubles { li.bad { (trouble) } } }
        }
        @if overview.problems.total > 0 { (problems(overview)) }
    }
}

fn fact(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn count_of(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

fn synced(synced: bool) -> Markup {
    if synced {
        html! { span.good { "synced" } small { "the kernel has all that is known" } }
    } else {
        html! { span.warn { "not synced" } small { "something waits to be programmed" } }
    }
}

fn last_sync(sync: Option<&SyncView>) -> Markup {
    let Some(sync) = sync else { return html! { "none yet" } };
    html! {
        span title=(sync.at) { (ago(sync.seconds_ago)) }
        small {
            (count(sync.writes, "object")) " in " (format!("{:.1} ms", sync.took_ms))
            @if sync.full { ", all compared" } @else { ", " (count(sync.services, "Service")) }
        }
    }
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..=1 => "just now".into(),
        2..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn repaired(overview: &Overview) -> Markup {
    html! {
        @if overview.repaired == 0 { "nothing" } @else { span.warn { (count_of(overview.repaired, "object")) " repaired" } }
        @if let Some(last) = &overview.last_repair { small { (last) } }
    }
}

fn problems_fact(total: usize) -> Markup {
    html! { @if total == 0 { span.good { "none" } } @else { a.warn href="#problems" { (grouped(total as u64)) } } }
}

fn problems(overview: &Overview) -> Markup {
    let more = overview.problems.total.saturating_sub(overview.problems.shown.len());
    html! {
        details id="problems" open[overview.problems.total <= 5] {
            summary { (count(overview.problems.total, "Problem")) }
            ul.notes { @for one in &overview.problems.shown { li { (problem(one)) } } }
            @if more > 0 { p.soft { "and " (grouped(more as u64)) " more: towpath status, or format=text" } }
        }
    }
}

/// With a link to the Service that it is about.
pub(super) fn problem(problem: &str) -> Markup {
    linked(problem, |namespace, name| problem.contains(&format!("Service {namespace}/{name}:")))
}

fn search(list: &ListView) -> Markup {
    html! {
        form.bar id="search" role="search" method="get" action="/debug/rules" {
            div.wide {
                label for="q" { "Search by name, namespace, type, address, port or an endpoint's address" }
                input type="search" id="q" name="q" value=(list.query) maxlength=(crate::list::MAX_QUERY) autocomplete="off"
                    spellcheck="false" placeholder="shop/web, 10.96.0.1, :443/tcp, loadbalancer";
            }
            div {
                label for="sort" { "Order" }
                select id="sort" name="sort" {
                    @for (word, _) in Sort::ALL {
                        option value=(word) selected[word == list.sort] { (title(word)) }
                    }
                }
            }
            button type="submit" { "Search" }
            (follow())
        }
    }
}

fn title(word: &str) -> &'static str {
    match word {
        "type" => "Type",
        "endpoints" => "Fewest endpoints",
        "problems" => "Most Problems",
        _ => "Name",
    }
}

fn table(list: &ListView) -> Markup {
    let of =
        if list.query.is_empty() { String::new() } else { format!(" of {}", grouped(list.total as u64)) };
    html! {
        table.stack {
            caption {
                span id="found" { (count(list.matched, "Service")) (of) }
                @if list.pages > 1 { ", part " (list.page) " of " (list.pages) }
            }
            thead {
                tr {
                    th scope="col" { "Service" } th scope="col" { "Type" } th scope="col" { "Addresses" }
                    th scope="col" { "Endpoints used" } th scope="col" { "Policy" } th scope="col" { "Problems" }
                }
            }
            tbody {
                @for row in &list.rows { (line(row)) }
                @if list.rows.is_empty() { tr { td colspan="6" { "No Service matches." } } }
            }
        }
        @if list.pages > 1 { (pages(list)) }
    }
}

fn line(row: &RowView) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href={ "/debug/rules/" (row.namespace) "/" (row.name) } { (row.namespace) "/" (row.name) }
            }
            td data-name="Type" { (row.kind) }
            td.mono data-name="Addresses" {
                @if row.frontends.is_empty() { span.soft { "none" } } @else {
                    ul { @for at in &row.frontends { li { (at) } } @if row.more_frontends > 0 { li.soft { "and " (row.more_frontends) " more" } } }
                }
            }
            td.number data-name="Endpoints used" { (endpoints(row)) }
            td data-name="Policy" { (policies(row)) }
            td data-name="Problems" { @if row.problems > 0 { span.tag.warn { (row.problems) } } }
        }
    }
}

fn endpoints(row: &RowView) -> Markup {
    let of = html! { (row.usable) " of " (row.known) };
    match (row.proxied, row.usable) {
        (false, _) => html! { span.soft { (row.known) ", not proxied" } },
        (true, 0) => html! { span.bad { (of) } },
        (true, _) if row.usable < row.known => html! { span.warn { (of) } },
        _ => of,
    }
}

fn policies(row: &RowView) -> String {
    match row.external_policy {
        _ if !row.proxied => String::new(),
        Some(external) if external != row.internal_policy => {
            format!("{} inside, {external} outside", row.internal_policy)
        }
        _ => row.internal_policy.to_owned(),
    }
}

fn pages(list: &ListView) -> Markup {
    let link = |page: usize, text: &str| html! { a href=(address(list, page)) { (text) } };
    html! {
        nav.pages aria-label="Parts of the list" {
            @if list.page > 1 { (link(1, "First")) (link(list.page - 1, "Previous")) }
            span.soft { "Part " (list.page) " of " (list.pages) }
            @if list.page < list.pages { (link(list.page + 1, "Next")) (link(list.pages, "Last")) }
        }
    }
}

fn address(list: &ListView, page: usize) -> String {
    let query: String = list.query.bytes().map(encoded).collect();
    format!("/debug/rules?q={query}&sort={}&page={page}", list.sort)
}

/// As the value of a query has it.
pub(super) fn encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}
