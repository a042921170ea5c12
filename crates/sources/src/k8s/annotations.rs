//! Annotations: those that mean something here, and names of ours that mean nothing.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::balance::shown;
use super::field::FieldError;

/// What all names of ours begin with.
const OURS: &str = "towpath.dev/";
/// Names that mean nothing that are told of one object.
const TOLD: usize = 4;
/// What a Service may have, for those who have written something else.
const OF_SERVICES: &str = "towpath.dev/prefer-local, towpath.dev/no-local, towpath.dev/strict-source-ranges, towpath.dev/drain-deadline, \
                           towpath.dev/weights and towpath.dev/scheduler";

/// The annotations that mean something here. Of equal names the last counts.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) trigger: Option<String>,
    pub(super) scheduler: Option<String>,
    pub(super) weights: Option<String>,
    pub(super) drain_deadline: Option<String>,
    pub(super) prefer_local: Option<String>,
    pub(super) no_local: Option<String>,
    pub(super) strict_source_ranges: Option<String>,
    pub(super) dns_intercept: Option<String>,
    /// Some of the names of ours that mean nothing.
    pub(super) unknown: Vec<String>,
}

type Slot = fn(&mut Annotations) -> &mut Option<String>;

/// What a name means.
enum Name {
    /// Kubernetes' own, which is a text.
    Trigger,
    /// One of ours.
    Ours(Slot),
    /// Looks like one of ours.
    Unknown(String),
    Other,
}

impl Name {
    fn new(name: &str) -> Self {
        let slot: Slot = match name {
            "endpoints.kubernetes.io/last-change-trigger-time" => return Name::Trigger,
            "towpath.dev/scheduler" => |all| &mut all.scheduler,
            "towpath.dev/weights" => |all| &mut all.weights,
            "towpath.dev/drain-deadline" => |all| &mut all.drain_deadline,
            "towpath.dev/prefer-local" => |all| &mut all.prefer_local,
            "towpath.dev/no-local" => |all| &mut all.no_local,
            "towpath.dev/strict-source-ranges" => |all| &mut all.strict_source_ranges,
            "towpath.dev/dns-intercept" => |all| &mut all.dns_intercept,
            name if name.starts_with(OURS) => return Name::Unknown(name.to_owned()),
            _ => return Name::Other,
        };
        Name::Ours(slot)
    }
}

/// Tells of names on a Service that mean nothing: most often a misspelt one, which would do nothing in silence.
pub(super) fn tell_unknown(annotations: Option<&Annotations>, warnings: &mut Vec<FieldError>) {
    for name in annotations.into_iter().flat_map(|found| &found.unknown) {
        let message = format!("{} means nothing on a Service, which may have {OF_SERVICES}", shown(name));
        warnings.push(FieldError::new("metadata.annotations", message));
    }
}

/// An annotation of ours. One that is no text (a number in a manifest, say) is read as what stands there: it must not
/// cost the whole object.
pub(super) fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Annotations, M::Error> {
        let mut found = Annotations::default();
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Trigger => found.trigger = map.next_value()?,
                Name::Ours(slot) => *slot(&mut found) = as_text(map.next_value()?),
                Name::Unknown(name) => {
                    map.next_value::<IgnoredAny>()?;
                    found.unknown.extend(Some(name).filter(|_| found.unknown.len() < TOLD));
                }
                Name::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl Visitor<'_> for OfText {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name::new(text))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ours_that_mean_nothing_are_told_and_others_are_not() {
        let text = r#"{"a/b": {"c": [1]}, "towpath.dev/weight": 3, "towpath.dev/weights": 7, "towpath.dev/weights": null,
            "towpath.dev/no-local": "reject", "endpoints.kubernetes.io/last-change-trigger-time": "t",
            "towpath.dev/1": "", "towpath.dev/2": "", "towpath.dev/3": "", "towpath.dev/4": ""}"#;
        let found: Annotations = serde_json::from_str(text).unwrap();
        assert_eq!((found.weights.as_deref(), found.no_local.as_deref()), (None, Some("reject")));
        assert_eq!(found.trigger.as_deref(), Some("t"));
        let mut warnings = Vec::new();
        tell_unknown(Some(&found), &mut warnings);
        assert_eq!(warnings.len(), TOLD);
        let first = warnings[0].to_string();
        assert!(first.starts_with("metadata.annotations: \"towpath.dev/weight\" means nothing"), "{first}");
        assert!(first.contains("towpath.dev/weights"), "{first}");
    }

    #[test]
    fn what_is_no_map_or_no_text_is_refused() {
        for bad in ["[]", "7", r#"{"endpoints.kubernetes.io/last-change-trigger-time": 7}"#] {
            assert!(serde_json::from_str::<Annotations>(bad).is_err(), "{bad}");
        }
        let long = format!(r#"{{"towpath.dev/{}": 1}}"#, "x".repeat(100_000));
        let mut warnings = Vec::new();
        tell_unknown(Some(&serde_json::from_str(&long).unwrap()), &mut warnings);
        assert!(warnings[0].to_string().len() < 600, "{}", warnings[0]);
    }
}
