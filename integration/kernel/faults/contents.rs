//! What comes through a watch is not what it should be.

use anyhow::{Result, ensure};
use apiserver::{Fault as Wrong, Injection, Rule};

use super::relists::list_again;
use super::seen::{Seen, of_resource};
use super::{Fault, SOON, server, until};
use crate::Test;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("objects_with_fields_from_the_future", || {
        Fault::passing(|stage| inject(stage, None, &Injection::UnknownFields)).play()
    }),
    Test::new("an_object_of_an_unknown_kind", || {
        Fault::passing(|stage| inject(stage, Some("services"), &Injection::UnknownKind))
            .says(1, &["the watch of Services", "kind \"Gadget\"", "passed over"])
            .counts("services", "unknown_kind", 1)
            .play()
    }),
    Test::new("many_objects_of_an_unknown_kind", || {
        Fault::passing(|stage| {
            (0..20).try_for_each(|_| inject(stage, Some("endpointslices"), &Injection::UnknownKind))
        })
        .says(1, &["the watch of EndpointSlices", "kind \"Gadget\"", "passed over"])
        .counts("endpointslices", "unknown_kind", 20)
        .play()
    }),
    Test::new("an_event_of_an_unknown_type", || {
        Fault::passing(|stage| inject(stage, Some("services"), &Injection::UnknownType))
            .says(1, &["the watch of Services", "type \"REVISED\"", "passed over"])
            .counts("services", "unknown_kind", 1)
            .play()
    }),
    Test::new("a_line_that_is_no_json", || {
        Fault::passing(|stage| inject(stage, Some("services"), &Injection::Malformed))
            .says(1, &["the watch of Services sent a line that is no event", "is there a proxy"])
            .counts("services", "malformed", 1)
            .play()
    }),
    Test::new("json_cut_in_the_middle", || {
        Fault::passing(cut_in_the_middle)
            .says(1, &["cannot watch Services", "ended in the middle of an object"])
            .counts("services", "cut", 1)
            .play()
    }),
    Test::new("json_cut_in_the_middle_again_and_again", || {
        Fault::passing(cut_again_and_again)
            .says(1, &["cannot watch Services", "broke"])
            .counts("services", "cut", 4)
            .play()
    }),
    Test::new("an_object_of_50_megabytes", || {
        Fault::partial(|stage| inject(stage, Some("services"), &huge()), mend_web)
            .says(1, &["Service ns/web", "50 MiB are too many"])
            .counts("services", "too_large", 1)
            .check(little_memory)
            .play()
    }),
    Test::new("an_object_of_50_megabytes_whose_name_comes_last", || {
        Fault::partial(
            |stage| inject(stage, Some("services"), &Injection::Huge { megabytes: 50 }),
            list_again,
        )
        .says(1, &["Service without a readable name", "50 MiB are too many"])
        .counts("services", "too_large", 1)
        .check(little_memory)
        .play()
    }),
    Test::new("streams_that_the_server_ends", || {
        Fault::passing(|stage| {
            server(stage)?.faults().end_watches(None);
            Ok(())
        })
        .check(|stage, _| watched_again(stage, 2))
        .play()
    }),
    Test::new("an_error_event_that_says_500", || {
        Fault::passing(|stage| inject(stage, Some("services"), &Injection::Error { code: 500 }))
            .says(1, &["cannot watch Services", "500 Internal Server Error"])
            .counts("services", "server", 1)
            .play()
    }),
];

fn inject(stage: &Stage, resource: Option<&str>, injection: &Injection) -> Result<()> {
    let told = server(stage)?.faults().inject(resource, injection);
    ensure!(told > 0, "nobody watches {resource:?}");
    Ok(())
}

/// So many watches of Services were begun, streams of the whole state among them.
fn watched_again(stage: &Stage, times: usize) -> Result<()> {
    let server = server(stage)?;
    until("another watch of Services", SOON, || Ok(server.requests().of("watch", "services") >= times))
        .map(drop)
}

/// The connection breaks while an object comes slowly.
fn cut_in_the_middle(stage: &Stage) -> Result<()> {
    let faults = server(stage)?.faults();
    let slow = Wrong::Slow { bytes_per_second: 200 };
    faults.add(Rule::new(slow).resource("services").verb("watch").times(1));
    faults.end_watches(Some("services"));
    watched_again(stage, 2)?;
    let received = || of_resource(stage, "towpath_api_received_bytes_total", "services");
    let before = received()?;
    mend_web(stage)?;
    until("a part of an object", SOON, || Ok(received()? > before))?;
    faults.drop_connections();
    Ok(())
}

fn cut_again_and_again(stage: &Stage) -> Result<()> {
    (1..=4).try_for_each(|times| {
        watched_again(stage, times)?;
        inject(stage, Some("services"), &Injection::Cut)
    })
}

/// As the server writes it: the name is at the beginning.
fn huge() -> Injection {
    let bulk = "x".repeat(50 << 20);
    let metadata = format!(r#"{{"name":"web","namespace":"ns","annotations":{{"bulk":"{bulk}"}}}}"#);
    let object = format!(r#"{{"kind":"Service","apiVersion":"v1","metadata":{metadata}}}"#);
    Injection::Raw { line: format!(r#"{{"type":"MODIFIED","object":{object}}}"#) }
}

/// Publishes the Service again as it was.
fn mend_web(stage: &Stage) -> Result<()> {
    let mut web = server(stage)?.store().get("services", "ns", "web").unwrap_or_default();
    if let Some(metadata) = web["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    stage.cluster()?.apply(web)
}

/// Of 50 MiB, far less was ever in memory.
fn little_memory(stage: &Stage, seen: &Seen) -> Result<()> {
    let grown = stage.metric("towpath_peak_resident_memory_bytes")? - seen.peak;
    ensure!(grown < 24e6, "memory grew by {grown} bytes");
    Ok(())
}
