//! The same requests as in `recordings/` must get the same answers as from a real kube-apiserver 1.36.
//!
//! The objects of the recordings are put into the store at the versions that they have there, so that versions, times,
//! uids, managed fields and tokens of lists and watches are compared as they are. Not compared:
//! * how a body is framed (`Content-Length` or chunks) and headers that say nothing to a client (`Date`);
//! * the order of the fields of an object, and space between them;
//! * of an Event that the server creates (23): its uid, its time, the end of its generated name, its managed fields.
//!
//! Services and EndpointSlices are taken from the later lists (13, 10), so that the earlier ones (03 to 06) check them;
//! Nodes, ServiceCIDRs and Namespaces were recorded once, so 07 to 09 check the form and not the objects.
//!
//! Nothing waits for the minutes of a real server: bookmarks are asked for, and the watch is ended, by the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use support::Answer;
use towpath_apiserver::{Grant, Options, Server};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");

/// Headers that mean something to a client.
const HEADERS: &[&str] = &["Content-Type", "Cache-Control", "Retry-After", "X-Content-Type-Options"];

/// A recorded exchange.
#[derive(Clone, Debug, Default)]
struct Recording {
    request: Vec<String>,
    request_body: String,
    status_line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Recording {
    fn parse(text: &str) -> Self {
        let mut recording = Self::default();
        let mut answer_head = Vec::new();
        let mut body = false;
        for line in text.lines() {
            match (body, line.get(..1), line.get(2..)) {
                (true, ..) => recording.body += &format!("{line}\n"),
                (_, Some(">"), Some(text)) if text.starts_with('{') => {
                    recording.request_body = text.to_owned()
                }
                (_, Some(">"), Some(text)) => recording.request.push(text.to_owned()),
                (_, Some("<"), Some(text)) => answer_head.push(text.to_owned()),
                (_, Some("<"), None) => body = true,
                _ => {}
            }
        }
        recording.status_line = answer_head.remove(0);
        let headers = answer_head.iter().filter_map(|line| line.split_once(": "));
        recording.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        recording
    }

    /// All recordings, by the number and name of their files.
    fn all() -> BTreeMap<String, Self> {
        let files = std::fs::read_dir(DIRECTORY).unwrap().map(|entry| entry.unwrap().path());
        let one = |file: std::path::PathBuf| {
            let text = std::fs::read_to_string(&file).unwrap();
            (file.file_stem().unwrap().to_string_lossy().into_owned(), Self::parse(&text))
        };
        files.map(one).collect()
    }

    /// The objects of a list, with their kind, or of the events of a watch.
    fn objects(&self) -> Vec<(String, Value)> {
        let mut objects = Vec::new();
        for line in self.body.lines() {
            let mut value: Value = serde_json::from_str(line).unwrap();
            if value["items"].is_null() {
                objects.push((value["type"].as_str().unwrap().to_owned(), value["object"].take()));
                continue;
            }
            let kind = value["kind"].as_str().unwrap().trim_end_matches("List").to_owned();
            let version = value["apiVersion"].clone();
            for item in value["items"].as_array_mut().unwrap() {
                let metadata_only = kind == "PartialObjectMetadata";
                item["kind"] = if metadata_only { "Namespace".into() } else { kind.as_str().into() };
                item["apiVersion"] = if metadata_only { "v1".into() } else { version.clone() };
                objects.push(("ADDED".into(), item.take()));
            }
        }
        objects
    }

    /// Says what differs from an answer whose body is this.
    fn differences(&self, answer: &Answer, body: &str) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, recorded: &str, answered: &str| {
            if recorded != answered {
                differences.push(format!("{what}:\n  recorded {recorded}\n  answered {answered}"));
            }
        };
        compare("status line", &self.status_line, &answer.status_line);
        for name in HEADERS {
            let recorded = self.headers.iter().find(|(it, _)| it == name).map_or("", |(_, value)| value);
            compare(name, recorded, answer.header(name).unwrap_or(""));
        }
        let (recorded, answered) = (normal(&self.body), normal(body));
        compare("pieces of the body", &recorded.len().to_string(), &answered.len().to_string());
        for (recorded, answered) in recorded.iter().zip(&answered) {
            compare("body", recorded, answered);
        }
        differences
    }
}

/// A body as the texts that are compared: one for each JSON value, or the whole.
fn normal(body: &str) -> Vec<String> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(body).into_iter().collect();
    match values {
        Ok(values) => values.into_iter().map(|value| normal_value(value).to_string()).collect(),
        Err(_) => vec![body.trim().to_owned()],
    }
}

/// Hides what a server chooses when it creates an Event.
fn normal_value(mut value: Value) -> Value {
    if value["kind"] == "Event" {
        let meta = &mut value["metadata"];
        let prefix = meta["generateName"].as_str().unwrap_or_default().to_owned();
        let name = meta["name"].as_str().unwrap_or_default();
        assert!(name.starts_with(&prefix) && name.len() == prefix.len() + 5, "{name}");
        meta["name"] = "generated".into();
        meta["uid"] = "chosen".into();
        meta["creationTimestamp"] = "now".into();
        meta.as_object_mut().unwrap().remove("managedFields");
    }
    value
}

