//! Lists that are asked for again while it runs, since history is gone. Nothing changed, so nothing is written.

use std::time::Duration;

use anyhow::{Result, ensure};
use apiserver::{Fault as Wrong, Mode, Rule};

use super::seen::of_resource;
use super::{Fault, SOON, server, until};
use crate::Test;
use crate::stage::Stage;

/// What is watched.
pub(super) const KINDS: &[&str] = &["services", "endpointslices", "nodes", "servicecidrs", "namespaces"];

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_watch_that_is_too_old", || {
        Fault::passing(|stage| {
            let faults = server(stage)?.faults();
            faults.add(Rule::new(Wrong::Gone).resource("services").times(1));
            faults.end_watches(Some("services"));
            Ok(())
        })
        .says(0, &["listing again", "services", "410 Gone"])
        .counts("services", "expired", 1)
        .check(|stage, _| streamed_again(stage, &["services"]))
        .play()
    }),
    Test::new("history_that_is_compacted", || {
        Fault::passing(list_again)
            .says(0, &["listing again", "endpointslices", "410 Gone"])
            .counts("endpointslices", "expired", 1)
            .check(|stage, _| streamed_again(stage, &["services", "endpointslices"]))
            .play()
    }),
    Test::new("history_that_is_compacted_on_a_server_without_streams", || {
        Fault::passing(|stage| {
            server(stage)?.faults().add(Rule::new(Wrong::RefuseWatchList { code: 422 }));
            list_again(stage)
        })
        .says(0, &["listing again", "services", "410 Gone"])
        .counts("services", "expired", 1)
        .check(|stage, _| listed_again(stage))
        .play()
    }),
];

/// All watches end, and cannot go on where they were.
pub(super) fn list_again(stage: &Stage) -> Result<()> {
    let server = server(stage)?;
    // A watch that has ended hears of nothing more, bookmarks among it.
    server.faults().end_watches(None);
    server.store().advance_to(server.store().version() + 100);
    KINDS.iter().for_each(|kind| server.store().bookmark(kind));
    server.faults().compact();
    Ok(())
}

/// These came once more, wholly: three objects and a bookmark each time, and an error in between.
fn streamed_again(stage: &Stage, resources: &[&str]) -> Result<()> {
    resources.iter().try_for_each(|resource| {
        until(&format!("{resource} once more"), SOON, || {
            Ok(of_resource(stage, "towpath_api_events_total", resource)? >= 9.0)
        })?;
        let again = of_resource(stage, "towpath_api_relists_total", resource)?;
        ensure!(again == 1.0, "{resource} were listed again {again} times");
        Ok(())
    })
}

/// The watch after a list begins when all of the list was taken over.
fn listed_again(stage: &Stage) -> Result<()> {
    for resource in KINDS {
        let is_watch = |r: &apiserver::Request| r.resource == *resource && r.mode == Mode::Watch;
        let done = server(stage)?.requests().wait(2, Duration::from_secs(15), is_watch);
        ensure!(done, "{resource} are not watched again");
        let listed = server(stage)?.requests().in_mode(resource, Mode::ListAtVersion);
        ensure!(listed == 1, "{resource} were listed {listed} times");
    }
    Ok(())
}
