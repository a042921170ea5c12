//! What was made and is not deleted yet: kept so that all of it goes, however the tests end.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use anyhow::{Result, bail};
use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, JSON};
use crate::place;

/// All that this run has on the server, by path.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: Mutex<Entries>,
    /// Nothing is made any more. Held for reading while something is.
    closed: RwLock<bool>,
}

#[derive(Default)]
struct Entries {
    there: BTreeSet<String>,
    /// Nodes with a taint of ours, and its key.
    taints: BTreeSet<(String, String)>,
    counts: Counts,
}

/// How many objects.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) created: usize,
    pub(crate) deleted: usize,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is made from now on; waits for what is just being made.
    pub(crate) fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Leave to make something, for as long as it is held.
    fn leave(&self) -> Result<RwLockReadGuard<'_, bool>> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            bail!("the run is being ended");
        }
        Ok(closed)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.entries().counts
    }

    /// What was made and is there, as far as is known; namespaces and Nodes come last.
    pub(crate) fn there(&self) -> Vec<String> {
        let mut all: Vec<String> = self.entries().there.iter().cloned().collect();
        all.sort_by_key(|path| is_outermost(path));
        all
    }

    /// Makes an object in the collection at a path. The server may refuse it: then `Err`.
    pub(crate) fn create(&self, api: &Api, collection: &str, object: &Value) -> Result<Value> {
        let path = path_of(collection, object);
        let _leave = self.leave()?;
        // Known before it is there: an answer may be lost.
        self.entries().there.insert(path.clone());
        let answer = api.ask(Method::POST, collection, JSON, object)?;
        self.created(&path, answer.code);
        answer.success("POST", &path)
    }

    /// Makes many objects.
    pub(crate) fn create_all(&self, api: &Api, collection: &str, objects: &[Value]) -> Result<()> {
        let _leave = self.leave()?;
        let paths = objects.iter().map(|object| path_of(collection, object));
        self.entries().there.extend(paths);
        for answer in api.post_all(collection, objects)? {
            let path = path_of(collection, &answer.object);
            self.created(&path, answer.code);
            answer.success("POST", &path)?;
        }
        Ok(())
    }

    fn created(&self, path: &str, code: u16) {
        let mut entries = self.entries();
        match code {
            200..300 => entries.counts.created += 1,
            // One that was there before is not ours; one that was refused is not there.
            400..500 => drop(entries.there.remove(path)),
            _ => {}
        }
    }

    /// What somebody else made for us. Nothing new if it is known.
    pub(crate) fn adopt(&self, path: String) {
        let mut entries = self.entries();
        if entries.there.insert(path) {
            entries.counts.created += 1;
        }
    }

    /// Deletes an object; it may be gone already.
    pub(crate) fn delete(&self, api: &Api, path: &str) -> Result<()> {
        let answer = api.ask(Method::DELETE, path, JSON, &json!({"propagationPolicy": "Background"}))?;
        if answer.code != 404 {
            answer.success("DELETE", path)?;
        }
        self.gone(path);
        Ok(())
    }

    /// An object is not there any more.
    pub(crate) fn gone(&self, path: &str) {
        let mut entries = self.entries();
        if entries.there.remove(path) {
            entries.counts.deleted += 1;
        }
    }

    /// A namespace is not there any more, and so nothing in it.
    pub(crate) fn gone_with(&self, namespace: &str) {
        let inside = format!("/{}/", namespace.trim_start_matches("/api/v1/"));
        let paths = self.there();
        paths
            .iter()
            .filter(|path| *path == namespace || path.contains(&inside))
            .for_each(|path| self.gone(path));
    }

    /// Puts a taint on a Node: one that keeps nothing away that runs, and that asks only to prefer others.
    pub(crate) fn taint(&self, api: &Api, node: &str, key: &str) -> Result<()> {
        let _leave = self.leave()?;
        self.entries().taints.insert((node.to_owned(), key.to_owned()));
        change_taints(api, node, |taints| {
            taints.push(json!({"key": key, "value": "towpath-conformance", "effect": "PreferNoSchedule"}));
        })
    }

    /// Takes all taints of ours off.
    pub(crate) fn remove_taints(&self, api: &Api) -> Result<()> {
        let taints: Vec<_> = self.entries().taints.iter().cloned().collect();
        for (node, key) in taints {
            let ours = |taint: &Value| taint["key"] == key.as_str();
            let found = api.get(&place::node(&node))?.unwrap_or_default();
            if found["spec"]["taints"].as_array().is_some_and(|taints| taints.iter().any(ours)) {
                change_taints(api, &node, |taints| taints.retain(|taint| !ours(taint)))?;
            }
            self.entries().taints.remove(&(node, key));
        }
        Ok(())
    }
}

fn is_outermost(path: &str) -> bool {
    let inside = path.strip_prefix(place::NAMESPACES).or_else(|| path.strip_prefix(place::NODES));
    inside.is_some_and(|rest| rest.matches('/').count() == 1)
}

fn path_of(collection: &str, object: &Value) -> String {
    format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default())
}

/// Changes the taints of exactly the version of the Node that was read, and tries again if somebody was faster.
fn change_taints(api: &Api, node: &str, change: impl Fn(&mut Vec<Value>)) -> Result<()> {
    let path = place::node(node);
    for _ in 0..10 {
        let Some(found) = api.get(&path)? else { bail!("there is no Node {node}") };
        let mut taints = found["spec"]["taints"].as_array().cloned().unwrap_or_default();
        change(&mut taints);
        let version = &found["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
        let answer = api.ask(Method::PATCH, &path, crate::api::MERGE, &patch)?;
        if answer.code != 409 {
            return answer.success("PATCH", &path).map(drop);
        }
    }
    bail!("the Node {node} is changed by others all the time");
}
