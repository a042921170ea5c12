//! The address that a reply leaves from.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{BOTH, NAME, RECORD, has};
use crate::ask;
use crate::place::{Place, UPSTREAM};
use crate::table::Table;
use crate::wire::Query;

pub(super) const ID: &str = "proto-51";

/// By sockets that take replies from the asked address only: one socket for each address, then wildcards.
pub(super) fn asked_address(table: &Table) -> Result<()> {
    let four = ["10.244.0.2", "169.254.20.10", "10.96.0.10"].map(|address| format!("{address}:5353"));
    let six = ["[fd00:10:96::a]:5353".to_owned()];
    let all = [&four[..], &six].concat();
    every(table, &all, &all)?;
    every(table, &["0.0.0.0:5353".to_owned()], &four).context("behind the wildcard of IPv4")?;
    every(table, &["[::]:5353".to_owned()], &six).context("behind the wildcard of IPv6")
}

fn every(table: &Table, listen: &[String], asked: &[String]) -> Result<()> {
    let corefile = format!(".:53 {{\n    kubernetes cluster.local\n    forward . {UPSTREAM}\n}}");
    let place = Place::listening(table, &corefile, listen, asked[0].parse()?)?;
    for (server, transport) in asked.iter().flat_map(|server| BOTH.map(|transport| (server, transport))) {
        let server: SocketAddr = server.parse()?;
        let reply = ask::ask(&place.ns, server, None, &Query::new(NAME, "A")?, transport);
        has(&reply.with_context(|| format!("{server} over {transport:?}"))?, "NOERROR", &[RECORD])?;
    }
    Ok(())
}
