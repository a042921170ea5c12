//! The query log, and the log of failures: off unless the Corefile says `log` or `errors`, and bounded then.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dns_config::Log;
use dns_wire::{NameRef, Query, rcode, rtype};

use crate::origin::{Origin, Transport};

/// Lines a second; further queries of that second are counted only.
pub(crate) const LINES: u64 = 100;

/// Counts lines and what was left out.
#[derive(Debug, Default)]
pub(crate) struct QueryLog {
    /// The second, since the start, in the upper half; its lines in the lower half.
    second: AtomicU64,
    left_out: AtomicU64,
}

/// A query and its reply.
pub(crate) struct Line<'a> {
    pub(crate) query: &'a Query<'a>,
    pub(crate) origin: Origin,
    pub(crate) asked_octets: usize,
    pub(crate) reply: &'a [u8],
    pub(crate) took: Duration,
}

impl QueryLog {
    /// Writes a line, if one of `logs` wants it and the second has room.
    pub(crate) fn write(&self, logs: &[Log], line: &Line<'_>, start: Instant, now: Instant) {
        if !logs.iter().any(|log| wants(log, line.query.name, line.reply)) {
            return;
        }
        if !self.take(now.saturating_duration_since(start).as_secs()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        tracing::info!(target: "towpath::dns::query", left_out, "{}", text(line));
    }

    /// Writes why a query failed, if the second has room.
    pub(crate) fn error(&self, query: &Query<'_>, why: &str, start: Instant, now: Instant) {
        if !self.take(now.saturating_duration_since(start).as_secs()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let kind = rtype::name(query.qtype).unwrap_or("other");
        tracing::warn!(target: "towpath::dns::errors", left_out, "SERVFAIL for {} {kind}: {why}", query.name);
    }

    fn take(&self, second: u64) -> bool {
        let now = second << 32;
        let before = self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            let fresh = state >> 32 != second;
            if fresh { Some(now + 1) } else { (state & 0xffff_ffff < LINES).then_some(state + 1) }
        });
        before.is_ok()
    }
}

fn wants(log: &Log, name: NameRef<'_>, reply: &[u8]) -> bool {
    let classes = log.classes;
    let is_wanted = match (code(reply), answers(reply)) {
        (rcode::NOERROR, 1..) => classes.success,
        (rcode::NOERROR | rcode::NXDOMAIN, _) => classes.denial,
        _ => classes.error,
    };
    is_wanted && log.names.iter().any(|zone| name.ends_with(zone.as_ref()))
}

fn code(reply: &[u8]) -> u16 {
    reply.get(3).map_or(rcode::SERVFAIL, |octet| u16::from(octet & 15))
}

fn answers(reply: &[u8]) -> u16 {
    reply.get(6..8).and_then(|count| count.first_chunk()).map_or(0, |count| u16::from_be_bytes(*count))
}

/// As CoreDNS's format `{common}`.
fn text(line: &Line<'_>) -> String {
    let Line { query, origin: Origin { from, transport }, asked_octets, reply, took } = line;
    let kind = rtype::name(query.qtype).map_or_else(|| format!("TYPE{}", query.qtype), str::to_owned);
    let protocol = if *transport == Transport::Tcp { "tcp" } else { "udp" };
    let class = if query.qclass == 1 { "IN".to_owned() } else { format!("CLASS{}", query.qclass) };
    let rcode = rcode::name(code(reply)).unwrap_or("other");
    let size = query.edns.map_or(512, |edns| edns.payload);
    format!(
        "{} - {} \"{kind} {class} {} {protocol} {asked_octets} {} {size}\" {rcode} {} {} {:.6}s",
        shown(*from),
        query.id,
        query.name,
        query.dnssec_ok(),
        flags(reply),
        reply.len(),
        took.as_secs_f64(),
    )
}

fn shown(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

fn flags(reply: &[u8]) -> String {
    let word =
        reply.get(2..4).and_then(|octets| octets.first_chunk()).map_or(0, |word| u16::from_be_bytes(*word));
    let names = [
        (0x8000, "qr"),
        (0x0400, "aa"),
        (0x0200, "tc"),
        (0x0100, "rd"),
        (0x0080, "ra"),
        (0x0020, "ad"),
        (0x0010, "cd"),
    ];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| word & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many_lines() {
        let log = QueryLog::default();
        let lines = |second| (0..1_000).filter(|_| log.take(second)).count() as u64;
        assert_eq!([lines(0), lines(0), lines(1), lines(7)], [LINES, 0, LINES, LINES]);
    }
}
