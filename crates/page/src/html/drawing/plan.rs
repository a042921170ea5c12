//! Where everything stands.

use std::collections::BTreeMap;

use super::{ENDPOINTS, FRONTENDS, HEIGHT, TOP};
use crate::{FrontendView, PortView, WayView};

/// Between two boxes of a column.
const GAP: f64 = 10.0;
/// Between two columns.
const AISLE: f64 = 64.0;
/// Width of a character: 13 px of a fixed-width face.
const CHARACTER: f64 = 7.9;
/// Characters of a line at most; longer ones lose their middle.
const CHARACTERS: usize = 42;

/// A box.
#[derive(Debug, Default)]
pub(super) struct Box {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) first: String,
    pub(super) second: String,
    /// Its whole text, where a line of it is shortened.
    pub(super) full: String,
    pub(super) class: &'static str,
}

/// A line between two boxes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) from: (f64, f64),
    /// As far as that it is straight.
    pub(super) straight: f64,
    pub(super) to: (f64, f64),
    pub(super) width: f64,
    pub(super) dashed: bool,
}

/// The whole drawing.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) stages: Vec<(f64, &'static str)>,
    pub(super) boxes: Vec<Box>,
    pub(super) lines: Vec<Line>,
    pub(super) words: String,
    pub(super) legend: &'static str,
}

/// What a frontend, or what leads to it, becomes.
struct Way<'a> {
    name: &'static str,
    view: &'a WayView,
    internal: bool,
    dashed: bool,
}

impl Plan {
    pub(super) fn new(mode: &str, port: &PortView) -> Self {
        let mut plan = Self { legend: "A dashed line is for what comes from this node.", ..Self::default() };
        if port.from_here.is_none() {
            plan.legend = "";
        }
        let ways = ways(port);
        let names = stages(mode);
        let frontends = plan.column(0.0, names[0], frontend_boxes(port));
        let limited = port.frontends.iter().take(FRONTENDS).any(|f| f.allowed_sources.is_some());
        let gates = limited.then(|| plan.column(plan.next(), names[1], gate_boxes(port)));
        plan.align(port, &frontends, gates.as_deref().unwrap_or_default());
        let choices = plan.column(plan.next(), names[2], ways.iter().map(choice_box).collect());
        let (order, ends) = end_boxes(&ways, port);
        let ends = plan.column(plan.next(), names[3], ends);
        plan.join_frontends(port, &ways, &frontends, gates.as_deref(), &choices);
        plan.join_ends(&ways, &choices, &order, &ends);
        plan.words = words(port, &ways);
        plan
    }

    /// Where the next column begins.
    fn next(&self) -> f64 {
        self.width + AISLE - 2.0
    }

    /// Puts boxes below each other; their numbers.
    fn column(&mut self, x: f64, name: &'static str, boxes: Vec<Box>) -> Vec<usize> {
        let longest = boxes.iter().flat_map(|b| [b.first.chars().count(), b.second.chars().count()]).max();
        let width = (longest.unwrap_or(0).max(name.len()) as f64 * CHARACTER + 22.0).max(120.0);
        self.stages.push((x + 1.0, name));
        let start = self.boxes.len();
        for (row, mut one) in boxes.into_iter().enumerate() {
            (one.x, one.y, one.width) = (x + 1.0, TOP + row as f64 * (HEIGHT + GAP), width);
            self.height = self.height.max(one.y + HEIGHT + 2.0);
            self.boxes.push(one);
        }
        self.width = x + width + 2.0;
        (start..self.boxes.len()).collect()
    }

    /// Puts each gate in the row of its frontend, so that no line of another passes behind it.
    fn align(&mut self, port: &PortView, frontends: &[usize], gates: &[usize]) {
        let limited = port.frontends.iter().zip(frontends).filter(|(f, _)| f.allowed_sources.is_some());
        for ((_, frontend), gate) in limited.zip(gates) {
            self.boxes[*gate].y = self.boxes[*frontend].y;
        }
    }

    /// A line between two boxes; it is straight below `beyond`, a box that it passes.
    fn join(&mut self, from: usize, to: usize, width: f64, dashed: bool, beyond: Option<usize>) {
        let (left, right) = (&self.boxes[from], &self.boxes[to]);
        let passed = beyond.map(|at| &self.boxes[at]).unwrap_or(left);
        let line = Line {
            straight: passed.x + passed.width,
            from: (left.x + left.width, left.y + HEIGHT / 2.0),
            to: (right.x, right.y + HEIGHT / 2.0),
            width,
            dashed,
        };
        self.lines.push(line);
    }

