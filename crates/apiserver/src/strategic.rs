//! Strategic merge patches: lists of objects are merged by a key.

use serde_json::{Map, Value};

/// Merges a patch into an object.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    merge_at(object, patch, &[]);
}

/// The key by which a list is merged; lists without a key are replaced.
fn merge_key(path: &[&str]) -> Option<&'static str> {
    match path {
        [.., "spec", "ports"] => Some("port"),
        [.., "containers" | "initContainers" | "ephemeralContainers", "ports"] => Some("containerPort"),
        [.., "containers" | "initContainers" | "ephemeralContainers", "env"] => Some("name"),
        [.., "containers" | "initContainers" | "ephemeralContainers", "volumeMounts"] => Some("mountPath"),
        [.., "containers" | "initContainers" | "ephemeralContainers", "volumeDevices"] => Some("devicePath"),
        [
            ..,
            "spec",
            "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets",
        ] => Some("name"),
        ["secrets" | "imagePullSecrets"] => Some("name"),
        [.., "spec", "hostAliases"] => Some("ip"),
        [.., "spec", "topologySpreadConstraints"] => Some("topologyKey"),
        [.., "metadata", "ownerReferences"] => Some("uid"),
        ["status", "conditions" | "addresses"] => Some("type"),
        _ => None,
    }
}

/// Whether a list of plain values is merged as a set.
fn is_set(path: &[&str]) -> bool {
    matches!(path, [.., "metadata", "finalizers"] | ["spec", "podCIDRs"])
}

fn merge_at(object: &mut Value, patch: &Value, path: &[&str]) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if fields.get("$patch").is_some_and(|it| it == "replace") || !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if let Some(keys) = fields.get("$retainKeys").and_then(Value::as_array)
        && let Some(object) = object.as_object_mut()
    {
        object.retain(|name, _| keys.iter().any(|key| key == name));
    }
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with('$')) {
        let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
        merge_field(object, name, value, &path);
    }
    for (name, value) in fields {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().cloned().unwrap_or_default();
            object[list].as_array_mut().into_iter().for_each(|list| list.retain(|it| !gone.contains(it)));
        }
        if let Some(list) = name.strip_prefix("$setElementOrder/") {
            set_order(&mut object[list], value);
        }
    }
    // Indexing made absent lists null.
    object.as_object_mut().into_iter().for_each(|object| object.retain(|_, value| !value.is_null()));
}

fn merge_field(object: &mut Value, name: &str, value: &Value, path: &[&str]) {
    match value {
        Value::Null => drop(object.as_object_mut().map(|object| object.remove(name))),
        Value::Object(fields) if fields.get("$patch").is_some_and(|it| it == "delete") => {
            object.as_object_mut().map(|object| object.remove(name));
        }
        Value::Object(_) => merge_at(&mut object[name], value, path),
        Value::Array(items) => match merge_key(path) {
            Some(key) => merge_list(&mut object[name], items, key, path),
            None if is_set(path) => merge_set(&mut object[name], items),
            None => object[name] = value.clone(),
        },
        _ => object[name] = value.clone(),
    }
}

fn as_list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was made a list"),
    }
}

fn merge_set(list: &mut Value, items: &[Value]) {
    let list = as_list(list);
    for item in items {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn merge_list(list: &mut Value, items: &[Value], key: &str, path: &[&str]) {
    let list = as_list(list);
    if items.iter().any(|item| item["$patch"] == "replace") {
        list.clear();
    }
    for item in items {
        let same = |other: &Value| other[key] == item[key];
        match (item["$patch"].as_str(), list.iter().position(same)) {
            (Some("replace"), _) => {}
            (Some("delete"), _) => list.retain(|other| !same(other)),
            (_, Some(index)) => merge_at(&mut list[index], item, path),
            (_, None) => {
                let mut new = Value::Null;
                merge_at(&mut new, item, path);
                list.push(new);
            }
        }
    }
}

/// Puts a list in the order that a patch says; what it does not name stays behind.
fn set_order(list: &mut Value, order: &Value) {
    let (Some(list), Some(order)) = (list.as_array_mut(), order.as_array()) else { return };
    let names = |wanted: &Value, item: &Value| match wanted {
        Value::Object(keys) => keys.iter().all(|(key, value)| item[key.as_str()] == *value),
        plain => plain == item,
    };
    list.sort_by_key(|item| order.iter().position(|wanted| names(wanted, item)).unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_merged_by_number() {
        let mut object =
            json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81}], "type": "ClusterIP"}});
        let patch = json!({"spec": {
            "$setElementOrder/ports": [{"port": 82}, {"port": 80}],
            "ports": [{"port": 80, "targetPort": 8080}, {"port": 82}, {"port": 81, "$patch": "delete"}]
        }});
        merge(&mut object, &patch);
        let ports = json!([{"port": 82}, {"port": 80, "name": "a", "targetPort": 8080}]);
        assert_eq!(object, json!({"spec": {"ports": ports, "type": "ClusterIP"}}));
    }

    #[test]
    fn taints_are_replaced() {
        let mut object = json!({"spec": {"taints": [{"key": "a"}, {"key": "b"}]}});
        merge(&mut object, &json!({"spec": {"taints": [{"key": "b"}]}}));
        assert_eq!(object, json!({"spec": {"taints": [{"key": "b"}]}}));
        merge(&mut object, &json!({"spec": {"taints": null}}));
        assert_eq!(object, json!({"spec": {}}));
    }
}
