//! What other directives of a Corefile do, over UDP and TCP.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::abuse::COREFILE;
use crate::ask;
use crate::compare::Transport::{Tcp, Udp};
use crate::place::Place;
use crate::table::Table;
use crate::trial;
use crate::wire::Query;

/// Source, name, type, response code, and the only answer.
type Row = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>);

const POD: &str = "10.244.7.7";
const OTHER: &str = "10.245.1.1";

const ROWS: &[Row] = &[
    (OTHER, "www.old.example.", "A", "NOERROR", Some("www.old.example. 30 IN A 198.51.100.80")),
    (OTHER, "www.old.example.", "AAAA", "NOERROR", Some("www.old.example. 30 IN AAAA 2001:db8::80")),
    (OTHER, "web.re.example.", "A", "NOERROR", Some("web.re.example. 5 IN A 10.96.10.1")),
    (OTHER, "nosuch.re.example.", "A", "NXDOMAIN", None),
    (OTHER, "printer.example.", "A", "NOERROR", Some("printer.example. 3600 IN A 192.0.2.5")),
    (OTHER, "printer.example.", "AAAA", "NOERROR", None),
    (
        OTHER,
        "5.2.0.192.in-addr.arpa.",
        "PTR",
        "NOERROR",
        Some("5.2.0.192.in-addr.arpa. 3600 IN PTR printer.example."),
    ),
    (OTHER, "v4only.example.net.", "A", "NOERROR", Some("v4only.example.net. 30 IN A 198.51.100.81")),
    // Only for clients that ask by IPv6.
    (OTHER, "v4only.example.net.", "AAAA", "NOERROR", None),
    // Filtered and blocked.
    ("192.0.2.200", "www.example.net.", "AAAA", "NOERROR", None),
    ("192.0.2.200", "www.example.net.", "TXT", "REFUSED", None),
    (
        POD,
        "web.shop.svc.cluster.local.",
        "A",
        "NOERROR",
        Some("web.shop.svc.cluster.local. 5 IN A 10.96.10.1"),
    ),
    (OTHER, "kubernetes.default.shop.svc.cluster.local.", "A", "NXDOMAIN", None),
];

/// One test for all rows.
pub(crate) fn trials(table: &Arc<Table>, obstacle: Option<&String>) -> Vec<Trial> {
    let table = Arc::clone(table);
    vec![trial("plugins::rows".to_owned(), obstacle.cloned(), move || {
        let place = Place::start(&table, COREFILE)?;
        ROWS.iter().try_for_each(|row| check(&place, row)).with_context(|| place.evidence())
    })]
}

fn check(place: &Place, (source, name, kind, rcode, want): &Row) -> Result<()> {
    let source: IpAddr = source.parse()?;
    for transport in [Udp, Tcp] {
        let reply = ask::ask(&place.ns, place.server, Some(source), &Query::new(name, kind)?, transport)
            .with_context(|| format!("{name} {kind}"))?;
        let got: Vec<_> = reply.answer().iter().map(String::as_str).collect();
        ensure!(reply.rcode == *rcode && got == want.as_slice(), "{name} {kind} from {source}: {reply:?}");
    }
    Ok(())
}