    fn join_frontends(
        &mut self,
        port: &PortView,
        ways: &[Way<'_>],
        frontends: &[usize],
        gates: Option<&[usize]>,
        choices: &[usize],
    ) {
        let mut gate = gates.unwrap_or_default().iter();
        for (frontend, at) in port.frontends.iter().zip(frontends) {
            let (mut from, mut beyond) = (*at, gates.and_then(<[usize]>::first).copied());
            if let Some(gate) = frontend.allowed_sources.as_ref().and_then(|_| gate.next()) {
                self.join(from, *gate, 2.0, false, None);
                (from, beyond) = (*gate, None);
            }
            let internal = is_internal(frontend);
            for (way, choice) in ways.iter().zip(choices).filter(|(way, _)| way.internal == internal) {
                self.join(from, *choice, 2.0, way.dashed, beyond);
            }
        }
    }

    fn join_ends(
        &mut self,
        ways: &[Way<'_>],
        choices: &[usize],
        order: &BTreeMap<String, usize>,
        ends: &[usize],
    ) {
        for (way, choice) in ways.iter().zip(choices) {
            for target in targets(way.view) {
                // What is not drawn by itself is in the last box.
                let Some(end) = order.get(&target.0).and_then(|at| ends.get(*at)).or(ends.last()) else {
                    continue;
                };
                let width = (target.1 * 6.0).clamp(1.0, 6.0);
                if !self.lines.iter().any(|line| same(line, &self.boxes[*choice], &self.boxes[*end])) {
                    self.join(*choice, *end, width, way.dashed, None);
                }
            }
        }
    }
}

fn same(line: &Line, from: &Box, to: &Box) -> bool {
    line.from == (from.x + from.width, from.y + HEIGHT / 2.0) && line.to == (to.x, to.y + HEIGHT / 2.0)
}

/// What a packet meets, in the words of each mode.
fn stages(mode: &str) -> [&'static str; 4] {
    match mode {
        "iptables" => {
            ["Found in the trees", "Chain FW", "Chain SVC, or EXT, then SVC, SVE or SVN", "DNAT to"]
        }
        "ipvs" => ["Virtual servers", "Tables towpath-ipvs", "IPVS scheduler", "Real servers"],
        _ => ["Found in the maps", "Chain firewall", "Chain pick", "dnat to"],
    }
}

fn is_internal(frontend: &FrontendView) -> bool {
    frontend.kind == "clusterIP"
}

fn ways(port: &PortView) -> Vec<Way<'_>> {
    let way = |name, view, internal, dashed| Way { name, view, internal, dashed };
    let internal = port.frontends.iter().any(is_internal);
    let external = port.frontends.iter().any(|f| !is_internal(f));
    let mut ways = Vec::new();
    ways.extend(internal.then(|| way("From the cluster", &port.internal, true, false)));
    ways.extend(
        port.external.iter().filter(|_| external).map(|view| way("From outside", view, false, false)),
    );
    ways.extend(
        port.from_here.iter().filter(|_| external).map(|view| way("From this node", view, false, true)),
    );
    ways
}

fn labelled(first: &str, second: String, class: &'static str) -> Box {
    let cut = [first, &second].iter().any(|text| text.chars().count() > CHARACTERS);
    let full = if cut { format!("{first}: {second}") } else { String::new() };
    Box { first: short(first), second: short(&second), full, class, ..Box::default() }
}

/// Without its middle, if it is long.
fn short(text: &str) -> String {
    let length = text.chars().count();
    if length <= CHARACTERS {
        return text.to_owned();
    }
    let half = (CHARACTERS - 1) / 2;
    let (start, end) = (text.chars().take(half), text.chars().skip(length - half));
    start.chain(['…']).chain(end).collect()
}

fn frontend_boxes(port: &PortView) -> Vec<Box> {
    let shown = port.frontends.iter().take(FRONTENDS);
    let mut boxes: Vec<Box> = shown
        .map(|f| {
            let address =
                if f.kind == "nodePort" { format!("port {}", f.address) } else { f.address.clone() };
            labelled(&address, kind(f.kind).to_owned(), "front")
        })
        .collect();
    boxes.extend(more(port.frontends.len().saturating_sub(FRONTENDS), "frontends"));
    boxes
}

fn more(count: usize, what: &str) -> Option<Box> {
    (count > 0).then(|| labelled(&format!("and {count} more"), what.to_owned(), "more"))
}

fn kind(kind: &str) -> &'static str {
    match kind {
        "clusterIP" => "ClusterIP",
        "externalIP" => "external IP",
        "loadBalancer" => "load balancer",
        _ => "NodePort of this node",
    }
}

