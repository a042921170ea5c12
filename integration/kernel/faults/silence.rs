//! Silence: connections that are half open, and lists that stop. Nothing but time shows it; each takes half a minute, and
//! they are played side by side.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use apiserver::{Fault as Wrong, Mode, Rule};

use super::seen::errors_of_all;
use super::{Fault, server};
use crate::Test;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[Test::new("what_only_time_shows", side_by_side)];

type Row = (&'static str, fn() -> Fault);

const ROWS: &[Row] = &[
    ("a server that is frozen", || {
        Fault::lasting(|stage| freeze(stage, true), |stage| freeze(stage, false))
            .says_for_some(&["the server does not answer"])
            .check(|stage, _| timed_out(stage))
            .within(30)
    }),
    ("a network that drops everything", || {
        Fault::lasting(drop_packets, |stage| stage.node().nft("delete table inet blackhole"))
            .says_for_some(&["the server does not answer"])
            .check(|stage, _| timed_out(stage))
            .within(30)
    }),
    ("connections that a gateway has forgotten", || {
        Fault::passing(|stage| {
            server(stage)?.faults().strand_connections();
            Ok(())
        })
        .counts("services", "cut", 1)
        .within(30)
    }),
    ("a list that stops once", || {
        Fault::passing(stall_a_list)
            .at_restart()
            .says(1, &["cannot list EndpointSlices", "the list stopped for 30s"])
            .counts("endpointslices", "timeout", 1)
            .within(40)
    }),
    ("a request that is not answered", || {
        Fault::passing(hang_once)
            .says(1, &["cannot watch Services", "no answer within 30s"])
            .counts("services", "timeout", 1)
            .within(40)
    }),
    ("a server that does not know of streams", || {
        Fault::passing(ignore_streams).at_restart().within(45).check(|stage, _| listed_at_last(stage))
    }),
];

fn side_by_side() -> Result<()> {
    let play = |(name, row): &Row| {
        let (name, row) = (*name, *row);
        (name, thread::spawn(move || row().play()))
    };
    let playing: Vec<_> = ROWS.iter().map(play).collect();
    let results = playing.into_iter().map(|(name, played)| {
        let result = played.join().unwrap_or_else(|_| Err(anyhow!("it panicked")));
        result.context(name)
    });
    let wrong: Vec<String> = results.filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n\n"));
    Ok(())
}

fn freeze(stage: &Stage, frozen: bool) -> Result<()> {
    server(stage)?.faults().freeze(frozen);
    Ok(())
}

/// Nothing comes through to the server or from it, and nobody says so.
fn drop_packets(stage: &Stage) -> Result<()> {
    let port = server(stage)?.address().port();
    stage.node().nft(&format!(
        "table inet blackhole {{
            chain c {{
                type filter hook input priority -300;
                tcp dport {port} drop
                tcp sport {port} drop
            }}
        }}"
    ))
}

fn timed_out(stage: &Stage) -> Result<()> {
    ensure!(errors_of_all(stage, "timeout")? > 0.0, "no timeout is counted");
    Ok(())
}

fn stall_a_list(stage: &Stage) -> Result<()> {
    let faults = server(stage)?.faults();
    faults.add(Rule::new(Wrong::RefuseWatchList { code: 422 }));
    faults.add(Rule::new(Wrong::Stall { after: 300 }).resource("endpointslices").verb("list").times(1));
    Ok(())
}

fn hang_once(stage: &Stage) -> Result<()> {
    let faults = server(stage)?.faults();
    faults.add(Rule::new(Wrong::Hang).resource("services").times(1));
    faults.end_watches(Some("services"));
    Ok(())
}

fn ignore_streams(stage: &Stage) -> Result<()> {
    server(stage)?.requests().clear();
    server(stage)?.faults().add(Rule::new(Wrong::IgnoreWatchList));
    Ok(())
}

/// A server from before 1.27 sends the objects, but not where they end.
fn listed_at_last(stage: &Stage) -> Result<()> {
    for resource in ["services", "endpointslices", "nodes"] {
        let is_list = |r: &apiserver::Request| r.resource == resource && r.mode == Mode::CachedList;
        ensure!(server(stage)?.requests().wait(1, Duration::from_secs(45), is_list), "{resource}: no list");
    }
    Ok(())
}
