//! Which objects there are, and that they fit together.

use std::fs;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::manifest::{self, DAEMONSET, STARTUP_TAINT};
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("every_object_is_one_that_was_meant", Needs::Text(every_object_is_one_that_was_meant)),
    ("every_field_is_one_that_kubernetes_has", Needs::Text(every_field_is_one_that_kubernetes_has)),
    ("roles_are_bound_to_the_account_of_the_pods", Needs::Text(roles_are_bound_to_the_account_of_the_pods)),
    ("pods_are_found_by_their_labels", Needs::Text(pods_are_found_by_their_labels)),
    ("one_place_is_to_be_edited", Needs::Text(one_place_is_to_be_edited)),
    ("the_page_for_operators_names_the_files", Needs::Text(the_page_for_operators_names_the_files)),
];

fn every_object_is_one_that_was_meant() -> Result<()> {
    let role = ("rbac.authorization.k8s.io/v1", "ClusterRole");
    let binding = ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding");
    let main = [("v1", "ServiceAccount"), role, binding, ("v1", "ConfigMap"), ("apps/v1", "DaemonSet")];
    for (file, name, wanted) in
        [(DAEMONSET, "towpath", &main[..]), (STARTUP_TAINT, "towpath-startup-taint", &[role, binding])]
    {
        let objects = manifest::objects(file)?;
        ensure!(objects.len() == wanted.len(), "{file}: {} objects", objects.len());
        for (object, (api_version, kind)) in objects.iter().zip(wanted) {
            ensure!(object["apiVersion"] == *api_version && object["kind"] == *kind, "{file}: {object}");
            let namespace = if kind.starts_with("Cluster") { Value::Null } else { json!("kube-system") };
            let metadata = &object["metadata"];
            ensure!(metadata["name"] == name && metadata["namespace"] == namespace, "{file}: {metadata}");
        }
    }
    Ok(())
}

/// Whatever is misspelt gets lost on the way through the types.
fn every_field_is_one_that_kubernetes_has() -> Result<()> {
    for file in [DAEMONSET, STARTUP_TAINT] {
        for object in manifest::objects(file)? {
            let known = match object["kind"].as_str() {
                Some("ServiceAccount") => through::<ServiceAccount>(&object)?,
                Some("ClusterRole") => through::<ClusterRole>(&object)?,
                Some("ClusterRoleBinding") => through::<ClusterRoleBinding>(&object)?,
                Some("ConfigMap") => through::<ConfigMap>(&object)?,
                _ => through::<DaemonSet>(&object)?,
            };
            ensure!(known == object, "{file}\ngiven {object}\nknown {known}");
        }
    }
    Ok(())
}

fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value> {
    let typed: T = serde_json::from_value(object.clone())?;
    Ok(serde_json::to_value(typed)?)
}

fn roles_are_bound_to_the_account_of_the_pods() -> Result<()> {
    let pod = manifest::pod()?;
    let subject = json!([{
        "kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "kube-system",
    }]);
    for file in [DAEMONSET, STARTUP_TAINT] {
        let role = manifest::object(file, "ClusterRole")?;
        let binding = manifest::object(file, "ClusterRoleBinding")?;
        let wanted = json!({
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"],
        });
        ensure!(binding["roleRef"] == wanted, "{file}: {}", binding["roleRef"]);
        ensure!(binding["subjects"] == subject, "{file}: {}", binding["subjects"]);
    }
    let account = manifest::object(DAEMONSET, "ServiceAccount")?;
    ensure!(account["metadata"]["name"] == pod["serviceAccountName"]);
    Ok(())
}

fn pods_are_found_by_their_labels() -> Result<()> {
    let set = manifest::object(DAEMONSET, "DaemonSet")?;
    let (selector, labels) =
        (&set["spec"]["selector"]["matchLabels"], &set["spec"]["template"]["metadata"]["labels"]);
    ensure!(selector.is_object() && selector == labels, "{selector} and {labels}");
    Ok(())
}

/// In the kubeconfig; comments may speak of it.
fn one_place_is_to_be_edited() -> Result<()> {
    let path = manifest::directory().join(DAEMONSET);
    let text = fs::read_to_string(path)?;
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let places: Vec<&str> = code.filter(|line| line.contains("API-SERVER")).map(str::trim).collect();
    ensure!(places == ["server: https://API-SERVER:6443"], "{places:?}");
    Ok(())
}

fn the_page_for_operators_names_the_files() -> Result<()> {
    let page = fs::read_to_string(manifest::repository().join("docs/install.md"))?;
    let container = manifest::container()?;
    let image = manifest::text(&container["image"])?;
    let files = [DAEMONSET, STARTUP_TAINT, "deploy/Containerfile", "deploy/tools.sh", "API-SERVER", image];
    for word in files.into_iter().chain(["/readyz", "/debug/rules", "towpath cleanup"]) {
        ensure!(page.contains(word), "docs/install.md does not say {word}");
    }
    let version = image.rsplit(':').next().unwrap_or_default();
    ensure!(version == env!("CARGO_PKG_VERSION"), "the image of another version is deployed: {image}");
    Ok(())
}
