//! Each fault, as a client sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{get, request};
use towpath_apiserver::{Fault, Injection, Mode, Options, Rule, Server};

const SERVICES: &str = "/api/v1/services";
const WATCH: &str = "/api/v1/services?watch=1&allowWatchBookmarks=1";

fn server() -> Server {
    let options = Options { control: Some(([127, 0, 0, 1], 0).into()), ..Options::default() };
    let server = Server::start(options).unwrap();
    server.store().apply(service("web")).unwrap();
    server
}

fn service(name: &str) -> Value {
    let meta = json!({"name": name, "namespace": "shop"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}})
}

fn control(server: &Server, path: &str, body: &Value) -> Value {
    let method = if body.is_null() { "GET" } else { "POST" };
    let answer =
        request(server.control_address().unwrap(), method, &format!("/_test/{path}"), &body.to_string());
    assert_eq!(answer.status(), 200, "{path}");
    answer.json()
}

#[test]
fn a_status_as_often_as_wanted() {
    let server = server();
    let fault = Fault::Status { code: 429, retry_after: Some(7), message: None };
    server.faults().add(Rule::new(fault).resource("services").verb("list").times(1));
    assert_eq!(get(server.address(), "/api/v1/nodes").status(), 200);
    let refused = get(server.address(), SERVICES);
    assert_eq!((refused.status(), refused.header("Retry-After")), (429, Some("7")));
    assert_eq!(refused.json()["reason"], "TooManyRequests");
    assert_eq!(get(server.address(), SERVICES).status(), 200);
    assert_eq!(server.requests().count(|it| it.status == 429), 1);
}

#[test]
fn history_lost_for_the_next_watch() {
    let server = server();
    server.faults().add(Rule::new(Fault::Gone).times(1));
    assert_eq!(get(server.address(), WATCH).event().1["code"], 410);
    assert_eq!(get(server.address(), WATCH).event().0, "ADDED");
}

#[test]
fn a_server_without_watch_lists() {
    let server = server();
    let path = format!("{WATCH}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    server.faults().add(Rule::new(Fault::RefuseWatchList { code: 422 }).times(1));
    let refused = get(server.address(), &path);
    assert_eq!(refused.status(), 422);
    assert!(refused.json()["message"].as_str().unwrap().contains("WatchList feature gate"));
    server.faults().add(Rule::new(Fault::IgnoreWatchList).times(1));
    let mut old = get(server.address(), &path);
    assert_eq!(old.event().0, "ADDED");
    server.store().bookmark("services");
    assert_eq!(old.event().1["metadata"]["annotations"], Value::Null);
    assert_eq!(server.requests().in_mode("services", Mode::WatchList), 2);
}

#[test]
fn answers_that_stop_break_or_do_not_come() {
    let server = server();
    server.faults().add(Rule::new(Fault::Cut { after: 50 }).times(1));
    let mut cut = get(server.address(), SERVICES);
    assert_eq!((cut.status(), cut.text().unwrap_err().kind()), (200, ErrorKind::UnexpectedEof));
    server.faults().add(Rule::new(Fault::Close).times(1));
    assert_eq!(get(server.address(), SERVICES).status(), 0);
    server.faults().add(Rule::new(Fault::Slow { bytes_per_second: 4000 }).times(1));
    let began = Instant::now();
    assert_eq!(get(server.address(), SERVICES).json()["items"].as_array().unwrap().len(), 1);
    assert!(began.elapsed() > Duration::from_millis(80));
    // A list that stalls, and a request that hangs, end when the server drops the connections.
    for fault in [Fault::Stall { after: 50 }, Fault::Hang] {
        server.faults().add(Rule::new(fault).times(1));
        server.requests().clear();
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| get(server.address(), SERVICES).text());
            assert!(server.requests().wait(1, Duration::from_secs(10), |it| it.path == SERVICES));
            server.faults().drop_connections();
            drop(answer.join().unwrap());
        });
    }
}

