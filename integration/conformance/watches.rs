//! Watches that the server ends, as every server does after some time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use libtest_mimic::Completion;
use model::Change;
use serde_json::json;

use crate::Test;
use crate::case::{Case, done, ignored, port};
use crate::reader::{Counts, Reader, is_about_service};

pub(crate) const TESTS: &[Test] = &[
    ("an_ended_watch_goes_on_where_it_was", an_ended_watch_goes_on_where_it_was),
    ("bookmarks_carry_a_silent_watch", bookmarks_carry_a_silent_watch),
];

/// Between two writes: real servers have more to do.
const PACE: Duration = Duration::from_millis(20);

/// The source asks for watches of so many seconds, up to twice as many.
fn with_watches_of(case: &Case, seconds: u64) -> Result<Reader> {
    let mut options = case.options();
    options.limits.watch_length = Duration::from_secs(seconds);
    let mut reader = case.reader_with(options)?;
    reader.sync()?;
    Ok(reader)
}

/// Since the first list, which may have taken two requests.
fn not_listed_again(reader: &Reader, resource: &str, first: &Counts) -> Result<()> {
    let counts = reader.counts(resource);
    let is_same = counts.lists == first.lists && counts.relists == first.relists;
    ensure!(is_same, "listed again: {first:?}, {counts:?}, {:?}", reader.stats.errors().collect::<Vec<_>>());
    Ok(())
}

/// One list; then every version of an object, in order, across the ends of several watches.
fn an_ended_watch_goes_on_where_it_was(case: &Case) -> Result<Completion> {
    case.service("web", port(1))?;
    let mut reader = with_watches_of(case, 1)?;
    let (name, first) = (case.name("web"), reader.counts("services"));
    let (mut number, deadline) = (1, Instant::now() + case.cluster.patience);
    while reader.counts("services").watches < 4 {
        number += 1;
        ensure!(
            Instant::now() < deadline,
            "the server does not end watches: {:?}",
            reader.counts("services")
        );
        case.patch_service("web", &json!({"spec": port(number)}))?;
        std::thread::sleep(PACE);
    }
    reader.service(&name, "the last version", |service| service.ports[0].port == number)?;
    let came: Vec<u16> = reader
        .log
        .iter()
        .filter(|change| is_about_service(change, &name))
        .map(|change| if let Change::Service(service) = change { service.ports[0].port } else { 0 })
        .collect();
    let missing: Vec<u16> = (1..=number).filter(|version| !came.contains(version)).collect();
    ensure!(missing.is_empty(), "versions that never came: {missing:?} of {number}");
    ensure!(came.is_sorted() && came.len() == usize::from(number), "not each once and in order: {came:?}");
    not_listed_again(&reader, "services", &first)?;
    reader.stop()?;
    done()
}

/// Nothing happens to our Node's absence: what comes are bookmarks, and each watch begins where they have got to.
fn bookmarks_carry_a_silent_watch(case: &Case) -> Result<Completion> {
    let mut options = case.options();
    options.node_name = "towpath-conformance-absent".into();
    // A real server sends one each minute, and one two seconds before the end of a watch.
    options.limits.watch_length = Duration::from_secs(if case.cluster.own.is_some() { 2 } else { 4 });
    let mut reader = case.reader_with(options)?;
    reader.sync()?;
    let before = reader.counts("nodes");
    // Ours sends one in each watch that lasts; on a busy machine a watch may end in the moment in which it begins.
    let wanted = if case.cluster.own.is_some() { 2 } else { 0 };
    reader.counted("nodes", "third watch with its bookmarks", |counts| {
        counts.watches >= before.watches + 3 && counts.events >= before.events + wanted
    })?;
    not_listed_again(&reader, "nodes", &before)?;
    ensure!(!reader.log.iter().any(|change| matches!(change, Change::Node(_))), "{:#?}", reader.log);
    let bookmarks = reader.counts("nodes").events - before.events;
    if let Some(server) = &case.cluster.own {
        let versions = server.requests().count(|request| {
            request.resource == "nodes"
                && request.query.contains("absent")
                && request.query.contains("resourceVersion=")
        });
        ensure!(versions >= 3, "{versions} watches from a version");
    }
    reader.stop()?;
    // The API promises none.
    if bookmarks == 0 { ignored("the server sends no bookmarks where nothing changes") } else { done() }
}
