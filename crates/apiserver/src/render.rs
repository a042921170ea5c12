//! How an object is shown: whole, its metadata alone, or as a row of a table.

use serde_json::{Value, json};

use crate::feed::Change;
use crate::object::Revision;
use crate::resources::Resource;
use crate::table;

/// What a client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Objects as they are.
    Whole,
    /// `PartialObjectMetadata`.
    Metadata,
    /// `Table`, as kubectl wants it.
    Table,
}

impl View {
    /// The view that an `Accept` header asks for first.
    pub fn of_accept(accept: &str) -> Self {
        for media in accept.split(',') {
            let mut parameters = media.split(';').map(str::trim);
            let json = matches!(parameters.next(), Some("application/json" | "*/*" | "application/*"));
            let shape = parameters.clone().find_map(|it| it.strip_prefix("as="));
            let current = !parameters.any(|it| it == "v=v1beta1");
            match shape {
                None if json => return Self::Whole,
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if json && current => {
                    return Self::Metadata;
                }
                Some("Table") if json && current => return Self::Table,
                _ => {}
            }
        }
        Self::Whole
    }

    /// One object alone.
    pub fn object(self, object: &Revision) -> Vec<u8> {
        match self {
            Self::Whole => object.text().to_vec(),
            Self::Metadata => metadata(&object.value()).to_string().into_bytes(),
            Self::Table => {
                let version = object.version.to_string();
                table::table(object.resource, json!({"resourceVersion": version}), &[object.value()], true)
                    .to_string()
                    .into_bytes()
            }
        }
    }

    /// One line of a watch, added to `line`; a table says its columns with the first row alone.
    pub fn event(self, line: &mut Vec<u8>, change: Change, object: &Revision, first: bool) {
        line.extend_from_slice(br#"{"type":""#);
        line.extend_from_slice(change.name().as_bytes());
        line.extend_from_slice(br#"","object":"#);
        match self {
            Self::Whole => line.extend_from_slice(&object.text()),
            Self::Metadata => line.extend_from_slice(metadata(&object.value()).to_string().as_bytes()),
            Self::Table => {
                let meta = json!({"resourceVersion": object.version.to_string()});
                let table = table::table(object.resource, meta, &[object.value()], first);
                line.extend_from_slice(table.to_string().as_bytes());
            }
        }
        line.extend_from_slice(b"}\n");
    }

    /// A bookmark, perhaps the one that ends the initial events.
    pub fn bookmark(self, resource: &Resource, version: u64, initial_end: bool) -> String {
        let end = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
        let meta = format!(r#"{{"resourceVersion":"{version}"{}}}"#, if initial_end { end } else { "" });
        let object = match self {
            Self::Whole => format!(
                r#"{{"kind":"{}","apiVersion":"{}","metadata":{meta}{}}}"#,
                resource.kind,
                resource.api_version(),
                resource.empty
            ),
            Self::Metadata => {
                format!(
                    r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{meta}}}"#
                )
            }
            Self::Table => {
                let meta = serde_json::from_str(&meta).unwrap_or_default();
                table::table(resource, meta, &[], false).to_string()
            }
        };
        format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n")
    }
}

/// The metadata of an object, as an object.
pub(crate) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_view_is_taken() {
        for (accept, view) in [
            ("", View::Whole),
            ("application/json, */*", View::Whole),
            ("application/vnd.kubernetes.protobuf,application/json", View::Whole),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", View::Metadata),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", View::Table),
        ] {
            assert_eq!(View::of_accept(accept), view, "{accept}");
        }
    }
}
