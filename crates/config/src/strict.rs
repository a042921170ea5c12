//! What strict decoding refuses and lenient decoding ignores: unknown and repeated fields.
//!
//! kube-proxy decodes strictly first and, for v1alpha1, leniently when only such fields are in the way. Both
//! of its decoders tell letter case apart (sigs.k8s.io/json), so `Mode` is an unknown field.

use std::fmt;

use serde_json::Value;

use crate::decode::path_text;
use crate::tree::{Entry, Node};

/// A field that counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    /// The path of the field.
    pub(crate) path: String,
    line: u64,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Unknown { similar: Option<String> },
    Repeated,
}

impl Stray {
    /// Without the path: `is not a field (line 3), did you mean mode?`
    pub(crate) fn reason(&self) -> String {
        let line = self.line;
        match &self.why {
            Why::Unknown { similar: None } => format!("is not a field (line {line})"),
            Why::Unknown { similar: Some(name) } => {
                format!("is not a field (line {line}), did you mean {name}?")
            }
            Why::Repeated => format!("is there again (line {line})"),
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.reason())
    }
}

/// How a document differs from its type.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) strays: Vec<Stray>,
    /// Paths where a mapping should be and something else is. serde alone would read a list into a struct.
    pub(crate) misshapen: Vec<Vec<String>>,
}

/// Compares a document with a value that has every field. An empty mapping there stands for any keys, and the
/// one item of a list for each item.
pub(crate) fn compare(node: &Node, schema: &Value) -> Differences {
    let mut differences = Differences::default();
    differences.walk(node, schema, &mut Vec::new());
    differences
}

impl Differences {
    fn walk(&mut self, node: &Node, schema: &Value, path: &mut Vec<String>) {
        match (schema, node) {
            (_, Node::Scalar(Value::Null)) => {}
            (Value::Object(known), Node::Map(entries)) => {
                for (i, entry) in entries.iter().enumerate() {
                    path.push(entry.key.clone());
                    self.repeated(&entries[..i], entry, path);
                    match known.get(&entry.key) {
                        Some(inner) => self.walk(&entry.value, inner, path),
                        None if known.is_empty() => {}
                        None => self.unknown(known, entry, path),
                    }
                    path.pop();
                }
            }
            (Value::Object(_), _) => self.misshapen.push(path.clone()),
            (Value::Array(samples), Node::List(items)) => {
                let sample = samples.first().unwrap_or(&Value::Null);
                for (i, item) in items.iter().enumerate() {
                    path.push(i.to_string());
                    self.walk(item, sample, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn repeated(&mut self, before: &[Entry], entry: &Entry, path: &[String]) {
        if before.iter().any(|other| other.key == entry.key) {
            self.strays.push(Stray { path: path_text(path), line: entry.line, why: Why::Repeated });
        }
    }

    fn unknown(&mut self, known: &serde_json::Map<String, Value>, entry: &Entry, path: &[String]) {
        let similar = known.keys().find(|name| name.eq_ignore_ascii_case(&entry.key)).cloned();
        let why = Why::Unknown { similar };
        self.strays.push(Stray { path: path_text(path), line: entry.line, why });
    }
}
