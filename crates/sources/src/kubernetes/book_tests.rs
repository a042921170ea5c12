//! Which changes come out, for what goes in.

use serde_json::json;

use super::super::objects::Verdict;
use super::super::pieces::Piece;
use super::*;
use crate::k8s::{self, Decoder};

struct Under {
    book: Book,
    decoder: Decoder,
}

impl Under {
    fn new() -> Self {
        Self { book: Book::new(Kind::Service, false), decoder: Decoder::default() }
    }

    fn item(&mut self, json: &str, at_once: bool) -> Vec<String> {
        let mut out = Vec::new();
        let piece = Piece::Whole(json.as_bytes());
        self.book.piece(&piece, at_once, &mut self.decoder, &mut |change| out.push(short(&change)));
        out
    }

    fn commit(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.book.commit(&mut |change| out.push(short(&change)));
        if out.len() > 2 {
            let inner = out.len() - 1;
            out[1..inner].sort_unstable();
        }
        out
    }

    fn list(&mut self, items: &[String]) -> Vec<String> {
        self.book.begin();
        let mut out: Vec<String> = items.iter().flat_map(|item| self.item(item, false)).collect();
        out.extend(self.commit());
        out
    }

    fn delete(&mut self, json: &str, at_once: bool) -> Vec<String> {
        let mut out = Vec::new();
        self.book.deleted(json, at_once, &mut self.decoder, &mut |change| out.push(short(&change)));
        out
    }
}

fn short(change: &Change) -> String {
    match change {
        Change::Service(service) => {
            format!("{} {}", service.name.name, service.ports.first().map_or(0, |port| port.port))
        }
        Change::ServiceGone(name) => format!("-{}", name.name),
        Change::Problem(problem) => problem.to_string(),
        Change::ProblemSolved(subject) => format!("solved {subject}"),
        Change::BatchBegins => "[".into(),
        Change::BatchEnds => "]".into(),
        Change::Trigger { at_ms, .. } => format!("at {at_ms}"),
        Change::Cause(cause) => {
            let gone = if cause.gone { " gone" } else { "" };
            format!("cause {} {} {}{gone}", cause.kind, cause.name, cause.version.as_deref().unwrap_or("-"))
        }
        other => format!("{other:?}"),
    }
}

fn service(name: &str, port: u16) -> String {
    json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"ports": [{"port": port}]}}).to_string()
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_list_goes_out_at_once_and_a_second_try_takes_back() {
    let mut under = Under::new();
    under.book.begin();
    assert_eq!(under.item(&service("a", 1), true), ["a 1"]);
    assert_eq!(under.item(&service("b", 1), true), ["b 1"]);
    under.book.abort();
    under.book.begin();
    assert_eq!(under.item(&service("b", 1), true), NOTHING);
    assert_eq!(under.item(&service("c", 1), true), ["c 1"]);
    assert_eq!(under.commit(), ["[", "-a", "]"]);
    assert!(under.book.is_complete());
}

#[test]
fn a_later_list_sends_what_differs_as_one_batch_or_nothing() {
    let mut under = Under::new();
    under.list(&[service("a", 1), service("b", 1), service("c", 1)]);
    assert_eq!(under.list(&[service("c", 1), service("a", 1), service("b", 1)]), NOTHING);
    under.book.begin();
    assert_eq!(under.item(&service("a", 2), false), NOTHING);
    under.book.abort();
    assert_eq!(under.commit(), NOTHING);
    assert_eq!(
        under.list(&[service("a", 3), service("b", 1), service("d", 1)]),
        ["[", "-c", "a 3", "d 1", "]"]
    );
    assert_eq!(under.list(&[]), ["[", "-a", "-b", "-d", "]"]);
}

#[test]
fn events_between_the_first_events_count() {
    let mut under = Under::new();
    under.list(&[service("a", 1), service("b", 1)]);
    under.book.begin();
    under.item(&service("a", 2), false);
    under.item(&service("a", 1), false);
    under.item(&service("b", 1), false);
    under.item(&service("c", 1), false);
    assert_eq!(under.delete(&service("c", 1), false), NOTHING);
    assert_eq!(under.delete(&service("b", 1), false), NOTHING);
    assert_eq!(under.commit(), ["[", "-b", "]"]);
}

#[test]
fn events() {
    let mut under = Under::new();
    under.list(&[service("a", 1)]);
    assert_eq!(under.item(&service("a", 1), false), NOTHING);
    assert_eq!(under.item(&service("a", 2), false), ["a 2"]);
    assert_eq!(under.delete(&service("a", 2), false), ["-a"]);
    assert_eq!(under.delete(&service("a", 2), false), NOTHING);
}

#[test]
fn bad_objects_keep_what_was_known() {
    let mut under = Under::new();
    under.list(&[service("a", 1)]);
    let bad = r#"{"metadata":{"name":"a","namespace":"n"},"spec":{"ports":[{"port":70000}]}}"#.to_owned();
    let told = "api: Service n/a: spec.ports[0].port: 70000 is not a port number: give 1 to 65535; \
        its earlier version stays in force";
    assert_eq!(under.item(&bad, false), [told]);
    assert_eq!(under.item(&bad, false), NOTHING, "it is told once");
    assert_eq!(under.list(std::slice::from_ref(&bad)), NOTHING, "and stays through a list");
    assert_eq!(under.item(&service("a", 1), false), ["solved api: Service n/a"]);
    assert_eq!(under.item(&bad, false).len(), 1);
    assert_eq!(under.delete(&bad, false), ["solved api: Service n/a", "-a"]);
    let new = r#"{"metadata":{"name":"new","namespace":"n","x":"\ud800"},"spec":"#.to_owned();
    assert!(under.item(&new, false)[0].ends_with("; it is left out"));
    assert_eq!(under.list(&[]), ["solved api: Service n/new"]);
}

