//! The way of a packet to one port, drawn: frontends, source ranges, choices, endpoints.
//!
//! ```text
//! frontend --(source ranges)--> choice --share--> endpoint
//! ```
//!
//! Everything that the drawing says is also in the text and the tables beside it.

mod plan;

use maud::{Markup, html};

use crate::PortView;
use plan::{Box, Line, Plan};

/// Endpoints that are drawn; further ones are counted.
pub(super) const ENDPOINTS: usize = 20;
/// Frontends that are drawn.
const FRONTENDS: usize = 10;
/// Height of a box with two lines of text, in pixels as all lengths here.
const HEIGHT: f64 = 42.0;
/// Room above the first box, for the names of the stages.
const TOP: f64 = 26.0;

/// The drawing with its caption; nothing for a port without frontends.
pub(super) fn figure(at: usize, mode: &str, port: &PortView) -> Markup {
    if port.frontends.is_empty() {
        return html! {};
    }
    let plan = Plan::new(mode, port);
    let (title, text) = (format!("drawing{at}"), format!("drawn{at}"));
    let (width, height) = (format!("{:.0}", plan.width), format!("{:.0}", plan.height));
    html! {
        figure {
            div.scroll tabindex="0" role="region" aria-label="Drawing of the way of a packet" {
                svg role="img" aria-labelledby={ (title) " " (text) } width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
                    title id=(title) { "The way of a packet to this port" }
                    desc id=(text) { (plan.words) }
                    @for (x, name) in &plan.stages { text.pale x=(number(*x)) y="14" { (name) } }
                    @for line in &plan.lines { (draw_line(line)) }
                    @for one in &plan.boxes { (draw_box(one)) }
                }
            }
            figcaption { "A new connection goes from left to right. " (plan.legend) }
        }
    }
}

fn draw_line(line: &Line) -> Markup {
    let (x1, y1, x2, y2) = (line.from.0, line.from.1, line.to.0, line.to.1);
    let (x, bend) = (line.straight, (x2 - line.straight) / 2.0);
    let way =
        format!("M{x1:.1} {y1:.1}H{x:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}", x + bend, x2 - bend);
    let width = format!("{:.1}", line.width);
    html! {
        @if line.dashed { path d=(way) stroke-width=(width) stroke-dasharray="5 4" {} }
        @else { path d=(way) stroke-width=(width) {} }
    }
}

fn draw_box(one: &Box) -> Markup {
    let (x, width) = (number(one.x), number(one.width));
    let height = number(HEIGHT);
    html! {
        g class=(one.class) {
            @if !one.full.is_empty() { title { (one.full) } }
            rect class=(one.class) x=(x) y=(number(one.y)) width=(width) height=(height) rx="5" {}
            text x=(number(one.x + 10.0)) y=(number(one.y + 17.0)) { (one.first) }
            text.pale x=(number(one.x + 10.0)) y=(number(one.y + 33.0)) { (one.second) }
        }
    }
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}
