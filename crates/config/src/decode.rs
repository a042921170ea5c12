//! From a document's tree to its type: strictly, with every complaint, and leniently on request.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problem::{ConfigProblem, Problems};
use crate::strict::{Stray, compare};
use crate::tree::Node;

/// What a document holds.
pub(crate) struct Decoded<T> {
    /// The values that could be read; the others are at their default.
    pub(crate) value: T,
    /// Fields that strict decoding refuses.
    pub(crate) strays: Vec<Stray>,
}

/// Reads a document. `schema` is the type's own value with every field in it. Values of a wrong type are
/// problems, all of them.
pub(crate) fn decode<T>(node: &Node, schema: &Value, problems: &mut Problems) -> Decoded<T>
where
    T: DeserializeOwned + Serialize + Default,
{
    let differences = compare(node, schema);
    let mut json = node.to_json();
    for path in &differences.misshapen {
        problems.0.push(complaint(node, &json, path, "expected a mapping of fields"));
        remove(&mut json, path);
    }
    Decoded { value: typed(node, json, problems), strays: differences.strays }
}

/// Takes out what is of a wrong type, one after the other, until the rest can be read.
fn typed<T: DeserializeOwned + Default>(node: &Node, mut json: Value, problems: &mut Problems) -> T {
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(json.clone()) {
            Ok(value) => return value,
            Err(error) => error,
        };
        let path: Vec<String> = error.path().iter().filter_map(segment).collect();
        problems.0.push(complaint(node, &json, &path, &in_words(&error.inner().to_string())));
        if !remove(&mut json, &path) {
            return T::default();
        }
    }
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        _ => None,
    }
}

fn complaint(node: &Node, json: &Value, path: &[String], message: &str) -> ConfigProblem {
    let found = path.iter().try_fold(json, |value, key| step(value, key));
    let found = match found {
        Some(value @ (Value::Object(_) | Value::Array(_))) => kind_of(value).to_owned(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let line = line_of(node, path).map(|line| format!(" (line {line})")).unwrap_or_default();
    ConfigProblem::new(path_text(path), found, format!("{message}{line}"))
}

fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a mapping of fields",
        Value::Array(_) => "a list",
        _ => "a single value",
    }
}

/// `conntrack.min`, `nodePortAddresses[1]`.
pub(crate) fn path_text(path: &[String]) -> String {
    let mut text = String::new();
    for key in path {
        match key.parse::<usize>() {
            Ok(index) => text.push_str(&format!("[{index}]")),
            Err(_) if text.is_empty() => text.push_str(key),
            Err(_) => text.push_str(&format!(".{key}")),
        }
    }
    text
}

fn line_of(node: &Node, path: &[String]) -> Option<u64> {
    let (key, rest) = path.split_first()?;
    match node {
        Node::Map(_) => {
            let entry = node.get(key)?;
            line_of(&entry.value, rest).or(Some(entry.line)).filter(|line| *line > 0)
        }
        Node::List(items) => line_of(items.get(key.parse::<usize>().ok()?)?, rest),
        Node::Scalar(_) => None,
    }
}

/// Removes the field that a path leads to. An item of a list takes its list with it.
fn remove(json: &mut Value, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return false;
    };
    let Value::Object(fields) = json else {
        return false;
    };
    let inside = fields.get_mut(key).is_some_and(|inner| remove(inner, rest));
    inside || fields.remove(key).is_some()
}

/// serde's sentence in words of the file. What was found is said beside it.
fn in_words(message: &str) -> String {
    let Some((_, expected)) = message.rsplit_once(", expected ").filter(|_| message.starts_with("invalid"))
    else {
        return message.to_owned();
    };
    let expected = match expected {
        "i32" => "a whole number of 32 bits",
        "u32" => "a whole number of 32 bits, not below 0",
        "f32" => "a number",
        "a boolean" => "true or false",
        "a string" => "a string: put it in quotes if it looks like something else",
        "a sequence" => "a list",
        "a map" => "a mapping of fields",
        other if other.starts_with("struct ") => "a mapping of fields",
        other => other,
    };
    format!("expected {expected}")
}
