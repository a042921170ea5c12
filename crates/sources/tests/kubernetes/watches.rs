//! Events, and streams that end in every way.

use std::sync::atomic::Ordering::Relaxed;

use apiserver::{Fault, Injection, Options, Rule};
use model::{Change, IpFamily};
use towpath_sources::kubernetes::Kubernetes;

use crate::run::*;

#[test]
fn events_are_sent_when_they_differ() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.store().apply(slice("web-abcde", "10.0.0.2")).unwrap();
    let slices = run.until("the slice", |change| matches!(change, Change::Slice(_)));
    let trigger = Change::Trigger { family: IpFamily::V4, at_ms: 1_795_262_400_250 };
    assert_eq!(slices[..slices.len() - 1], [trigger], "a trigger is right before the slice");
    let mut same = service("web", 80);
    same["metadata"]["annotations"] = serde_json::json!({"a": "b"});
    server.store().apply(same).unwrap();
    assert_eq!(run.before_marker(&server), []);
    server.store().delete("services", "default", "web").unwrap();
    run.until("the deletion", |change| is_service_gone(change, "web"));
    run.stop();
}

#[test]
fn causes_are_right_before_their_changes_and_name_the_version() {
    let server = server(Options::default());
    let options = towpath_sources::kubernetes::Options { causes: true, ..plain(&server) };
    let mut run = Run::start(options);
    let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    assert!(!first.iter().any(|change| matches!(change, Change::Cause(_))), "{first:?}");
    let applied = server.store().apply(slice("web-abcde", "10.0.0.2")).unwrap();
    let told = run.until("the slice", |change| matches!(change, Change::Slice(_)));
    let [Change::Cause(cause), Change::Trigger { .. }, _] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (cause.kind, &*cause.name.to_string(), cause.gone),
        ("EndpointSlice", "default/web-abcde", false)
    );
    assert_eq!(cause.version.as_deref(), Some(&*applied.to_string()));
    let deleted = server.store().delete("services", "default", "web").unwrap();
    let told = run.until("the deletion", |change| is_service_gone(change, "web"));
    let [Change::Cause(cause), _] = &told[..] else { panic!("{told:?}") };
    assert_eq!((cause.gone, cause.version.as_deref()), (true, Some(&*deleted.to_string())));
    run.stop();
}

#[test]
fn a_stream_that_ends_or_breaks_goes_on() {
    for injection in [Injection::End, Injection::Cut, Injection::Malformed, Injection::Error { code: 500 }] {
        let server = server(Options::default());
        let mut run = Run::synced(plain(&server));
        server.requests().clear();
        server.faults().inject(Some("services"), &injection);
        let others = run.before_marker(&server);
        let told =
            others.iter().filter(|c| !matches!(c, Change::Problem(_) | Change::ProblemSolved(_))).count();
        assert_eq!(told, 0, "{injection:?}: {others:?}");
        let lists =
            server.requests().count(|r| r.resource == "services" && r.query.contains("sendInitialEvents"));
        assert_eq!(lists, 0, "{injection:?}: it goes on where it was");
        run.stop();
    }
}

#[test]
fn a_cut_after_every_few_bytes_loses_nothing() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    for after in [1, 20, 100, 300, 500, 700] {
        server.faults().add(Rule::new(Fault::Cut { after }).resource("services").verb("watch").times(2));
        server.faults().end_watches(Some("services"));
        assert_eq!(run.before_marker(&server).iter().filter(|c| matches!(c, Change::Service(_))).count(), 0);
    }
    run.stop();
}

#[test]
fn a_line_that_is_bad_at_the_same_place_is_listed_around() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.requests().clear();
    server.faults().inject(Some("services"), &Injection::Malformed);
    let told = run.problem("watch of Services");
    assert!(
        told.starts_with("api: watch of Services: the watch of Services sent a line that is no event ("),
        "{told}"
    );
    assert!(server.requests().wait(1, LONG, |r| r.resource == "services"));
    while server.faults().inject(Some("services"), &Injection::Malformed) == 0 {
        std::thread::yield_now();
    }
    assert!(
        server
            .requests()
            .wait(1, LONG, |r| r.resource == "services" && r.query.contains("sendInitialEvents"))
    );
    assert!(errors(&run.stats, "services", "malformed") >= 2);
    run.solved("watch of Services");
    run.stop();
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let server = server(Options::default());
    server.faults().add(
        Rule::new(Fault::Status { code: 429, retry_after: Some(1), message: None })
            .resource("services")
            .times(1),
    );
    let before = std::time::Instant::now();
    let mut run = Run::start(plain(&server));
    run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    assert!(before.elapsed().as_millis() >= 1000);
    assert_eq!(errors(&run.stats, "services", "throttled"), 1);
    run.stop();
}

#[test]
fn counters() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    run.before_marker(&server);
    // What was sent first is counted by now.
    run.before_marker(&server);
    let (resource, services) = run.stats.kinds().next().unwrap();
    assert_eq!(resource, "services");
    assert!(services.objects.load(Relaxed) >= 3);
    assert!(services.connected.load(Relaxed) && services.bytes.load(Relaxed) > 100);
    assert!(services.events.load(Relaxed) >= 4 && services.last_event_ms.load(Relaxed) > 1_700_000_000_000);
    assert_eq!((services.lists.load(Relaxed), services.relists.load(Relaxed)), (1, 0));
    run.stop();
}

#[test]
fn a_sink_that_wants_no_more_ends_it() {
    let server = server(Options::default());
    let source = Kubernetes::open(plain(&server)).unwrap();
    let (_stopper, stop) = towpath_sources::stop_pair().unwrap();
    let error = source.run(&stop, &mut |_| false).unwrap_err();
    assert_eq!(error.to_string(), "the receiver of changes is gone");
}
