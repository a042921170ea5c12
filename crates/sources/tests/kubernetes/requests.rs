//! Events and the taint.

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

#[test]
fn events_that_are_forbidden_are_not_tried_again() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    server
        .faults()
        .add(Rule::new(Fault::Status { code: 403, retry_after: None, message: None }).resource("events"));
    assert!(run.requests.event(event("a")) && run.requests.event(event("b")));
    assert!(run.requests.remove_taint("none"));
    assert!(server.requests().wait(1, LONG, |r| r.resource == "nodes" && r.verb == "get"));
    assert_eq!(server.requests().of("create", "events"), 1);
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
