//! One line of a watch.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::k8s::Kind;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Event<'a> {
    /// An object is there, in this version.
    Upsert(&'a str),
    /// It is gone; this was its last state.
    Deleted(&'a str),
    /// Everything up to the version was sent; `first_complete`: the first events are complete.
    Bookmark { first_complete: bool },
    /// The server ends the watch.
    Error(Box<Status>),
    /// An event or an object that was not asked for.
    Foreign(String),
}

/// An event, and the version that the watch has got to with it.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) event: Event<'a>,
    pub(super) version: Option<String>,
}

/// A Status object, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Status {
    pub(super) message: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) code: Option<u16>,
    pub(super) details: Option<StatusDetails>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StatusDetails {
    pub(super) retry_after_seconds: Option<u64>,
    pub(super) causes: Option<Vec<StatusCause>>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct StatusCause {
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Default, Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    annotations: Option<Annotations<'a>>,
}

#[derive(Default, Deserialize)]
struct Annotations<'a> {
    #[serde(rename = "k8s.io/initial-events-end", borrow)]
    initial_events_end: Option<Cow<'a, str>>,
}

/// Reads a line of a watch of this kind.
///
/// # Errors
/// When it is not JSON, or no event.
pub(super) fn parse(kind: Kind, line: &str) -> Result<Line<'_>, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_str(line)?;
    let object = envelope.object.get();
    // An object whose head cannot be read is told as a Problem by who decodes it.
    let head: Head<'_> = serde_json::from_str(object).unwrap_or_default();
    let metadata = head.metadata.unwrap_or_default();
    let version = metadata.resource_version.filter(|v| !v.is_empty()).map(Cow::into_owned);
    let ours = head.kind.as_deref().is_none_or(|found| is_kind(kind, found));
    let foreign = || format!("an object of kind {:?}", head.kind.as_deref().unwrap_or_default());
    let event = match &*envelope.kind {
        "ADDED" | "MODIFIED" if ours => Event::Upsert(object),
        "DELETED" if ours => Event::Deleted(object),
        "ADDED" | "MODIFIED" | "DELETED" => Event::Foreign(foreign()),
        "BOOKMARK" => {
            let end = metadata.annotations.and_then(|a| a.initial_events_end);
            Event::Bookmark { first_complete: end.as_deref() == Some("true") }
        }
        "ERROR" => Event::Error(Box::new(serde_json::from_str(object).unwrap_or_default())),
        other => Event::Foreign(format!("an event of type {other:?}")),
    };
    // The version of an ERROR, or of an object of another kind, is none of this collection's.
    let version = version.filter(|_| ours && !matches!(event, Event::Error(_)));
    Ok(Line { event, version })
}

/// Whether an object calls itself by this kind, or is only the metadata of one.
fn is_kind(kind: Kind, found: &str) -> bool {
    found == kind.as_str() || (kind == Kind::Namespace && found == "PartialObjectMetadata")
}

/// Whether a list calls itself a list of this kind.
pub(super) fn is_list_of(kind: Kind, found: &str) -> bool {
    found.strip_suffix("List").is_some_and(|one| is_kind(kind, one))
}

#[cfg(test)]
mod tests {
    use super::super::pieces::{Lines, Piece};
    use super::*;

    #[test]
    fn lines() {
        let service = r#"{"kind":"Service","metadata":{"name":"a","resourceVersion":"7"}}"#;
        let wrap = |kind: &str, object: &str| format!(r#"{{"type":"{kind}","object":{object}}}"#);
        for (kind, object, expected, version) in [
            ("ADDED", service, Event::Upsert(service), Some("7")),
            ("MODIFIED", service, Event::Upsert(service), Some("7")),
            ("DELETED", service, Event::Deleted(service), Some("7")),
            ("BOOKMARK", service, Event::Bookmark { first_complete: false }, Some("7")),
            (
                "BOOKMARK",
                r#"{"metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}},"spec":1}"#,
                Event::Bookmark { first_complete: true },
                Some("8"),
            ),
            (
                "ADDED",
                r#"{"kind":"Pod","metadata":{"resourceVersion":"9"}}"#,
                Event::Foreign(r#"an object of kind "Pod""#.into()),
                None,
            ),
            ("NEWS", service, Event::Foreign(r#"an event of type "NEWS""#.into()), Some("7")),
            ("ADDED", r#"{"metadata":3}"#, Event::Upsert(r#"{"metadata":3}"#), None),
            (
                "ERROR",
                r#"{"metadata":{"resourceVersion":"1"},"code":410}"#,
                Event::Error(Box::new(Status { code: Some(410), ..Status::default() })),
                None,
            ),
        ] {
            let text = wrap(kind, object);
            let line = parse(Kind::Service, &text).unwrap();
            assert_eq!((&line.event, line.version.as_deref()), (&expected, version), "{text}");
        }
        for text in ["", "{}", r#"{"type":"ADDED"}"#, r#"{"type":"ADDED","object":{"#, "404 page not found"] {
            assert!(parse(Kind::Service, text).is_err(), "{text}");
        }
    }

    #[test]
    fn kinds_of_lists() {
        assert!(is_list_of(Kind::Service, "ServiceList"));
        assert!(is_list_of(Kind::Namespace, "PartialObjectMetadataList"));
        assert!(!is_list_of(Kind::Service, "Status"));
        assert!(!is_list_of(Kind::Service, "PartialObjectMetadataList"));
    }

    fn summary(kind: Kind, text: &str) -> String {
        let Line { event, version } = parse(kind, text).unwrap();
        let name = |json: &str| super::super::scan::text_at(json.as_bytes(), &["metadata", "name"]).unwrap();
        let event = match event {
            Event::Upsert(json) => name(json),
            Event::Deleted(json) => format!("-{}", name(json)),
            Event::Bookmark { first_complete } => if first_complete { "end" } else { "mark" }.into(),
            Event::Error(status) => format!("error {:?} {:?}", status.code, status.reason),
            Event::Foreign(what) => what,
        };
        format!("{event}@{}", version.unwrap_or_default())
    }

    /// Bodies of a real server, cut at many places.
    #[test]
    fn recorded_watches() {
        for (kind, body, expected) in [
            (
                Kind::EndpointSlice,
                include_str!("../../tests/data/11-endpointslices-watch.jsonl"),
                "web-abcde@227 web-abcde@228 tmp-1@229 -tmp-1@230 mark@230",
            ),
            (
                Kind::Service,
                include_str!("../../tests/data/12-services-watch-initial-events.jsonl"),
                "kubernetes@206 db@219 ext@220 web@210 web-lb@225 web-nodeport@213 end@230",
            ),
            (
                Kind::Service,
                include_str!("../../tests/data/14-services-watch-selector.jsonl"),
                "-web@233 web@234 mark@234",
            ),
            (
                Kind::EndpointSlice,
                include_str!("../../tests/data/25-watch-too-old.jsonl"),
                "error Some(410) Some(\"Expired\")@",
            ),
        ] {
            for cut in (0..body.len()).step_by(7) {
                let (mut lines, mut found) = (Lines::new(1 << 20), Vec::new());
                for chunk in [&body.as_bytes()[..cut], &body.as_bytes()[cut..]] {
                    let each = |piece: Piece<'_>| {
                        let Piece::Whole(line) = piece else { panic!("too large") };
                        found.push(summary(kind, std::str::from_utf8(line).unwrap()));
                        Ok::<(), ()>(())
                    };
                    lines.feed(chunk, each).unwrap();
                }
                assert_eq!((found.join(" ").as_str(), lines.is_inside()), (expected, false), "cut at {cut}");
            }
        }
    }
}
