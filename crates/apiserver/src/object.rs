//! One version of one object: its text, written once, and what selectors ask of it.

use std::io::Write as _;
use std::ops::Range;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::resources::Resource;

/// The order of the fields of metadata, as the real server writes them; others follow.
const META: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];

/// One version of one object. All lists and watchers share its text.
#[derive(Debug)]
pub(crate) struct Revision {
    pub resource: &'static Resource,
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub version: u64,
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Field labels of the kind and what they are here.
    pub fields: Box<[(&'static str, Box<str>)]>,
    /// The whole object, with `kind` and `apiVersion` first.
    text: Bytes,
    /// Where `text` goes on after `kind` and `apiVersion`.
    after_kind: usize,
    /// Where the digits of `resourceVersion` are.
    digits: Range<usize>,
}

impl Revision {
    /// Writes the object at its version.
    pub fn new(resource: &'static Resource, version: u64, object: &Value) -> Self {
        let (text, after_kind, digits) = write(resource, version, object);
        Self {
            resource,
            namespace: meta(object, "namespace").into(),
            name: meta(object, "name").into(),
            version,
            labels: labels(object),
            fields: resource.fields.iter().map(|field| (*field, field_of(object, field).into())).collect(),
            text: text.into_boxed_slice().into(),
            after_kind,
            digits,
        }
    }

    /// The same object, said at another version: what a deletion shows.
    pub fn at(&self, version: u64) -> Self {
        let digits = version.to_string();
        let mut text = Vec::with_capacity(self.text.len() + 4);
        text.extend_from_slice(&self.text[..self.digits.start]);
        text.extend_from_slice(digits.as_bytes());
        text.extend_from_slice(&self.text[self.digits.end..]);
        Self {
            resource: self.resource,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            text: text.into_boxed_slice().into(),
            after_kind: self.after_kind,
            digits: self.digits.start..self.digits.start + digits.len(),
        }
    }

    /// The object's text.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// What follows `{` in a list, where items do not say their kind.
    pub fn item(&self) -> &[u8] {
        &self.text[self.after_kind..]
    }

    /// The object.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or_default()
    }

    /// `namespace/name`, or the name: the order of lists.
    pub fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }

    /// What a label is here.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| &**label == name).map(|(_, value)| &**value)
    }
}

/// `namespace/name`, or the name.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// A text of the metadata; empty if absent.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The labels of an object.
fn labels(object: &Value) -> Box<[(Box<str>, Box<str>)]> {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.as_str().into(), value.as_str().unwrap_or_default().into())).collect()
}

/// What a field label is for an object; absent fields are empty.
fn field_of(object: &Value, field: &str) -> String {
    let found = match field {
        "source" => &object["source"]["component"],
        _ => field.split('.').fold(object, |value, part| &value[part]),
    };
    match (found, field) {
        (Value::String(text), _) => text.clone(),
        (Value::Null, "spec.unschedulable" | "spec.hostNetwork") => "false".into(),
        (Value::Null, _) => String::new(),
        (other, _) => other.to_string(),
    }
}

/// Writes kind, metadata and the rest, in this order, and says where the parts are.
fn write(resource: &Resource, version: u64, object: &Value) -> (Vec<u8>, usize, Range<usize>) {
    let mut text = Vec::with_capacity(2048);
    let _ = write!(text, r#"{{"kind":"{}","apiVersion":"{}","#, resource.kind, resource.api_version());
    let after_kind = text.len();
    text.extend_from_slice(br#""metadata":{"#);
    let empty = Map::new();
    let digits = write_meta(&mut text, object["metadata"].as_object().unwrap_or(&empty), version);
    text.push(b'}');
    for (name, value) in object.as_object().unwrap_or(&empty) {
        if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            text.push(b',');
            write_field(&mut text, name, value);
        }
    }
    text.push(b'}');
    (text, after_kind, digits)
}

/// Writes `"name":value`.
fn write_field(text: &mut Vec<u8>, name: &str, value: &Value) {
    // Writing JSON into memory cannot fail.
    let _ = serde_json::to_writer(&mut *text, name);
    text.push(b':');
    let _ = serde_json::to_writer(text, value);
}

/// Writes the fields of metadata; returns where the digits of the version are.
fn write_meta(text: &mut Vec<u8>, meta: &Map<String, Value>, version: u64) -> Range<usize> {
    let mut digits = 0..0;
    for name in META {
        if *name == "resourceVersion" {
            text.extend_from_slice(br#""resourceVersion":""#);
            let start = text.len();
            let _ = write!(text, "{version}");
            digits = start..text.len();
            text.extend_from_slice(b"\",");
        } else if let Some(value) = meta.get(*name) {
            write_field(text, name, value);
            text.push(b',');
        }
    }
    for (name, value) in meta.iter().filter(|(name, _)| !META.contains(&name.as_str())) {
        write_field(text, name, value);
        text.push(b',');
    }
    // The version is always there, and so is a comma behind the last field.
    text.pop();
    digits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_can_be_replaced_in_the_text() {
        let resource = Resource::named("services").unwrap();
        let object = json!({"metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web"}},
            "spec": {"clusterIP": "10.0.0.1"}});
        let first = Revision::new(resource, 9, &object);
        let second = first.at(1234);
        let mut expected = object;
        expected["kind"] = json!("Service");
        expected["apiVersion"] = json!("v1");
        expected["metadata"]["resourceVersion"] = json!("1234");
        assert_eq!(second.value(), expected);
        assert_eq!(second.at(9).text(), first.text());
        assert_eq!(first.fields[0], ("spec.clusterIP", "10.0.0.1".into()));
        assert!(first.item().starts_with(br#""metadata":{"name":"web","namespace":"shop""#));
    }
}