/// The replay: a server, the recordings, and which of them were compared.
struct Replay {
    server: Server,
    recordings: BTreeMap<String, Recording>,
    compared: Vec<String>,
    differences: Vec<String>,
}

impl Replay {
    fn new() -> Self {
        let options = Options { system_objects: false, tokens: vec!["good".into()], ..Options::default() };
        let server = Server::start(options).unwrap();
        server.tokens().grant("nobody", Grant::nothing("system:serviceaccount:kube-system:nobody"));
        Self { server, recordings: Recording::all(), compared: Vec::new(), differences: Vec::new() }
    }

    fn recording(&self, number: &str) -> (String, Recording) {
        let found = self.recordings.iter().find(|(name, _)| name.starts_with(number)).expect(number);
        (found.0.clone(), found.1.clone())
    }

    fn import(&self, mut objects: Vec<(String, Value)>) {
        let version =
            |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
        objects.sort_by_key(|(_, object)| version(object));
        for (change, object) in objects {
            self.server.store().advance_to(version(&object) - 1);
            let meta = object["metadata"].clone();
            let text = |field: &str| meta[field].as_str().unwrap_or_default();
            match change.as_str() {
                "BOOKMARK" => self.server.store().advance_to(version(&object)),
                "DELETED" => {
                    self.server.store().delete("endpointslices", text("namespace"), text("name")).unwrap();
                }
                _ => drop(self.server.store().import(object).unwrap()),
            }
        }
    }

    fn begin(&self, number: &str, other_token: &str) -> Answer {
        let recording = self.recording(number).1;
        let line = |line: &String| line.replace("<token>", "good").replace("<other token>", other_token);
        let mut lines: Vec<String> = recording.request.iter().map(line).collect();
        lines[0] += " HTTP/1.1";
        for line in &mut lines {
            if line.starts_with("Content-Length") {
                *line = format!("Content-Length: {}", recording.request_body.len());
            }
        }
        let address: SocketAddr = self.server.address();
        support::send(address, &lines, &recording.request_body)
    }

    fn end(&mut self, number: &str, mut answer: Answer) {
        let (name, recording) = self.recording(number);
        let body = answer.text().unwrap();
        let differences = recording.differences(&answer, &body);
        self.differences.extend(differences.iter().map(|difference| format!("{name}: {difference}")));
        self.compared.push(name);
    }

    fn compare(&mut self, number: &str) {
        self.compare_as(number, "wrong");
    }

    fn compare_as(&mut self, number: &str, other_token: &str) {
        let answer = self.begin(number, other_token);
        self.end(number, answer);
    }

    /// A watch, and what happens meanwhile, and its end.
    fn watch(&mut self, number: &str, resource: &str, meanwhile: impl FnOnce(&Self)) {
        let answer = self.begin(number, "");
        meanwhile(self);
        self.server.faults().end_watches(Some(resource));
        self.end(number, answer);
    }
}

#[test]
fn the_answers_are_those_of_a_real_server() {
    let mut replay = Replay::new();
    let lists = ["07", "08", "09", "10", "13"].iter().flat_map(|number| replay.recording(number).1.objects());
    replay.import(lists.collect());
    for number in ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10"] {
        replay.compare(number);
    }
    let slice_events = replay.recording("11").1.objects();
    replay.watch("11", "endpointslices", |replay| {
        replay.import(slice_events);
        replay.server.store().bookmark("endpointslices");
    });
    replay.watch("12", "services", |_| {});
    replay.compare("13");
    // The watch through the selector saw the same changes as the one without, which has them whole.
    let mut changes = replay.recording("15").1.objects();
    let bookmarks = changes.split_off(2);
    replay.watch("14", "services", |replay| {
        replay.import(changes);
        replay.server.store().bookmark("services");
    });
    replay.import(bookmarks);
    replay.watch("15", "services", |replay| {
        replay.server.store().bookmark("services");
        replay.server.store().bookmark("services");
    });
    replay.compare("16");
    replay.server.store().advance_to(250);
    replay.compare("17");
    replay.compare("18");
    replay.compare("19");
    replay.compare_as("20", "nobody");
    replay.compare_as("21", "nobody");
    replay.compare("22");
    let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    replay.server.store().apply(home).unwrap();
    replay.server.store().advance_to(251);
    replay.compare("23");
    replay.server.store().compact();
    replay.compare("24");
    replay.server.store().advance_to(296);
    replay.server.store().compact();
    replay.compare("25");
    assert!(replay.differences.is_empty(), "{}", replay.differences.join("\n\n"));
    assert_eq!(replay.compared, replay.recordings.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn a_changed_recording_is_noticed() {
    let replay = Replay::new();
    let (_, mut recording) = replay.recording("19");
    let mut answer = replay.begin("19", "wrong");
    let body = answer.text().unwrap();
    assert_eq!(recording.differences(&answer, &body), Vec::<String>::new());
    recording.body = recording.body.replace("401", "402");
    recording.headers.retain(|(name, _)| name != "Cache-Control");
    recording.status_line += "!";
    assert_eq!(recording.differences(&answer, &body).len(), 3);
}
