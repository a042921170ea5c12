//! What the source writes: Events, and the Node without a taint.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Completion;
use serde_json::Value;
use sources::kubernetes::{About, EventRequest};

use crate::Test;
use crate::case::{Case, done, ignored, port};
use crate::place;

pub(crate) const TESTS: &[Test] = &[
    ("an_event_about_the_node", an_event_about_the_node),
    ("an_event_about_a_service", an_event_about_a_service),
    ("a_taint_is_taken_off", a_taint_is_taken_off),
];

const LOOK: Duration = Duration::from_millis(50);

/// Asks the server until it gives an answer.
fn until<T>(case: &Case, what: &str, find: impl Fn() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + case.cluster.patience;
    loop {
        if let Some(found) = find()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("no {what} within {:?}; is it allowed?", case.cluster.patience);
        }
        std::thread::sleep(LOOK);
    }
}

/// Has the source write an Event, and finds it.
fn event(case: &Case, about: About, suffix: &str) -> Result<Value> {
    let reader = case.synced()?;
    let reason = format!("{}{suffix}", case.cluster.reason());
    let request =
        EventRequest { about, reason: reason.clone(), message: "A test of Towpath.".into(), warning: false };
    // Equal ones are one.
    ensure!(reader.requests.event(request.clone()) && reader.requests.event(request), "not taken");
    let found = until(case, "Event", || {
        let all = case.cluster.find_events()?;
        Ok(all.into_iter().find(|event| event["reason"] == reason.as_str()))
    })?;
    reader.stop()?;
    ensure!(found["source"]["component"] == "towpath" && found["type"] == "Normal", "{found:#}");
    ensure!(found["source"]["host"] == case.cluster.node.as_str(), "{found:#}");
    ensure!(found["message"] == "A test of Towpath." && found["count"] == 1, "{found:#}");
    ensure!(found["firstTimestamp"].is_string() && found["lastTimestamp"].is_string(), "{found:#}");
    Ok(found)
}

fn an_event_about_the_node(case: &Case) -> Result<Completion> {
    let found = event(case, About::Node, "Node")?;
    let about = &found["involvedObject"];
    ensure!(about["kind"] == "Node" && about["name"] == case.cluster.node.as_str(), "{found:#}");
    ensure!(found["metadata"]["namespace"] == "default", "{found:#}");
    done()
}

fn an_event_about_a_service(case: &Case) -> Result<Completion> {
    let made = case.service("web", port(80))?;
    let uid = made["metadata"]["uid"].as_str().context("no uid")?;
    let about = About::Service {
        namespace: case.cluster.namespace.as_str().into(),
        name: case.name("web").into(),
        uid: Some(uid.into()),
    };
    let found = event(case, about, "Service")?;
    let about = &found["involvedObject"];
    ensure!(about["kind"] == "Service" && about["uid"] == uid, "{found:#}");
    ensure!(found["metadata"]["namespace"] == case.cluster.namespace.as_str(), "{found:#}");
    done()
}

fn a_taint_is_taken_off(case: &Case) -> Result<Completion> {
    let cluster = case.cluster;
    if !cluster.may_taint {
        return ignored("no Node may get a taint: name one with --taint-node, or give --create-node");
    }
    let key = format!("towpath.example/{}", cluster.namespace);
    let taints = || -> Result<Vec<Value>> {
        let node = cluster.api.get(&place::node(&cluster.node))?.context("there is no such Node")?;
        Ok(node["spec"]["taints"].as_array().cloned().unwrap_or_default())
    };
    let is_ours = |taint: &Value| taint["key"] == key.as_str();
    let before = taints()?;
    cluster.ledger.taint(&cluster.api, &cluster.node, &key)?;
    ensure!(taints()?.iter().any(is_ours), "the taint is not on the Node");
    let reader = case.synced()?;
    ensure!(reader.requests.remove_taint(key.clone()), "not taken");
    let after = until(case, "end of the taint", || {
        let taints = taints()?;
        Ok((!taints.iter().any(is_ours)).then_some(taints))
    })?;
    reader.stop()?;
    let keys = |taints: &[Value]| taints.iter().map(|taint| taint["key"].clone()).collect::<Vec<_>>();
    ensure!(keys(&after) == keys(&before), "other taints changed: {before:?}, {after:?}");
    done()
}
