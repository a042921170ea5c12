//! Connections as text: columns for people, and for `awk`.

use std::fmt::Write;

use crate::view::{FlowView, FlowsView, TotalsView};

const TOTALS: [&str; 10] = [
    "SERVICE",
    "ENDPOINT",
    "STATE",
    "CONNECTIONS",
    "OPENING",
    "ESTABLISHED",
    "CLOSING",
    "MASQUERADED",
    "BYTES-IN",
    "BYTES-OUT",
];
const FLOWS: [&str; 11] = [
    "PROTOCOL",
    "CLIENT",
    "FRONTEND",
    "KIND",
    "SERVICE",
    "ENDPOINT",
    "SEEN-AS",
    "STATE",
    "BYTES-IN",
    "BYTES-OUT",
    "AGE",
];

impl FlowsView {
    /// As text. What is no row begins with `#`.
    pub fn text(&self) -> String {
        let (all, services) = (self.totals.connections, self.services.len());
        let mut out = format!("# towpath on {}, mode {}: ", self.node, self.mode);
        let _ = writeln!(
            out,
            "{} of {}; read in {} ms, {} ms ago",
            count(all, "connection"),
            count(services as u64, "Service"),
            self.took_ms,
            self.age_ms
        );
        self.notes.iter().for_each(|note| out += &format!("# {note}\n"));
        if self.services.is_empty() {
            return out;
        }
        out += "# by Service and endpoint\n";
        out += &columns(TOTALS, self.services.iter().flat_map(rows));
        let _ = writeln!(out, "# connections, {} of {all}", self.flows.len());
        out + &columns(FLOWS, self.flows.iter().map(flow_row))
    }
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn rows(service: &crate::ServiceView) -> Vec<[String; 10]> {
    let first = row(&service.service, "", "", &service.totals);
    let endpoints = service.endpoints.iter().map(|e| row("", &e.endpoint, &e.state, &e.totals));
    std::iter::once(first).chain(endpoints).collect()
}

fn row(service: &str, endpoint: &str, state: &str, totals: &TotalsView) -> [String; 10] {
    let TotalsView { connections, opening, established, closing, masqueraded, bytes_in, bytes_out } = *totals;
    let numbers = [connections, opening, established, closing, masqueraded].map(|number| number.to_string());
    let [connections, opening, established, closing, masqueraded] = numbers;
    let names = [service, endpoint, state].map(ToOwned::to_owned);
    let [service, endpoint, state] = names;
    let (bytes_in, bytes_out) = (bytes(bytes_in), bytes(bytes_out));
    [service, endpoint, state, connections, opening, established, closing, masqueraded, bytes_in, bytes_out]
}

fn flow_row(flow: &FlowView) -> [String; 11] {
    let port = if flow.port.is_empty() { String::new() } else { format!(":{}", flow.port) };
    [
        flow.protocol.clone(),
        flow.client.clone(),
        flow.frontend.clone(),
        flow.kind.clone(),
        format!("{}{port}", flow.service),
        flow.endpoint.clone(),
        flow.masqueraded.clone().unwrap_or_default(),
        flow.state.clone(),
        bytes(flow.bytes_in),
        bytes(flow.bytes_out),
        flow.age_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s")),
    ]
}

fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string())
}

/// Left-aligned, two spaces between columns, nothing at the ends of lines.
pub(crate) fn columns<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(ToOwned::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
