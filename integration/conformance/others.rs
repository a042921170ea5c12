//! Node, ServiceCIDRs, Namespaces, and the snapshot of all.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Completion;
use model::Change;
use serde_json::{Value, json};
use sources::{Kept, snapshot};

use crate::Test;
use crate::case::{Case, done, ignored, port};
use crate::namespace::{self, End};
use crate::place;

pub(crate) const TESTS: &[Test] = &[
    ("this_node_alone", this_node_alone),
    ("service_cidrs", service_cidrs),
    ("namespaces_come_and_go", namespaces_come_and_go),
    ("a_snapshot_of_everything_reads_back_the_same", a_snapshot_reads_back_the_same),
];

fn this_node_alone(case: &Case) -> Result<Completion> {
    let reader = case.synced()?;
    let node = &case.cluster.node;
    let nodes = reader.log.iter().filter_map(|change| match change {
        Change::Node(node) => Some(node.clone()),
        _ => None,
    });
    let nodes: Vec<_> = nodes.collect();
    reader.stop()?;
    if case.cluster.api.get(&place::node(node))?.is_none() {
        ensure!(nodes.is_empty(), "{nodes:#?}");
        return ignored("the cluster has no Node; without one the source is synced all the same");
    }
    ensure!(!nodes.is_empty() && nodes.iter().all(|found| *found.name == **node), "{nodes:#?}");
    done()
}

/// All of them; or none, where the server has none or does not show them.
fn service_cidrs(case: &Case) -> Result<Completion> {
    let reader = case.synced()?;
    let answer =
        case.cluster.api.ask(http::Method::GET, place::SERVICE_CIDRS, crate::api::JSON, &Value::Null)?;
    let mut expected = BTreeMap::new();
    for item in answer.object["items"].as_array().into_iter().flatten() {
        let cidrs = item["spec"]["cidrs"].as_array().cloned().unwrap_or_default();
        let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        expected.insert(name, cidrs.iter().filter_map(|cidr| cidr.as_str()?.parse().ok()).collect());
    }
    let mut found = BTreeMap::new();
    for change in &reader.log {
        if let Change::ServiceCidr { name, cidrs } = change {
            found.insert(name.to_string(), cidrs.clone());
        }
    }
    ensure!(found == expected, "the server answers {} {}: {found:?}", answer.code, answer.object);
    let problem = |change: &Change| matches!(change, Change::Problem(problem) if problem.subject.object.contains("CIDR"));
    ensure!(!reader.log.iter().any(problem), "{:#?}", reader.log);
    reader.stop()?;
    if answer.code != 200 {
        return ignored(format!("the server answers {}; the source does without", answer.code));
    }
    done()
}

fn namespaces_come_and_go(case: &Case) -> Result<Completion> {
    let (first, second) = (case.cluster.namespace.as_str(), format!("{}-second", case.cluster.namespace));
    let mut options = case.options();
    options.namespaces = true;
    let mut reader = case.reader_with(options)?;
    reader.sync()?;
    let is = |change: &Change, name: &str| matches!(change, Change::Namespace(found) if &*found.name == name);
    ensure!(reader.log.iter().any(|change| is(change, first)), "{first} did not come");
    namespace::create(case.cluster, &second)?;
    let come = |log: &[Change]| log.iter().any(|change| is(change, &second)).then_some(());
    reader.until("the new Namespace", come)?;
    let end = namespace::remove(case.cluster, &second)?;
    if end == End::Terminating {
        return ignored("it came; but the cluster takes long to delete it, and that was not waited for");
    }
    let gone = Change::NamespaceGone(second.as_str().into());
    reader.until("the end of the Namespace", |log| log.contains(&gone).then_some(()))?;
    reader.stop()?;
    done()
}

/// Of the whole cluster, as the agent writes it.
fn a_snapshot_reads_back_the_same(case: &Case) -> Result<Completion> {
    case.service("web", json!({"type": "NodePort", "sessionAffinity": "ClientIP", "ports": [{"port": 80}]}))?;
    case.service("headless", json!({"clusterIP": "None", "ports": [{"port": 80}]}))?;
    case.service("other", port(80))?;
    case.slice_of("web-1", case.slice_object("web-1", "web", json!([{"addresses": ["192.0.2.1"], "nodeName": "a",
        "zone": "z", "hints": {"forZones": [{"name": "z"}]}, "conditions": {"ready": false, "serving": true}}])))?;
    let mut options = case.options();
    (options.namespaces, options.headless) = (true, true);
    let mut reader = case.reader_with(options)?;
    let first = reader.sync_all()?;
    reader.stop()?;
    let is_object = |change: &&Change| {
        matches!(
            change,
            Change::Service(_)
                | Change::Slice(_)
                | Change::Node(_)
                | Change::ServiceCidr { .. }
                | Change::Namespace(_)
        )
    };
    let objects: Vec<Change> = first.iter().filter(is_object).cloned().collect();
    ensure!(objects.len() >= 5, "{objects:#?}");
    let path = case.cluster.directory.join("snapshot");
    snapshot::write(&path, &case.cluster.node, objects.iter().cloned())?;
    let saved = snapshot::read(&path, &case.cluster.node, Kept::NOTHING)?;
    for (written, read) in objects.iter().zip(&saved.changes) {
        ensure!(written == read, "written: {written:#?}\nread: {read:#?}");
    }
    ensure!(saved.changes.len() == objects.len(), "{} of {}", saved.changes.len(), objects.len());
    std::fs::remove_file(&path).context("removing the snapshot")?;
    done()
}
