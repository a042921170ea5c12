//! What the server adds to an object before it keeps it: metadata, defaults, addresses and ports.

mod kinds;
mod managed;
mod pool;
mod services;

use serde_json::{Value, json};

pub(crate) use pool::Allocators;

use crate::ids;
use crate::object::{Revision, meta};
use crate::resources::Resource;
use crate::status::ApiError;
use crate::store::{State, Store};

/// Makes of what a client sent what the server keeps. `old` is what is there now.
pub(crate) fn prepare(
    store: &Store,
    state: &mut State,
    resource: &'static Resource,
    old: Option<&Revision>,
    object: &mut Value,
    manager: &str,
) -> Result<(), ApiError> {
    let old = old.map(Revision::value);
    prepare_metadata(resource, old.as_ref(), object)?;
    if resource.plural == "services" {
        services::prepare(&mut state.allocators, resource, old.as_ref(), object)?;
    }
    kinds::set_defaults(resource, object)?;
    if resource.generation {
        set_generation(old.as_ref(), object);
    }
    if store.rules.bulky_managed_fields {
        managed::set(resource, old.as_ref(), object, manager);
    }
    Ok(())
}

/// Sets what a client may not choose.
fn prepare_metadata(resource: &Resource, old: Option<&Value>, object: &mut Value) -> Result<(), ApiError> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["kind"] = resource.kind.into();
    object["apiVersion"] = resource.api_version().into();
    let generate = meta(object, "generateName").to_owned();
    if meta(object, "name").is_empty() && !generate.is_empty() {
        object["metadata"]["name"] = format!("{generate}{}", ids::suffix()).into();
    }
    if meta(object, "name").is_empty() {
        let problem = "Required value: name or generateName is required";
        return Err(ApiError::invalid(resource, "", "metadata.name", problem));
    }
    let Some(metadata) = object["metadata"].as_object_mut() else { return Ok(()) };
    metadata.remove("managedFields");
    metadata.remove("resourceVersion");
    metadata.remove("selfLink");
    if !resource.namespaced {
        metadata.remove("namespace");
    }
    metadata.retain(|_, value| !is_empty(value));
    let kept = |field: &str| old.map(|old| &old["metadata"][field]).filter(|value| !value.is_null()).cloned();
    metadata.insert("uid".into(), kept("uid").unwrap_or_else(|| ids::uid().into()));
    let created = kept("creationTimestamp").unwrap_or_else(|| ids::now().into());
    metadata.insert("creationTimestamp".into(), created);
    Ok(())
}

/// What Go leaves out when it writes metadata.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Counts the changes of everything that is neither metadata nor status.
fn set_generation(old: Option<&Value>, object: &mut Value) {
    let generation = match old {
        None => 1,
        Some(old) => old["metadata"]["generation"].as_u64().unwrap_or(1) + u64::from(differs(old, object)),
    };
    object["metadata"]["generation"] = generation.into();
}

fn differs(old: &Value, new: &Value) -> bool {
    let counted = |object: &Value| {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("metadata");
            fields.remove("status");
        }
        object
    };
    counted(old) != counted(new)
}
