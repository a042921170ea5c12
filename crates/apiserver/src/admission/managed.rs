//! Managed fields in the shape of the real ones: who set which field. They are bulk that a client must bear.

use serde_json::{Map, Value, json};

use crate::ids;
use crate::object::meta;
use crate::resources::Resource;

/// Sets the managed fields: one manager for everything. They change only when the object does.
pub(super) fn set(resource: &Resource, old: Option<&Value>, object: &mut Value, manager: &str) {
    if let Some(old) = old {
        object["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
        object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if object == old {
            return;
        }
    }
    let fields = tree(object);
    object["metadata"]["managedFields"] = json!([{
        "manager": manager,
        "operation": "Update",
        "apiVersion": resource.api_version(),
        "time": if old.is_some() { ids::now() } else { meta(object, "creationTimestamp").to_owned() },
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }]);
}

/// The fields of an object.
fn tree(object: &Value) -> Value {
    let mut all = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "kind" | "apiVersion" | "status" => {}
            "metadata" => {
                let own = ["labels", "annotations", "generateName"].into_iter();
                let set = own.filter(|field| !value[*field].is_null());
                let fields: Map<_, _> =
                    set.map(|field| (format!("f:{field}"), leaves(&value[field]))).collect();
                if !fields.is_empty() {
                    all.insert("f:metadata".into(), fields.into());
                }
            }
            "spec" => {
                let fields = value.as_object().into_iter().flatten();
                let fields: Map<_, _> =
                    fields.map(|(name, value)| (format!("f:{name}"), of_spec(name, value))).collect();
                all.insert("f:spec".into(), fields.into());
            }
            _ => {
                all.insert(format!("f:{name}"), json!({}));
            }
        }
    }
    all.into()
}

fn of_spec(name: &str, value: &Value) -> Value {
    match value {
        Value::Array(ports) if name == "ports" => {
            let one = |port: &Value| {
                let key = format!(r#"k:{{"port":{},"protocol":{}}}"#, port["port"], port["protocol"]);
                (key, leaves(port))
            };
            let mut keys: Map<_, _> = ports.iter().map(one).collect();
            keys.insert(".".into(), json!({}));
            keys.into()
        }
        _ => json!({}),
    }
}

/// A map of which each field is managed.
fn leaves(value: &Value) -> Value {
    let Some(fields) = value.as_object() else { return json!({}) };
    let mut leaves: Map<_, _> = fields.keys().map(|name| (format!("f:{name}"), json!({}))).collect();
    leaves.insert(".".into(), json!({}));
    leaves.into()
}
