//! Labels: the few that mean something to a proxy, and all of them for selectors.

use std::fmt;

use model::Interner;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::field::FieldError;

/// The Service that a slice belongs to.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Another proxy's work; counts by being there, whatever its value.
pub(super) const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// The zone of a Node.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
/// Who writes a slice; most often the same for all.
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The ServiceImport that a slice belongs to.
pub(super) const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";
/// The cluster that a slice of a ServiceImport comes from.
pub(super) const IMPORT_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";

/// Most octets of all labels of one object that are kept. Kubernetes bounds an object to about 1.5 MiB.
const LIMIT: usize = 64 << 10;

/// All labels whose value is a text, or nothing. The labels that mean something here must be one of both; others that
/// are not (a number in a manifest, say) are skipped: they must not cost the whole object.
#[derive(Debug, Default)]
pub(super) struct Labels(Vec<(String, Option<String>)>);

impl Labels {
    /// The value of a label, if it has any text.
    pub(super) fn get(&self, key: &str) -> Option<&String> {
        self.find(key)?.as_ref()
    }

    /// Whether a label is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Of equal keys the last counts.
    fn find(&self, key: &str) -> Option<&Option<String>> {
        self.0.iter().rev().find(|(found, _)| found == key).map(|(_, value)| value)
    }
}

/// The labels that selectors may ask for, without those of `apart`. Too many are none, with a warning.
pub(super) fn selectable(
    labels: Option<&Labels>,
    apart: &[&str],
    names: &mut Interner,
    warnings: &mut Vec<FieldError>,
) -> model::Labels {
    let all = || labels.into_iter().flat_map(|labels| &labels.0);
    let pairs = || all().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    let kept = || pairs().filter(|(key, _)| !apart.contains(key));
    let size: usize = kept().map(|(key, value)| key.len() + value.len()).sum();
    if size > LIMIT {
        let message =
            format!("{size} octets are more than {LIMIT}: no selector sees them, remove some of them");
        warnings.push(FieldError::new("metadata.labels", message));
        return model::Labels::default();
    }
    model::Labels::shared(kept(), names)
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut found = Vec::with_capacity(map.size_hint().unwrap_or_default().min(64));
        while let Some(key) = map.next_key::<String>()? {
            if key == PROXY_NAME {
                found.push((key, map.next_value::<Option<String>>()?.or_else(|| Some(String::new()))));
            } else if [SERVICE_NAME, ZONE, IMPORT_NAME, IMPORT_CLUSTER].contains(&key.as_str()) {
                found.push((key, map.next_value()?));
            } else if let Lenient::Text(value) = map.next_value()? {
                found.push((key, Some(value)));
            }
        }
        Ok(Labels(found))
    }
}

/// A text, or something else that is skipped.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Lenient {
    Text(String),
    Other(IgnoredAny),
}
