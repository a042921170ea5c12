//! Servers that refuse, that are away, that are old, and first lists that do not come.

use std::time::Duration;

use anyhow::{Result, ensure};
use apiserver::{Fault as Wrong, Mode, Rule};

use super::relists::{KINDS, list_again};
use super::seen::Seen;
use super::{Fault, SCENE, SOON, nothing_written, server, until};
use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::generation;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_server_that_says_500", || {
        Fault::lasting(|stage| refuse_all(stage, 500, None), mend)
            .says(5, &["cannot watch Services", "500 Internal Server Error"])
            .counts("services", "server", 3)
            .play()
    }),
    Test::new("a_server_that_says_503", || {
        Fault::lasting(|stage| refuse_all(stage, 503, None), mend)
            .says(5, &["cannot watch EndpointSlices", "503 Service Unavailable"])
            .counts("endpointslices", "server", 2)
            .play()
    }),
    Test::new("a_server_that_wants_to_be_left_alone", || {
        Fault::lasting(|stage| refuse_all(stage, 429, Some(2)), mend)
            .says(5, &["cannot watch Services", "429 Too Many Requests"])
            .counts("services", "throttled", 2)
            .check(|_, seen| not_before(seen, Duration::from_secs(2)))
            .play()
    }),
    Test::new("a_server_that_is_away", || {
        Fault::lasting(away, back)
            .says_of_the_connection(&["Connection refused", "check the server, and the address"])
            .counts("services", "connect", 3)
            .check(|_, seen| not_before(seen, Duration::from_millis(700)))
            .play()
    }),
    Test::new("a_server_that_comes_back_without_its_history", || {
        Fault::lasting(away, |stage| {
            list_again(stage)?;
            back(stage)
        })
        .says_of_the_connection(&["Connection refused"])
        .counts("services", "connect", 2)
        .play()
    }),
    Test::new("a_server_that_is_away_at_a_restart", || {
        Fault::lasting(away, back)
            .at_restart()
            .says_of_the_connection(&["Connection refused"])
            .counts("services", "connect", 2)
            .play()
    }),
    Test::new("a_server_that_is_away_at_the_first_start", || {
        Fault::lasting(away, back)
            .at_first_start()
            .says_of_the_connection(&["Connection refused"])
            .counts("services", "connect", 2)
            .play()
    }),
    Test::new("an_api_without_servicecidr", || {
        Fault::passing(|_| Ok(()))
            .with(|options| options.without = vec!["servicecidrs".into()])
            .at_first_start()
            .says(0, &["cannot watch ServiceCIDRs", "404", "done without"])
            .counts("servicecidrs", "not_found", 1)
            .play()
    }),
    Test::new("a_server_that_refuses_streams_with_422", || {
        without_streams(|stage| refuse_streams(stage, 422))
    }),
    Test::new("a_server_that_refuses_streams_with_400", || {
        without_streams(|stage| refuse_streams(stage, 400))
    }),
    Test::new("lists_that_are_cut_at_a_restart", || {
        Fault::lasting(cut_lists, mend)
            .at_restart()
            .says(1, &["cannot list Services", "the connection broke"])
            .counts("services", "cut", 3)
            .play()
    }),
    Test::new("nothing_is_programmed_before_the_first_full_list", stalled_first_list),
];

fn refuse_all(stage: &Stage, code: u16, retry_after: Option<u64>) -> Result<()> {
    let faults = server(stage)?.faults();
    faults.add(Rule::new(Wrong::Status { code, retry_after, message: None }));
    faults.drop_connections();
    Ok(())
}

fn mend(stage: &Stage) -> Result<()> {
    server(stage)?.faults().clear();
    Ok(())
}

fn away(stage: &Stage) -> Result<()> {
    server(stage)?.faults().refuse(true);
    Ok(())
}

fn back(stage: &Stage) -> Result<()> {
    server(stage)?.faults().refuse(false);
    Ok(())
}

/// So many tries took at least this long.
fn not_before(seen: &Seen, least: Duration) -> Result<()> {
    let taken = seen.since.elapsed();
    ensure!(taken >= least, "it was tried so often within {taken:?}");
    Ok(())
}

fn without_streams(begin: super::Act) -> Result<()> {
    Fault::passing(begin).at_restart().check(|stage, _| listed(stage)).play()
}

fn refuse_streams(stage: &Stage, code: u16) -> Result<()> {
    server(stage)?.requests().clear();
    server(stage)?.faults().add(Rule::new(Wrong::RefuseWatchList { code }));
    Ok(())
}

/// Each kind came by one list, from the server's cache.
fn listed(stage: &Stage) -> Result<()> {
    for resource in KINDS {
        let requests = server(stage)?.requests();
        until("a list", SOON, || Ok(requests.in_mode(resource, Mode::CachedList) == 1))?;
        ensure!(requests.in_mode(resource, Mode::WatchList) == 1, "{resource}: it is asked again and again");
    }
    Ok(())
}

fn cut_lists(stage: &Stage) -> Result<()> {
    let faults = server(stage)?.faults();
    faults.add(Rule::new(Wrong::RefuseWatchList { code: 422 }));
    faults.add(Rule::new(Wrong::Cut { after: 300 }).resource("services").verb("list"));
    Ok(())
}

/// Services and everything else is there, endpoints are not.
fn stalled_first_list() -> Result<()> {
    let mut stage = Plan::new(SCENE)?.hosts(&[POD])?.through_api().build()?;
    let faults = stage.cluster()?.server.faults().clone();
    faults.add(Rule::new(Wrong::Stall { after: 300 }).resource("endpointslices").times(1));
    let untouched = generation(stage.node())?;
    stage.launch()?;
    stage.play(|stage| {
        until("all Services and some slices", SOON, || {
            let objects = |resource| super::seen::of_resource(stage, "towpath_api_objects", resource);
            let bytes =
                super::seen::of_resource(stage, "towpath_api_received_bytes_total", "endpointslices")?;
            Ok(objects("services")? == 3.0 && objects("nodes")? == 1.0 && bytes > 0.0)
        })?;
        ensure!(stage.node().command("nft", &["list", "tables"])?.is_empty(), "there is a table already");
        nothing_written(stage, untouched)?;
        faults.drop_connections();
        stage.progress()?;
        stage.reaches(POD, super::WEB, model::Protocol::Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])
    })
}
