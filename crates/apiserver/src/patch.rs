//! Patches of three kinds: merge, JSON, and strategic merge.

use serde_json::{Map, Value};

use crate::status::ApiError;
use crate::strategic;

/// Applies a patch of the given content type; `None` if the type is not known.
pub(crate) fn apply(content_type: &str, object: &mut Value, body: &[u8]) -> Result<(), ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => merge(object, &parse(body)?),
        "application/strategic-merge-patch+json" => strategic::merge(object, &parse(body)?),
        "application/apply-patch+yaml" => strategic::merge(object, &from_yaml(text)?),
        "application/json-patch+json" => return json_patch(object, &parse(body)?),
        other => {
            return Err(ApiError::unsupported_media_type(other));
        }
    }
    Ok(())
}

pub(crate) fn parse(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding the body: {error}")))
}

pub(crate) fn from_yaml(text: &str) -> Result<Value, ApiError> {
    serde_saphyr::from_str(text)
        .map_err(|error| ApiError::bad_request(format!("error decoding the body: {error}")))
}

/// RFC 7386.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            object.as_object_mut().map(|object| object.remove(name));
        } else {
            merge(&mut object[name.as_str()], value);
        }
    }
}

/// RFC 6902.
fn json_patch(object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    for operation in patch.as_array().into_iter().flatten() {
        step(object, operation).ok_or_else(|| {
            let message =
                format!("the server rejected our request due to an error in our request: {operation}");
            ApiError::new(422, "Invalid", message)
        })?;
    }
    Ok(())
}

/// One operation; `None` if it is not possible.
fn step(object: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    match operation["op"].as_str()? {
        "add" => add(object, path, operation.get("value")?.clone()),
        "replace" => {
            *object.pointer_mut(path)? = operation.get("value")?.clone();
            Some(())
        }
        "remove" => remove(object, path).map(drop),
        "test" => (object.pointer(path)? == operation.get("value")?).then_some(()),
        "copy" => {
            let value = object.pointer(operation["from"].as_str()?)?.clone();
            add(object, path, value)
        }
        "move" => {
            let value = remove(object, operation["from"].as_str()?)?;
            add(object, path, value)
        }
        _ => None,
    }
}

fn split(path: &str) -> Option<(&str, String)> {
    let (holder, last) = path.rsplit_once('/')?;
    Some((holder, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    let (holder, last) = split(path)?;
    match object.pointer_mut(holder)? {
        Value::Object(fields) => drop(fields.insert(last, value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let index = last.parse().ok().filter(|index| *index <= list.len())?;
            list.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (holder, last) = split(path)?;
    match object.pointer_mut(holder)? {
        Value::Object(fields) => fields.remove(&last),
        Value::Array(list) => {
            let index = last.parse().ok().filter(|index| *index < list.len())?;
            Some(list.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_removes_with_null() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut object, &json!({"a": {"b": null, "e": {"f": null}}, "d": [2]}));
        assert_eq!(object, json!({"a": {"c": 2, "e": {}}, "d": [2]}));
    }

    #[test]
    fn a_json_patch_is_done_step_by_step() {
        let mut object = json!({"taints": [{"key": "a"}, {"key": "b"}], "labels": {"x/y": "1"}});
        let patch = json!([
            {"op": "test", "path": "/taints/0/key", "value": "a"},
            {"op": "remove", "path": "/taints/0"},
            {"op": "replace", "path": "/labels/x~1y", "value": "2"},
            {"op": "add", "path": "/taints/-", "value": {"key": "c"}}
        ]);
        json_patch(&mut object, &patch).unwrap();
        assert_eq!(object, json!({"taints": [{"key": "b"}, {"key": "c"}], "labels": {"x/y": "2"}}));
        assert_eq!(
            json_patch(&mut object, &json!([{"op": "remove", "path": "/nothing"}])).unwrap_err().code,
            422
        );
    }
}
