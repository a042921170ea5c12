//! What can be put into watches that are open.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::feed::Message;
use crate::history::Table;
use crate::resources::Resource;
use crate::status::ApiError;

/// Something that a watcher does not expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "inject", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Injection {
    /// Half an event, then the connection breaks.
    Cut,
    /// A line that is no JSON.
    Malformed,
    /// An event of type `REVISED`.
    UnknownType,
    /// An ADDED event with an object of another kind.
    UnknownKind,
    /// A MODIFIED event with fields that no schema knows.
    UnknownFields,
    /// An object of so many megabytes.
    Huge {
        /// How many.
        megabytes: usize,
    },
    /// An ERROR event; the stream stays open.
    Error {
        /// The code of the status in it.
        code: u16,
    },
    /// Exactly this, and the end of the line.
    Raw {
        /// The line.
        line: String,
    },
    /// A bookmark.
    Bookmark {
        /// Its version.
        version: u64,
    },
    /// The end of the stream, as when its time is over.
    End,
}

impl Injection {
    /// What a watcher of this resource gets.
    pub(crate) fn message(&self, resource: &Resource, table: &Table) -> Message {
        let line = |kind: &str, object: &Value| {
            format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into_bytes()
        };
        let some = || sample(resource, table);
        Message::Raw(match self {
            Self::Cut => {
                let mut whole = line("MODIFIED", &some());
                whole.truncate(whole.len() / 2);
                return Message::Break(whole.into());
            }
            Self::End => return Message::End,
            Self::Bookmark { version } => return Message::Bookmark(*version),
            Self::Malformed => {
                b"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":]}}\n".as_slice().into()
            }
            Self::UnknownType => line("REVISED", &some()).into(),
            Self::UnknownKind => {
                let meta = json!({"name": "gadget", "namespace": "default", "resourceVersion": "1"});
                line("ADDED", &json!({"kind": "Gadget", "apiVersion": "example.com/v1", "metadata": meta}))
                    .into()
            }
            Self::UnknownFields => line("MODIFIED", &with_unknown_fields(some())).into(),
            Self::Huge { megabytes } => {
                let mut object = some();
                object["metadata"]["annotations"] = json!({"example.com/bulk": "x".repeat(megabytes << 20)});
                line("MODIFIED", &object).into()
            }
            Self::Error { code } => {
                format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", ApiError::of_code(*code, None, None).text())
                    .into()
            }
            Self::Raw { line } => format!("{line}\n").into(),
        })
    }
}

/// An object of the kind: the first there is, or one that never was.
fn sample(resource: &Resource, table: &Table) -> Value {
    if let Some(object) = table.objects.values().next() {
        return object.value();
    }
    let text = format!(
        r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"name":"sample","uid":"0","resourceVersion":"1"}}{}}}"#,
        resource.kind,
        resource.api_version(),
        resource.empty
    );
    let mut object: Value = serde_json::from_str(&text).unwrap_or_default();
    if resource.namespaced {
        object["metadata"]["namespace"] = "default".into();
    }
    object
}

fn with_unknown_fields(mut object: Value) -> Value {
    let unknown = json!({"from": ["the", "future"], "number": 1e3, "nothing": null});
    object["futureField"] = unknown.clone();
    object["metadata"]["futureField"] = unknown.clone();
    if object["spec"].is_object() {
        object["spec"]["futureField"] = unknown;
    }
    object
}
