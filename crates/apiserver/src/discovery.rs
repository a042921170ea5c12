//! What the server says of itself: its version, its groups, their resources, its health.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::answers::{self, Answer};
use crate::body::Body;
use crate::options::Options;
use crate::resources::{RESOURCES, Resource};

/// What all resources can do.
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer for a path, if it is one of these.
pub(crate) fn answer(options: &Options, path: &str) -> Option<Answer> {
    let served = || RESOURCES.iter().filter(|it| !options.without.iter().any(|name| name == it.plural));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let value = match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => {
            return Some(answers::respond(200, "text/plain; charset=utf-8", Body::full("ok")));
        }
        ["version"] => return Some(answers::respond(200, "application/json", Body::full(version()))),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => {
            let groups: Vec<Value> = groups(served()).iter().map(|it| group(it)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] if groups(served()).contains(name) => {
            let mut group = group(name);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        ["api", "v1"] => resources("v1", served().filter(|it| it.group.is_empty())),
        ["apis", group, version] if groups(served()).contains(group) && version_of(group) == *version => {
            resources(&format!("{group}/{version}"), served().filter(|it| it.group == *group))
        }
        _ => return None,
    };
    Some(answers::json(200, &value))
}

fn groups<'a>(served: impl Iterator<Item = &'a Resource>) -> BTreeSet<&'static str> {
    served.map(|it| it.group).filter(|group| !group.is_empty()).collect()
}

fn group(name: &str) -> Value {
    let version = version_of(name);
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

/// The version of a group: each has one.
fn version_of(group: &str) -> &'static str {
    RESOURCES.iter().find(|it| it.group == group).map_or("v1", |it| it.version)
}

fn resources<'a>(version: &str, served: impl Iterator<Item = &'a Resource>) -> Value {
    let resources: Vec<Value> = served.flat_map(describe).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

/// A resource, and its status if it has one.
fn describe(resource: &Resource) -> Vec<Value> {
    let mut one = Map::from_iter([
        ("name".into(), resource.plural.into()),
        ("singularName".into(), resource.singular.into()),
        ("namespaced".into(), resource.namespaced.into()),
        ("kind".into(), resource.kind.into()),
        ("verbs".into(), VERBS.into()),
    ]);
    if !resource.short.is_empty() {
        one.insert("shortNames".into(), resource.short.into());
    }
    if matches!(resource.plural, "services" | "pods" | "daemonsets") {
        one.insert("categories".into(), ["all"].as_slice().into());
    }
    one.insert("storageVersionHash".into(), resource.hash.into());
    let mut all = vec![Value::Object(one)];
    if resource.status {
        all.push(json!({
            "name": format!("{}/status", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["get", "patch", "update"],
        }));
    }
    all
}

/// The version, in the form of the real server.
fn version() -> String {
    r#"{
  "major": "1",
  "minor": "36",
  "emulationMajor": "1",
  "emulationMinor": "36",
  "minCompatibilityMajor": "1",
  "minCompatibilityMinor": "35",
  "gitVersion": "v1.36.2",
  "gitCommit": "98b35193b2ac",
  "gitTreeState": "clean",
  "buildDate": "2026-08-21T00:00:00Z",
  "goVersion": "go1.26.6",
  "compiler": "gc",
  "platform": "linux/amd64"
}"#
    .to_owned()
}
