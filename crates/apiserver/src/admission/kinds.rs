//! Defaults of kinds other than Service, as far as their readers see them.

use serde_json::{Map, Value, json};

use crate::resources::Resource;
use crate::status::ApiError;

/// Sets the defaults of an object.
pub(super) fn set_defaults(resource: &Resource, object: &mut Value) -> Result<(), ApiError> {
    match resource.plural {
        "nodes" => node(object),
        "namespaces" => namespace(object),
        "events" => event(object),
        "endpointslices" => return endpoint_slice(resource, object),
        "pods" => default(&mut object["status"], "phase", "Pending".into()),
        "servicecidrs" => default(object, "status", json!({})),
        "daemonsets" => daemon_set(object),
        "clusterroles" => default(object, "rules", Value::Null),
        _ => {}
    }
    Ok(())
}

/// Sets a field that is absent; makes the object that holds it.
pub(super) fn default(holder: &mut Value, field: &str, value: Value) {
    if !holder.is_object() {
        *holder = Value::Object(Map::new());
    }
    if holder[field].is_null() {
        holder[field] = value;
    }
}

/// The items of a list that may be absent, found by the names on the way to it.
pub(super) fn items<'a>(object: &'a mut Value, path: &str) -> impl Iterator<Item = &'a mut Value> {
    object.pointer_mut(path).and_then(Value::as_array_mut).into_iter().flatten()
}

fn node(object: &mut Value) {
    default(object, "spec", json!({}));
    default(&mut object["status"], "daemonEndpoints", json!({"kubeletEndpoint": {"Port": 0}}));
    default(&mut object["status"], "nodeInfo", json!({}));
    for field in [
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ] {
        default(&mut object["status"]["nodeInfo"], field, "".into());
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    default(&mut object["metadata"], "labels", json!({}));
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    default(&mut object["spec"], "finalizers", json!(["kubernetes"]));
    default(&mut object["status"], "phase", "Active".into());
}

fn event(object: &mut Value) {
    if object["message"].as_str() == Some("")
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("message");
    }
    for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        default(object, field, Value::Null);
    }
    default(object, "source", json!({}));
    default(object, "reportingComponent", "".into());
    default(object, "reportingInstance", "".into());
}

fn endpoint_slice(resource: &Resource, object: &mut Value) -> Result<(), ApiError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !matches!(object["addressType"].as_str(), Some("IPv4" | "IPv6" | "FQDN")) {
        let problem = "Required value";
        return Err(ApiError::invalid(resource, &name, "addressType", problem));
    }
    default(object, "endpoints", Value::Null);
    default(object, "ports", Value::Null);
    for port in items(object, "/ports") {
        default(port, "name", "".into());
        default(port, "protocol", "TCP".into());
    }
    Ok(())
}

fn daemon_set(object: &mut Value) {
    default(&mut object["spec"], "revisionHistoryLimit", 10.into());
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    default(&mut object["spec"], "updateStrategy", rolling);
    for field in ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"] {
        default(&mut object["status"], field, 0.into());
    }
}
