//! Many objects and many events. Times are printed (`--nocapture`), and only checked against what would be a mistake.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::get;
use towpath_apiserver::{Options, Server};

#[test]
fn many_objects_are_loaded_listed_and_watched() {
    let server = Server::start(Options { bulky_managed_fields: true, ..Options::default() }).unwrap();
    let began = Instant::now();
    server.store().generate(10_000, 10).unwrap();
    println!("20,000 objects loaded in {:?}", began.elapsed());
    for path in ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"] {
        let began = Instant::now();
        let text = get(server.address(), &format!("{path}?resourceVersion=0")).text().unwrap();
        println!("{path}: {} bytes in {:?}", text.len(), began.elapsed());
        assert_eq!(text.matches("\"creationTimestamp\"").count(), 10_000);
    }
    let options = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = get(server.address(), &format!("/api/v1/services?{options}"));
    for _ in 0..10_000 {
        assert!(watch.line().unwrap().unwrap().contains("ADDED"));
    }
    assert!(watch.line().unwrap().unwrap().contains("initial-events-end"));
}

#[test]
fn a_change_is_at_the_watcher_at_once() {
    let server = Server::start(Options::default()).unwrap();
    let mut watch = get(server.address(), "/api/v1/configmaps?watch=1&resourceVersion=1");
    let one = |index: usize| {
        let meta = json!({"name": "a", "namespace": "default"});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"n": format!("{index}")}});
        let began = Instant::now();
        server.store().apply(object).unwrap();
        watch.line().unwrap().unwrap();
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..500).map(one).collect();
    times.sort_unstable();
    println!("from the store to a reader: median {:?}, worst {:?}", times[250], times[499]);
    assert!(times[250] < Duration::from_millis(20), "something waits: {:?}", times[250]);
}
