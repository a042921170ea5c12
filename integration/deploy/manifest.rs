//! The objects in `deploy/*.yaml`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// What `kubectl apply` gets first.
pub(crate) const DAEMONSET: &str = "daemonset.yaml";
/// What only the start-up taint needs.
pub(crate) const STARTUP_TAINT: &str = "startup-taint.yaml";

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The directory of what is deployed.
pub(crate) fn directory() -> PathBuf {
    repository().join("deploy")
}

/// The objects of a file, in their order.
pub(crate) fn objects(file: &str) -> Result<Vec<Value>> {
    let path = directory().join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("in {}", path.display()))
}

/// The only object of a kind in a file.
pub(crate) fn object(file: &str, kind: &str) -> Result<Value> {
    let mut found = objects(file)?.into_iter().filter(|object| object["kind"] == kind);
    let object = found.next().with_context(|| format!("{file} has no {kind}"))?;
    anyhow::ensure!(found.next().is_none(), "{file} has more than one {kind}");
    Ok(object)
}

/// The pod's specification.
pub(crate) fn pod() -> Result<Value> {
    Ok(object(DAEMONSET, "DaemonSet")?["spec"]["template"]["spec"].take())
}

/// The only container.
pub(crate) fn container() -> Result<Value> {
    let mut pod = pod()?;
    let containers = pod["containers"].as_array_mut().context("a pod has containers")?;
    anyhow::ensure!(containers.len() == 1, "one container is enough");
    Ok(containers.remove(0))
}

/// A file that the ConfigMap holds.
pub(crate) fn config_file(name: &str) -> Result<String> {
    let map = object(DAEMONSET, "ConfigMap")?;
    let text = map["data"][name].as_str().with_context(|| format!("the ConfigMap has no {name}"))?;
    Ok(text.to_owned())
}

/// The document of a kind in the ConfigMap's `config.yaml`.
pub(crate) fn settings(kind: &str) -> Result<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&config_file("config.yaml")?)?;
    documents.into_iter().find(|d| d["kind"] == kind).with_context(|| format!("config.yaml has no {kind}"))
}

/// A list of texts; what is no text is an error.
pub(crate) fn texts(list: &Value) -> Result<Vec<String>> {
    let list = list.as_array().with_context(|| format!("not a list: {list}"))?;
    list.iter().map(|v| v.as_str().map(str::to_owned).with_context(|| format!("not a text: {v}"))).collect()
}

/// A list of mappings.
pub(crate) fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("not a list: {value}"))
}

/// A text.
pub(crate) fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("not a text: {value}"))
}