fn gate_boxes(port: &PortView) -> Vec<Box> {
    let lists = port.frontends.iter().take(FRONTENDS).filter_map(|f| f.allowed_sources.as_ref());
    lists
        .map(|nets| {
            let first = nets.first().map_or("nobody", String::as_str);
            let rest = nets.len().saturating_sub(1);
            let second =
                if rest > 0 { format!("and {rest} more; others dropped") } else { "others dropped".into() };
            labelled(&format!("only {first}"), second, "gate")
        })
        .collect()
}

fn choice_box(way: &Way<'_>) -> Box {
    let masquerade = match way.view.masquerades {
        true if way.view.masquerade.starts_with("All") => ", masqueraded",
        true => ", some masqueraded",
        false => "",
    };
    let outcome = match way.view.verdict {
        "dnat" => format!("{}{masquerade}", way.view.chosen.replace(", then kept", ", kept")),
        "reject" if way.view.elsewhere => "refused: none on this node".into(),
        "reject" => "refused: no endpoint".into(),
        _ => "dropped: none on this node".into(),
    };
    let class = if way.view.verdict == "dnat" { "choice" } else { "choice end" };
    labelled(&format!("{} ({})", way.name, way.view.policy), outcome, class)
}

/// Endpoints of a way, with their part (of those whose part is not known, one of as many as there are).
fn targets(view: &WayView) -> impl Iterator<Item = (String, f64)> + '_ {
    let even = 1.0 / (view.shares.len() + view.more).max(1) as f64;
    view.shares.iter().map(move |share| (share.endpoint.clone(), share.part.unwrap_or(even)))
}

/// The boxes of endpoints, and which one is whose.
fn end_boxes(ways: &[Way<'_>], port: &PortView) -> (BTreeMap<String, usize>, Vec<Box>) {
    let mut order = BTreeMap::new();
    let mut boxes = Vec::new();
    let (mut drawn, mut left) = (std::collections::BTreeSet::new(), 0);
    for (endpoint, _) in ways.iter().flat_map(|way| targets(way.view)) {
        if !drawn.insert(endpoint.clone()) {
            continue;
        }
        if boxes.len() == ENDPOINTS {
            left += 1;
            continue;
        }
        order.insert(endpoint.clone(), boxes.len());
        boxes.push(end_box(&endpoint, ways, port));
    }
    left += ways.iter().map(|way| way.view.more).max().unwrap_or(0);
    boxes.extend(more(left, "endpoints"));
    (order, boxes)
}

fn end_box(endpoint: &str, ways: &[Way<'_>], port: &PortView) -> Box {
    let known = port.endpoints.iter().find(|e| e.address == endpoint);
    let local = known.is_some_and(|e| e.local);
    let of = |way: &Way<'_>| way.view.shares.iter().find(|s| s.endpoint == endpoint).and_then(|s| s.part);
    let mut parts: Vec<String> = Vec::new();
    for part in ways.iter().filter_map(of).map(percent) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let mut text = parts.join(" or ");
    let place = if local { Some("this node") } else { known.and_then(|e| e.node.as_deref()) };
    if let Some(place) = place {
        text += if text.is_empty() { "" } else { ", " };
        text += place;
    }
    labelled(endpoint, text, if local { "mine" } else { "" })
}

pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if (percent - percent.round()).abs() < 0.05 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// The drawing in words, for those who do not see it.
fn words(port: &PortView, ways: &[Way<'_>]) -> String {
    let list: Vec<&str> = port.frontends.iter().take(FRONTENDS).map(|f| f.address.as_str()).collect();
    let mut text = format!("Frontends: {}.", list.join(", "));
    for way in ways {
        let ends: Vec<String> =
            targets(way.view).take(ENDPOINTS).map(|(end, part)| format!("{end} {}", percent(part))).collect();
        let ends = if ends.is_empty() { way.view.verdict.to_owned() } else { ends.join(", ") };
        text += &format!(" {}: {ends}.", way.name);
    }
    text
}