#[test]
fn things_put_into_a_stream() {
    let server = server();
    let mut watch = get(server.address(), WATCH);
    watch.event();
    let inject = |injection: Injection| assert_eq!(server.faults().inject(Some("services"), &injection), 1);
    inject(Injection::UnknownType);
    assert_eq!(watch.event().0, "REVISED");
    inject(Injection::UnknownKind);
    assert_eq!(watch.event().1["kind"], "Gadget");
    inject(Injection::UnknownFields);
    assert_eq!(watch.event().1["futureField"]["number"], 1000.0);
    inject(Injection::Error { code: 500 });
    assert_eq!(watch.event().1["code"], 500);
    inject(Injection::Bookmark { version: 5 });
    assert_eq!(watch.event().1["metadata"]["resourceVersion"], "5");
    inject(Injection::Huge { megabytes: 1 });
    assert!(watch.line().unwrap().unwrap().len() > 1 << 20);
    inject(Injection::Malformed);
    assert!(serde_json::from_str::<Value>(&watch.line().unwrap().unwrap()).is_err());
    inject(Injection::Cut);
    assert_eq!(watch.line().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(server.faults().inject(Some("nodes"), &Injection::End), 0);
}

#[test]
fn refused_and_back_on_the_same_port() {
    let server = server();
    let mut watch = get(server.address(), WATCH);
    watch.event();
    server.faults().refuse(true);
    assert!(watch.line().is_err());
    assert_eq!(TcpStream::connect(server.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    control(&server, "fault/refuse", &json!({"refusing": false}));
    server.faults().refuse(false);
    assert_eq!(get(server.address(), SERVICES).status(), 200);
}

#[test]
fn frozen_and_thawed() {
    let server = server();
    let mut watch = get(server.address(), WATCH);
    watch.event();
    control(&server, "fault/freeze", &json!({"frozen": true}));
    server.store().apply(service("other")).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(watch.event().1["metadata"]["name"].clone()));
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
        control(&server, "fault/freeze", &json!({"frozen": false}));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)).unwrap(), "other");
    });
}

#[test]
fn stranded_connections_stay_silent_while_new_ones_work() {
    let server = server();
    let mut old = get(server.address(), WATCH);
    old.event();
    server.faults().strand_connections();
    let mut new = get(server.address(), WATCH);
    new.event();
    server.store().apply(service("other")).unwrap();
    assert_eq!(new.event().0, "ADDED");
    assert_eq!(server.requests().connections(), 2);
    server.faults().clear();
    assert_eq!(old.event().0, "ADDED");
}

#[test]
fn all_of_it_by_http() {
    let server = server();
    let rule = json!({"fault": "status", "code": 503, "resource": "nodes", "times": 2});
    control(&server, "fault/rule", &rule);
    assert_eq!(get(server.address(), "/api/v1/nodes").status(), 503);
    assert_eq!(control(&server, "fault/rules", &Value::Null)[0]["times"], 1);
    control(&server, "fault/clear", &json!({}));
    assert_eq!(get(server.address(), "/api/v1/nodes").status(), 200);
    let mut watch = get(server.address(), WATCH);
    watch.event();
    let injected = control(&server, "fault/inject", &json!({"inject": "huge", "megabytes": 2}));
    assert_eq!(injected["watches"], 1);
    assert!(watch.line().unwrap().unwrap().len() > 2 << 20);
    control(&server, "apply", &json!([service("a"), service("b")]));
    control(&server, "delete", &json!({"resource": "services", "namespace": "shop", "name": "a"}));
    control(&server, "generate", &json!({"services": 3, "endpoints": 2}));
    assert_eq!((server.store().count("services"), server.store().count("endpointslices")), (5, 3));
    control(&server, "fault/compact", &json!({}));
    let log = control(&server, "requests", &Value::Null);
    assert_eq!(log["requests"].as_array().unwrap().len(), 3);
    control(&server, "tokens", &json!({"grants": {"t": {"user": "u"}}}));
    assert_eq!(get(server.address(), SERVICES).status(), 401);
    assert_eq!(request(server.address(), "POST", "/_test/nothing", "").status(), 404);
}
