//! TCP connections.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{NAME, RECORD, Test, has};
use crate::ask;
use crate::compare::{Transport::Tcp, belongs};
use crate::decode;
use crate::place::Place;
use crate::wire::{self, Query};

pub(super) const TESTS: &[Test] = &[
    Test { id: "proto-32", run: pipelined },
    Test { id: "proto-35", run: nothing_sent },
    Test { id: "proto-36", run: half_closed },
    Test { id: "proto-37", run: idle_connections },
];

/// At most, until a connection without a query is closed.
const FIRST_READ: Duration = Duration::from_secs(12);
/// What another client may have to wait meanwhile.
const UNDELAYED: Duration = Duration::from_millis(500);
const IDLE: usize = 10_000;
/// By which the memory may grow while they are open, in KiB.
const GROWTH: u64 = 40 * 1024;

fn pipelined(place: &Place) -> Result<()> {
    let (first, second) = (Query::new(NAME, "A")?, Query::new("web.shop.svc.cluster.local.", "A")?);
    let mut stream = ask::tcp(&place.ns, place.server, None)?;
    stream
        .write_all(&[wire::framed(&first.bytes()), wire::framed(&second.bytes())].concat())
        .context("sending")?;
    let replies = [ask::read_framed(&mut stream)?, ask::read_framed(&mut stream)?];
    let replies = [decode::read(&replies[0])?, decode::read(&replies[1])?];
    for (query, want) in [(first, RECORD), (second, "web.shop.svc.cluster.local. 5 IN A 10.96.10.1")] {
        let reply = replies.iter().find(|reply| reply.id == query.id).context("no reply with its ID")?;
        belongs(reply, &query, Tcp)?;
        has(reply, "NOERROR", &[want])?;
    }
    Ok(())
}

fn nothing_sent(place: &Place) -> Result<()> {
    let mut silent = ask::tcp(&place.ns, place.server, None)?;
    silent.set_read_timeout(Some(FIRST_READ)).context("a timeout")?;
    for transport in super::BOTH {
        let begun = Instant::now();
        has(&place.send(&Query::new(NAME, "A")?, transport)?, "NOERROR", &[RECORD])?;
        ensure!(begun.elapsed() < UNDELAYED, "delayed by {:?}", begun.elapsed());
    }
    let ended = silent.read(&mut [0; 8]).context("not closed")?;
    ensure!(ended == 0, "something was sent to a silent client");
    Ok(())
}

fn half_closed(place: &Place) -> Result<()> {
    let query = Query::new(NAME, "A")?;
    let mut stream = ask::tcp(&place.ns, place.server, None)?;
    stream.write_all(&wire::framed(&query.bytes())).context("sending")?;
    stream.shutdown(Shutdown::Write).context("closing one way")?;
    let reply = decode::read(&ask::read_framed(&mut stream)?)?;
    belongs(&reply, &query, Tcp)?;
    has(&reply, "NOERROR", &[RECORD])?;
    ensure!(stream.read(&mut [0; 8]).context("not closed")? == 0, "more than the reply");
    Ok(())
}

/// The oldest are dropped, so that new clients are served; UDP does not notice.
fn idle_connections(place: &Place) -> Result<()> {
    // Of this process; the server's own limit is as it was.
    let this = format!("--pid={}", std::process::id());
    place.ns.command("prlimit", &[&this, "--nofile=20000:20000"])?;
    let before = place.memory()?;
    let server = place.server;
    let open = place.ns.run(|| {
        let connect = |_| std::net::TcpStream::connect_timeout(&server, ask::PATIENCE);
        (0..IDLE).map(connect).collect::<std::io::Result<Vec<_>>>()
    })?;
    let open = open.context("opening idle connections")?;
    for transport in super::BOTH {
        let begun = Instant::now();
        has(&place.send(&Query::new(NAME, "A")?, transport)?, "NOERROR", &[RECORD])?;
        ensure!(begun.elapsed() < UNDELAYED, "{transport:?}: delayed by {:?}", begun.elapsed());
    }
    let grown = place.memory()?.saturating_sub(before);
    ensure!(grown < GROWTH, "{grown} KiB more with {} idle connections", open.len());
    Ok(())
}
