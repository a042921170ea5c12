//! Tables, from which kubectl prints.

use serde_json::{Value, json};

use crate::ids;
use crate::object::meta;
use crate::render;
use crate::resources::Resource;

type Cell = fn(&Value) -> Value;

/// Name, priority (0 is always shown, 1 with `-o wide`), and what stands there.
type Column = (&'static str, u8, Cell);

const NAME: Column = ("Name", 0, |object| meta(object, "name").into());
const AGE: Column = ("Age", 0, |object| age(meta(object, "creationTimestamp")).into());

const SERVICE: &[Column] = &[
    NAME,
    ("Type", 0, |object| object["spec"]["type"].clone()),
    ("Cluster-IP", 0, |object| or_none(&object["spec"]["clusterIP"])),
    ("External-IP", 0, external_ip),
    ("Port(s)", 0, ports),
    AGE,
    ("Selector", 1, |object| pairs(&object["spec"]["selector"]).into()),
];

const NODE: &[Column] = &[
    NAME,
    ("Status", 0, node_status),
    ("Roles", 0, |_| "<none>".into()),
    AGE,
    ("Version", 0, |object| object["status"]["nodeInfo"]["kubeletVersion"].clone()),
    ("Internal-IP", 1, internal_ip),
];

const SLICE: &[Column] = &[
    NAME,
    ("AddressType", 0, |object| object["addressType"].clone()),
    ("Ports", 0, |object| joined(&object["ports"], |port| port["port"].to_string())),
    ("Endpoints", 0, |object| joined(&object["endpoints"], |it| words(&it["addresses"]))),
    AGE,
];

const NAMESPACE: &[Column] = &[NAME, ("Status", 0, |object| object["status"]["phase"].clone()), AGE];

const SERVICE_CIDR: &[Column] = &[NAME, ("CIDRs", 0, |object| words(&object["spec"]["cidrs"]).into()), AGE];

const DAEMON_SET: &[Column] = &[
    NAME,
    ("Desired", 0, |object| object["status"]["desiredNumberScheduled"].clone()),
    ("Ready", 0, |object| object["status"]["numberReady"].clone()),
    AGE,
];

const EVENT: &[Column] = &[
    ("Last Seen", 0, |object| age(object["lastTimestamp"].as_str().unwrap_or_default()).into()),
    ("Type", 0, |object| object["type"].clone()),
    ("Reason", 0, |object| object["reason"].clone()),
    ("Object", 0, |object| {
        let about = &object["involvedObject"];
        let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
        format!("{kind}/{}", about["name"].as_str().unwrap_or_default()).into()
    }),
    ("Message", 0, |object| object["message"].as_str().unwrap_or_default().into()),
];

fn columns(resource: &Resource) -> &'static [Column] {
    match resource.plural {
        "services" => SERVICE,
        "nodes" => NODE,
        "endpointslices" => SLICE,
        "namespaces" => NAMESPACE,
        "servicecidrs" => SERVICE_CIDR,
        "daemonsets" => DAEMON_SET,
        "events" => EVENT,
        _ => &[NAME, AGE],
    }
}

/// A table of objects, with or without the definitions of its columns.
pub(crate) fn table(resource: &Resource, meta: Value, objects: &[Value], definitions: bool) -> Value {
    let columns = columns(resource);
    let defined: Vec<Value> = columns.iter().map(definition).collect();
    let rows: Vec<Value> = objects.iter().map(|object| row(columns, object)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": if definitions { defined } else { Vec::new() },
        "rows": rows,
    })
}

fn definition((name, priority, _): &Column) -> Value {
    let format = if *name == "Name" { "name" } else { "" };
    json!({"name": name, "type": "string", "format": format, "description": name, "priority": priority})
}

fn row(columns: &[Column], object: &Value) -> Value {
    let cells: Vec<Value> = columns.iter().map(|(_, _, cell)| cell(object)).collect();
    json!({"cells": cells, "object": render::metadata(object)})
}

fn or_none(value: &Value) -> Value {
    if value.as_str().is_none_or(str::is_empty) { "<none>".into() } else { value.clone() }
}

fn joined(list: &Value, text: fn(&Value) -> String) -> Value {
    let all: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
    match all.len() {
        0 => "<unset>".into(),
        1..=3 => all.join(",").into(),
        count => format!("{} + {} more...", all[..3].join(","), count - 3).into(),
    }
}

fn words(list: &Value) -> String {
    let all: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    all.join(",")
}

fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let all: Vec<String> =
        pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    if all.is_empty() { "<none>".into() } else { all.join(",") }
}

fn external_ip(object: &Value) -> Value {
    let spec = &object["spec"];
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    let mut all: Vec<&str> = ingress.filter_map(|it| it["ip"].as_str().or(it["hostname"].as_str())).collect();
    all.extend(spec["externalIPs"].as_array().into_iter().flatten().filter_map(Value::as_str));
    match spec["type"].as_str() {
        Some("ExternalName") => or_none(&spec["externalName"]),
        Some("LoadBalancer") if all.is_empty() => "<pending>".into(),
        _ if all.is_empty() => "<none>".into(),
        _ => all.join(",").into(),
    }
}

fn ports(object: &Value) -> Value {
    let one = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or_default();
        match port["nodePort"].as_u64() {
            Some(node_port) => format!("{}:{node_port}/{protocol}", port["port"]),
            None => format!("{}/{protocol}", port["port"]),
        }
    };
    let all: Vec<String> = object["spec"]["ports"].as_array().into_iter().flatten().map(one).collect();
    if all.is_empty() { "<none>".into() } else { all.join(",").into() }
}

fn node_status(object: &Value) -> Value {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.find(|it| it["type"] == "Ready").map(|it| it["status"] == "True");
    let mut text = match ready {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        text.push_str(",SchedulingDisabled");
    }
    text.into()
}

fn internal_ip(object: &Value) -> Value {
    let mut addresses = object["status"]["addresses"].as_array().into_iter().flatten();
    let found = addresses.find(|it| it["type"] == "InternalIP").map(|it| it["address"].clone());
    found.unwrap_or_else(|| "<none>".into())
}

/// How long ago a time was, as kubectl says it.
fn age(time: &str) -> String {
    let Some(time) = ids::parse(time) else { return "<unknown>".into() };
    match ids::unix_now().saturating_sub(time) {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7200 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
