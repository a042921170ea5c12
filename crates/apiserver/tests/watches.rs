//! Watches: where they begin, what they say, how they end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::get;
use towpath_apiserver::{Mode, Options, Server};

const SERVICES: &str = "/api/v1/services";

fn server() -> Server {
    Server::start(Options { tokens: vec!["secret".into()], ..Options::default() }).unwrap()
}

fn service(name: &str, label: &str) -> Value {
    let meta = json!({"name": name, "namespace": "shop", "labels": {"app": label}});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}})
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_watch_goes_on_from_a_version() {
    let server = server();
    let store = server.store();
    let first = store.apply(service("a", "x")).unwrap();
    store.apply(service("b", "x")).unwrap();
    store.apply(service("b", "y")).unwrap();
    let mut watch = get(server.address(), &format!("{SERVICES}?watch=1&resourceVersion={first}"));
    assert_eq!(watch.event().0, "ADDED");
    assert_eq!(watch.event().0, "MODIFIED");
    let deleted = store.delete("services", "shop", "a").unwrap();
    let (change, object) = watch.event();
    assert_eq!((change.as_str(), version(&object)), ("DELETED", deleted));
    assert_eq!(object["metadata"]["name"], "a");
}

#[test]
fn what_does_not_change_is_no_event() {
    let server = server();
    let first = server.store().apply(service("a", "x")).unwrap();
    assert_eq!(server.store().apply(service("a", "x")).unwrap(), first);
}

#[test]
fn a_watch_without_a_version_begins_with_everything() {
    let server = server();
    server.store().apply(service("a", "x")).unwrap();
    for version in ["", "&resourceVersion=0"] {
        let mut watch = get(server.address(), &format!("{SERVICES}?watch=true{version}"));
        assert_eq!(watch.event().0, "ADDED");
        assert_eq!(server.store().watchers("services"), 1);
        drop(watch);
        // The server notices that the client is gone when it has something for it, at the latest.
        while server.store().watchers("services") > 0 {
            server.store().bookmark("services");
        }
    }
    assert_eq!(server.requests().in_mode("services", Mode::WatchFromNothing), 2);
}

#[test]
fn a_watch_list_says_where_the_state_ends() {
    let server = server();
    let made = server.store().apply(service("a", "x")).unwrap();
    let options = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    for at in ["", "&resourceVersion=0", &format!("&resourceVersion={made}")] {
        let mut watch = get(server.address(), &format!("{SERVICES}?{options}{at}"));
        assert_eq!(watch.event().0, "ADDED");
        let (change, object) = watch.event();
        assert_eq!((change.as_str(), version(&object)), ("BOOKMARK", server.store().version()));
        assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    }
    assert_eq!(get(server.address(), &format!("{SERVICES}?{options}&resourceVersion=9999")).status(), 504);
    assert_eq!(server.requests().in_mode("services", Mode::WatchList), 4);
}

#[test]
fn a_selector_turns_changes_into_additions_and_deletions() {
    let server = server();
    let start = server.store().version();
    let path = format!("{SERVICES}?watch=1&labelSelector=app%3Dx&resourceVersion={start}");
    let mut watch = get(server.address(), &path);
    for label in ["x", "y", "y", "x"] {
        server.store().apply(service("a", label)).unwrap();
    }
    let changes: Vec<String> = (0..3).map(|_| watch.event().0).collect();
    assert_eq!(changes, ["ADDED", "DELETED", "ADDED"]);
}

#[test]
fn lost_history_is_said_in_the_stream() {
    let server = server();
    let first = server.store().apply(service("a", "x")).unwrap();
    server.store().apply(service("a", "y")).unwrap();
    server.store().compact();
    let mut watch = get(server.address(), &format!("{SERVICES}?watch=1&resourceVersion={first}"));
    let (change, object) = watch.event();
    assert_eq!(
        (change.as_str(), &object["code"], &object["reason"]),
        ("ERROR", &json!(410), &json!("Expired"))
    );
    assert_eq!(watch.line().unwrap(), None);
}

#[test]
fn history_is_bounded() {
    let server = Server::start(Options { history: 3, ..Options::default() }).unwrap();
    let versions: Vec<u64> =
        (0..5).map(|index| server.store().apply(service("a", &index.to_string())).unwrap()).collect();
    let first = |version: u64| {
        get(server.address(), &format!("{SERVICES}?watch=1&resourceVersion={version}")).event().0
    };
    assert_eq!(first(versions[0]), "ERROR");
    assert_eq!(first(versions[1]), "MODIFIED");
}

#[test]
fn a_watch_gets_a_bookmark_before_its_time_is_over() {
    let server = server();
    let start = server.store().version();
    let began = Instant::now();
    let path =
        format!("{SERVICES}?watch=1&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion={start}");
    let mut watch = get(server.address(), &path);
    let (change, object) = watch.event();
    assert_eq!((change.as_str(), version(&object)), ("BOOKMARK", start));
    assert!(began.elapsed() < Duration::from_millis(3500));
    assert_eq!(watch.line().unwrap(), None);
}

#[test]
fn bookmarks_come_regularly() {
    let options = Options { bookmark_every: Duration::from_millis(20), ..Options::default() };
    let server = Server::start(options).unwrap();
    let mut watch =
        get(server.address(), &format!("{SERVICES}?watch=1&allowWatchBookmarks=1&resourceVersion=9"));
    assert_eq!([watch.event().0, watch.event().0], ["BOOKMARK", "BOOKMARK"]);
}

#[test]
fn a_reader_that_is_too_slow_loses_the_watch() {
    let server = Server::start(Options { watch_queue: 16, ..Options::default() }).unwrap();
    let start = server.store().version();
    let mut watch = get(server.address(), &format!("{SERVICES}?watch=1&resourceVersion={start}"));
    let mut bulky = service("a", "x");
    let mut written = 0;
    while server.store().watchers("services") > 0 {
        written += 1;
        bulky["metadata"]["annotations"] = json!({"bulk": format!("{written}{}", "x".repeat(200_000))});
        server.store().apply(bulky.clone()).unwrap();
    }
    let mut read = 0;
    while watch.line().unwrap().is_some() {
        read += 1;
    }
    assert!(read < written, "{read} of {written}");
}

#[test]
fn other_views_are_watched_too() {
    let server = server();
    server.store().apply(service("a", "x")).unwrap();
    for (kind, accept) in [("PartialObjectMetadata", "PartialObjectMetadata"), ("Table", "Table")] {
        let lines = [
            format!("GET {SERVICES}?watch=1&allowWatchBookmarks=1 HTTP/1.1"),
            "Host: test".into(),
            "Authorization: Bearer secret".into(),
            format!("Accept: application/json;as={accept};g=meta.k8s.io;v=v1"),
        ];
        let mut watch = support::send(server.address(), &lines, "");
        assert_eq!(watch.event().1["kind"], kind);
        server.store().bookmark("services");
        assert_eq!(watch.event().1["kind"], kind);
    }
}
