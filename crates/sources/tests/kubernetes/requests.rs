//! Events and the taint.

use std::time::Duration;

use apiserver::{Fault, Options, Rule};
use towpath_sources::kubernetes::{About, EventRequest};

use crate::run::*;

fn event(reason: &str) -> EventRequest {
    EventRequest { about: About::Node, reason: reason.into(), message: "m".into(), warning: true }
}

#[test]
fn events_are_written_once() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    server.faults().add(Rule::new(Fault::Close).resource("events").times(1));
    for reason in ["Starting", "Starting", "Other"] {
        assert!(run.requests.event(event(reason)));
    }
    let about = About::Service { namespace: "default".into(), name: "web".into(), uid: Some("u".into()) };
    assert!(run.requests.event(EventRequest { about, ..event("Last") }));
    assert!(server.requests().wait(3, LONG, |r| r.resource == "events" && r.status == 201));
    let events = server.store().list("events");
    assert_eq!(events.len(), 3, "{events:?}");
    let first = events.iter().find(|event| event["reason"] == "Starting").unwrap();
    assert_eq!(first["involvedObject"]["name"], "node-a");
    assert_eq!((&first["type"], &first["source"]["component"]), (&"Warning".into(), &"towpath".into()));
    run.stop();
}

fn status(code: u16, message: Option<&str>) -> Fault {
    Fault::Status { code, retry_after: None, message: message.map(str::to_owned) }
}

#[test]
fn events_that_are_forbidden_are_not_tried_again() {
    let server = server(Options::default());
    let mut options = plain(&server);
    options.limits.ask_again = LONG;
    let run = Run::synced(options);
    server.faults().add(Rule::new(status(403, None)).resource("events"));
    assert!(run.requests.event(event("a")));
    assert!(server.requests().wait(1, LONG, |r| r.resource == "events"));
    assert!(run.requests.event(event("b")));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.requests().of("create", "events"), 1);
    run.stop();
}

#[test]
fn events_that_were_forbidden_are_tried_again_later() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    server.faults().add(Rule::new(status(403, None)).resource("events").times(1));
    assert!(run.requests.event(event("a")));
    assert!(server.requests().wait(1, LONG, |r| r.resource == "events"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(run.requests.event(event("b")));
    assert!(server.requests().wait(1, LONG, |r| r.resource == "events" && r.status == 201));
    run.stop();
}

#[test]
fn a_namespace_that_terminates_does_not_end_events() {
    let server = server(Options::default());
    let mut options = plain(&server);
    options.limits.ask_again = LONG;
    let run = Run::synced(options);
    let message = "events \"web.\" is forbidden: unable to create new content in namespace x because it is being \
                   terminated";
    server.faults().add(Rule::new(status(403, Some(message))).resource("events").times(1));
    assert!(run.requests.event(event("a")) && run.requests.event(event("b")));
    assert!(server.requests().wait(1, LONG, |r| r.resource == "events" && r.status == 201));
    run.stop();
}

#[test]
fn an_event_that_came_at_a_bad_time_is_tried_again() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    server.faults().add(Rule::new(status(429, None)).resource("events").times(2));
    assert!(run.requests.event(event("a")));
    assert!(server.requests().wait(1, LONG, |r| r.resource == "events" && r.status == 201));
    run.stop();
}

#[test]
fn the_taint_does_not_wait_for_events() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    server.faults().add(Rule::new(Fault::Hang).resource("events"));
    assert!((0..100).any(|number| !run.requests.event(event(&number.to_string()))), "the queue is full");
    assert!(run.requests.remove_taint("towpath/not-ready"));
    let soon = Duration::from_secs(4);
    assert!(server.requests().wait(1, soon, |r| r.verb == "patch" && r.status == 200));
    run.stop();
}

#[test]
fn the_taint_goes_however_often_it_fails() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    for code in [500, 409, 403] {
        let fault = Fault::Status { code, retry_after: None, message: None };
        server.faults().add(Rule::new(fault).resource("nodes").verb("patch").times(1));
    }
    assert!(run.requests.remove_taint("towpath/not-ready"));
    assert!(server.requests().wait(1, LONG, |r| r.verb == "patch" && r.status == 200));
    let node = server.store().get("nodes", "", "node-a").unwrap();
    let taints: Vec<&str> =
        node["spec"]["taints"].as_array().unwrap().iter().filter_map(|t| t["key"].as_str()).collect();
    assert_eq!(taints, ["other"]);
    run.stop();
}
