//! Lists: pages, versions, selectors, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::get;
use towpath_apiserver::{Grant, Mode, Options, Server};

const SERVICES: &str = "/api/v1/services";

/// A server with the Services `a` to `e` in `shop`.
fn server() -> Server {
    let server = Server::start(Options { tokens: vec!["secret".into()], ..Options::default() }).unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        apply(&server, name);
    }
    server
}

fn apply(server: &Server, name: &str) -> u64 {
    let meta = json!({"name": name, "namespace": "shop"});
    server.store().apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta})).unwrap()
}

fn names(list: &Value) -> String {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn pages_are_of_one_version() {
    let server = server();
    let first = get(server.address(), &format!("{SERVICES}?limit=2")).json();
    assert_eq!((names(&first).as_str(), &first["metadata"]["remainingItemCount"]), ("ab", &json!(3)));
    apply(&server, "bb");
    server.store().delete("services", "shop", "d").unwrap();
    let next = |list: &Value| {
        let token = list["metadata"]["continue"].as_str().unwrap().to_owned();
        get(server.address(), &format!("{SERVICES}?limit=2&continue={token}")).json()
    };
    let second = next(&first);
    assert_eq!(names(&second), "cd");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let third = next(&second);
    assert_eq!((names(&third).as_str(), &third["metadata"]["continue"]), ("e", &Value::Null));
    assert_eq!(server.requests().in_mode("services", Mode::NextPage), 2);
}

#[test]
fn an_old_page_can_go_on_without_consistency() {
    let server = server();
    let first = get(server.address(), &format!("{SERVICES}?limit=2")).json();
    server.store().delete("services", "shop", "c").unwrap();
    server.store().compact();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let refused = get(server.address(), &format!("{SERVICES}?limit=2&continue={token}"));
    assert_eq!(refused.status(), 410);
    let token = refused.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    assert_eq!(names(&get(server.address(), &format!("{SERVICES}?limit=2&continue={token}")).json()), "de");
}

#[test]
fn versions_of_lists() {
    let server = server();
    let before = server.store().version();
    apply(&server, "f");
    let list = |query: &str| names(&get(server.address(), &format!("{SERVICES}?{query}")).json());
    assert_eq!(list("limit=1&resourceVersion=0"), "abcdef");
    assert_eq!(list(&format!("resourceVersion={before}&resourceVersionMatch=Exact")), "abcde");
    assert_eq!(list(&format!("resourceVersion={before}&resourceVersionMatch=NotOlderThan")), "abcdef");
    assert_eq!(list(&format!("resourceVersion={before}")), "abcdef");
    for (query, code) in [
        ("resourceVersion=1&resourceVersionMatch=Other", 422),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("sendInitialEvents=true", 422),
        ("resourceVersion=many", 400),
        ("resourceVersion=99999", 504),
        ("continue=nonsense", 400),
        ("fieldSelector=spec.other%3D1", 400),
    ] {
        assert_eq!(get(server.address(), &format!("{SERVICES}?{query}")).status(), code, "{query}");
    }
    server.store().compact();
    let path = format!("{SERVICES}?resourceVersion={before}&resourceVersionMatch=Exact");
    assert_eq!(get(server.address(), &path).status(), 410);
    assert_eq!(server.requests().in_mode("services", Mode::CachedList), 2);
}

#[test]
fn selectors_and_namespaces() {
    let server = server();
    let list = |path: &str| names(&get(server.address(), path).json());
    assert_eq!(list("/api/v1/namespaces/default/services"), "");
    assert_eq!(list("/api/v1/namespaces/shop/services?fieldSelector=metadata.name%3Db"), "b");
    let address = server.store().get("services", "shop", "c").unwrap()["spec"]["clusterIP"].clone();
    let path = format!("{SERVICES}?fieldSelector=spec.clusterIP%3D{}", address.as_str().unwrap());
    assert_eq!(list(&path), "c");
}

#[test]
fn what_is_not_there() {
    let options = Options { without: vec!["servicecidrs".into()], ..Options::default() };
    let server = Server::start(options).unwrap();
    let status = |path: &str| get(server.address(), path).status();
    assert_eq!(status("/apis/networking.k8s.io/v1/servicecidrs"), 404);
    assert_eq!(status("/apis/networking.k8s.io/v1"), 404);
    assert_eq!(status("/apis/discovery.k8s.io/v1"), 200);
    assert_eq!(status("/api/v1/namespaces/shop/services/none"), 404);
    assert_eq!(support::request(server.address(), "POST", "/api/v1/nodes/a", "{}").status(), 405);
    let groups = get(server.address(), "/apis").json();
    assert!(!groups.to_string().contains("networking"));
}

#[test]
fn tokens_and_rights() {
    let server = server();
    let nodes = || get(server.address(), "/api/v1/nodes").status();
    let watch = || get(server.address(), "/api/v1/nodes?watch=1").status();
    assert_eq!((nodes(), watch()), (200, 200));
    server.tokens().grant("secret", Grant::everything("me").deny("watch", "", "nodes"));
    assert_eq!((nodes(), watch()), (200, 403));
    server.tokens().grant("secret", Grant::nothing("me").allow_only("watch", "*", "*"));
    assert_eq!((nodes(), watch()), (403, 200));
    server.tokens().set(&["other"]);
    assert_eq!((nodes(), watch()), (401, 401));
}
