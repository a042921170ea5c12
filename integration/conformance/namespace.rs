//! Namespaces come at once, and go slowly: who empties them is a controller, and a bare API server has none.

use std::time::{Duration, Instant};

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use crate::api::JSON;
use crate::cluster::{Cluster, MANAGED_BY};
use crate::place;

/// What controllers put into every namespace.
const FROM_CONTROLLERS: [&str; 2] = ["serviceaccounts", "configmaps"];
/// A namespace that is still there after this long, and that no controller minds, is finalised.
const MINDED: Duration = Duration::from_secs(5);
/// How long a namespace may take otherwise.
const LONGEST: Duration = Duration::from_secs(120);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How a namespace ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Gone,
    /// It is being deleted by who has to, and takes long.
    Terminating,
}

/// Makes one of ours.
pub(crate) fn create(cluster: &Cluster, name: &str) -> Result<()> {
    let metadata = json!({"name": name, "labels": {MANAGED_BY.0: MANAGED_BY.1}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    cluster.ledger.create(&cluster.api, place::NAMESPACES, &namespace).map(drop)
}

/// Deletes all that is ours in a namespace, and then itself.
pub(crate) fn remove(cluster: &Cluster, name: &str) -> Result<End> {
    // Where this is not allowed, a controller does it, if there is one.
    let emptied = empty(cluster, name);
    let minded = is_minded(cluster, name);
    if !minded {
        emptied?;
    }
    let path = place::namespace(name);
    let answer = cluster.api.ask(Method::DELETE, &path, JSON, &Value::Null)?;
    // 409: it is Terminating already.
    if !matches!(answer.code, 404 | 409) {
        answer.success("DELETE", &path)?;
    }
    let (since, mut finalised) = (Instant::now(), false);
    while let Some(namespace) = cluster.api.get(&path)? {
        if since.elapsed() > LONGEST {
            return Ok(End::Terminating);
        }
        if !finalised && since.elapsed() > MINDED && !minded && !is_minded(cluster, name) {
            finalised = true;
            finalise(cluster, name, namespace)?;
        }
        std::thread::sleep(LOOK);
    }
    cluster.ledger.gone_with(&path);
    Ok(End::Gone)
}

/// Also what is not known: an answer may have been lost.
fn empty(cluster: &Cluster, name: &str) -> Result<()> {
    for collection in [place::services(name), place::slices(name), place::events(name)] {
        for object in cluster.api.list(&collection)? {
            if let Some(name) = object["metadata"]["name"].as_str() {
                cluster.ledger.delete(&cluster.api, &format!("{collection}/{name}"))?;
            }
        }
    }
    Ok(())
}

/// Whether there are controllers, or may be: they end namespaces, too.
fn is_minded(cluster: &Cluster, name: &str) -> bool {
    let is_empty = |resource: &&str| {
        let path = format!("{}/{resource}", place::namespace(name));
        cluster.api.list(&path).is_ok_and(|items| items.is_empty())
    };
    !FROM_CONTROLLERS.iter().all(is_empty)
}

/// Does what the namespace controller would do at the end. It holds nothing any more.
fn finalise(cluster: &Cluster, name: &str, mut namespace: Value) -> Result<()> {
    eprintln!("conformance: there is no controller that ends namespaces: finalising {name}");
    if let Some(finalizers) = namespace["spec"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != "kubernetes");
    }
    let path = format!("{}/finalize", place::namespace(name));
    cluster.api.ask(Method::PUT, &path, JSON, &namespace)?.success("PUT", &path).map(drop)
}