#[test]
fn after_a_nameless_object_nothing_is_gone() {
    let mut under = Under::new();
    under.list(&[service("a", 1), service("b", 1)]);
    let out = under.list(&[service("a", 2), "[1]".into(), "[2]".into()]);
    assert!(out[0].starts_with("api: Service without a readable name: "), "{out:?}");
    assert_eq!(out[1..], ["[", "a 2", "]"]);
    assert_eq!(
        under.list(&[service("a", 2)]),
        ["[", "-b", "]", "solved api: Service without a readable name"]
    );
}

#[test]
fn large_objects_are_named_and_kept() {
    let mut under = Under::new();
    under.list(&[service("a", 1)]);
    let head = br#"{"metadata":{"name":"a","namespace":"n","annotations":{"x":"yyyyyyy"#;
    let mut out = Vec::new();
    let piece = Piece::TooLarge { head, size: 50 << 20 };
    under.book.begin();
    assert_eq!(
        under.book.piece(&piece, false, &mut under.decoder, &mut |change| out.push(short(&change))),
        Verdict::TooLarge
    );
    assert_eq!(
        out,
        ["api: Service n/a: 50 MiB are too many for one object; its earlier version stays in force"]
    );
    assert_eq!(under.commit(), NOTHING);
}

#[test]
fn problems_are_bounded() {
    let mut under = Under::new();
    let bad = |i: usize| format!(r#"{{"metadata":{{"name":"s{i}","namespace":"n"}},"spec":3}}"#);
    let items: Vec<String> = (0..1030).map(bad).collect();
    assert_eq!(under.list(&items).len(), 1024);
}

#[test]
fn a_snapshot_fills_what_is_not_known() {
    let mut under = Under::new();
    under.book.begin();
    under.item(&service("a", 1), true);
    let mut out = Vec::new();
    for json in [service("a", 9), service("b", 9)] {
        let decoded = k8s::decode(Kind::Service, &json, &mut under.decoder).unwrap();
        under.book.seed(&decoded.key.name, decoded.change.unwrap(), &mut |c| out.push(short(&c)));
    }
    assert_eq!(out, ["b 9"]);
    assert_eq!(under.item(&service("c", 1), false), NOTHING);
    assert_eq!(under.commit(), ["[", "-b", "c 1", "]"]);
}

#[test]
fn triggers_go_before_slices_that_changed() {
    let slice = |ip: &str| {
        json!({"addressType": "IPv4", "endpoints": [{"addresses": [ip]}], "metadata": {
            "name": "s", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "1970-01-01T00:00:02.5Z"}}})
        .to_string()
    };
    let mut under = Under { book: Book::new(Kind::EndpointSlice, false), decoder: Decoder::default() };
    let is_trigger = |out: &[String]| out.iter().any(|line| line == "at 2500");
    assert!(!is_trigger(&under.list(&[slice("10.0.0.1")])));
    assert_eq!(under.item(&slice("10.0.0.1"), false), NOTHING);
    assert_eq!(under.item(&slice("10.0.0.2"), false)[0], "at 2500");
    assert!(is_trigger(&under.list(&[slice("10.0.0.3")])));
    assert!(!is_trigger(&under.delete(&slice("10.0.0.3"), false)));
}

#[test]
fn an_annotation_alone_is_a_change() {
    let service = |scheduler: &str, weights: &str| {
        json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "1", "annotations": {
            "towpath.dev/scheduler": scheduler, "towpath.dev/weights": weights}},
            "spec": {"ports": [{"port": 1}]}})
        .to_string()
    };
    let mut under = Under::new();
    assert_eq!(under.list(&[service("", "")]), ["[", "a 1", "]"]);
    for (scheduler, weights, changes) in [
        ("", "", 0),
        ("lc", "", 1),
        ("lc", "10.0.0.1=2", 1),
        ("lc", "10.0.0.1/32 = 2", 0),
        ("sed", "10.0.0.1=2", 1),
        ("", "", 1),
    ] {
        let out = under.item(&service(scheduler, weights), true);
        assert_eq!(out, vec!["a 1"; changes], "{scheduler} {weights}");
    }
    let out = under.item(&service("fastest", ""), true);
    let [problem] = &out[..] else { panic!("{out:?}") };
    assert!(problem.contains("metadata.annotations[towpath.dev/scheduler]: \"fastest\": "), "{problem}");
    assert_eq!(under.item(&service("lc", ""), true), ["a 1", "solved api: Service n/a"]);
}

/// The cause goes out right before its change, inside the batch, with the version that the object has.
#[test]
fn causes_name_the_object_and_its_version() {
    let mut under = Under { book: Book::new(Kind::Service, true), decoder: Decoder::default() };
    let versioned = |name: &str, version: &str, port: u16| {
        let metadata = json!({"name": name, "namespace": "n", "resourceVersion": version});
        json!({"metadata": metadata, "spec": {"ports": [{"port": port}]}}).to_string()
    };
    under.book.begin();
    assert_eq!(under.item(&versioned("a", "7", 1), true), ["cause Service n/a 7", "a 1"]);
    under.item(&versioned("b", "7", 1), true);
    under.commit();
    assert_eq!(under.item(&versioned("a", "8", 1), true), NOTHING, "nothing that counts has changed");
    under.book.begin();
    assert_eq!(under.item(&versioned("a", "9", 2), false), NOTHING);
    let all = under.commit();
    assert_eq!(all, ["[", "-b", "a 2", "cause Service n/a 9", "cause Service n/b - gone", "]"]);
    assert_eq!(under.delete(&versioned("a", "10", 2), true), ["cause Service n/a 10 gone", "-a"]);
}
