//! Settings as text: YAML as kube-proxy writes it, JSON for `/configz`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::documents::Kind;
use crate::proxy::KubeProxyConfiguration;
use crate::towpath::TowpathConfiguration;
use crate::yaml;

/// Fields that Go leaves out when they are empty (`omitempty`).
const OMIT_EMPTY: &[&str] = &[
    "/featureGates",
    "/logging/format",
    "/logging/vmodule",
    "/logging/options/json/splitStream",
    "/logging/options/text/splitStream",
    "/windowsRunAsService",
];
/// Lists that Go writes as `null` when they are empty.
const NULL_WHEN_EMPTY: &[&str] = &["/nodePortAddresses", "/ipvs/excludeCIDRs"];

impl KubeProxyConfiguration {
    /// For `--write-config-to`: all fields, keys sorted, as kube-proxy writes them. [`crate::load`] reads it
    /// back. What v1alpha1 cannot say is lost, as in kube-proxy: a server that flags have switched off, and
    /// periods that flags have set to 0.
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.document())
    }

    /// For `/configz`: `{"kubeproxy.config.k8s.io": {...}}`.
    pub fn to_json(&self) -> String {
        json!({ "kubeproxy.config.k8s.io": self.document() }).to_string()
    }

    /// The document of kube-proxy's API.
    fn document(&self) -> Value {
        let mut value = with_head(self, Kind::KubeProxy);
        for path in OMIT_EMPTY {
            if value.pointer(path).is_some_and(is_empty) {
                remove(&mut value, path);
            }
        }
        for path in NULL_WHEN_EMPTY {
            if let Some(list) = value.pointer_mut(path).filter(|list| is_empty(list)) {
                *list = Value::Null;
            }
        }
        value
    }
}

impl TowpathConfiguration {
    /// The document `TowpathConfiguration`, as it is read.
    pub fn to_yaml(&self) -> String {
        yaml::write(&with_head(self, Kind::Towpath))
    }

    /// The same for `/configz`: `{"towpath.dev": {...}}`.
    pub fn to_json(&self) -> String {
        json!({ "towpath.dev": with_head(self, Kind::Towpath) }).to_string()
    }
}

fn with_head(settings: &impl Serialize, kind: Kind) -> Value {
    let mut value = plain(settings);
    if let Value::Object(fields) = &mut value {
        fields.insert("apiVersion".into(), kind.api_version().into());
        fields.insert("kind".into(), kind.name().into());
    }
    value
}

/// All fields, whatever they hold. Settings have nothing that JSON could not hold, so there is no error.
pub(crate) fn plain(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn remove(value: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(Value::Object(fields)) = value.pointer_mut(parent) {
        fields.remove(key);
    }
}
