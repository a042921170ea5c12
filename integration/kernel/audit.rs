//! The audit trail of the running program: each change with its version, what it meant, and how long it took.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Test;
use crate::plan::Plan;
use crate::scenes::{RICH, SMALL};
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_change_is_noted_with_its_version_and_its_rules", change_through_the_api),
    Test::new("changes_of_files_are_found_by_service", changes_of_files),
    Test::new("it_can_be_turned_off", turned_off),
];

/// Only where rules are those of nf_tables.
pub(crate) const REPAIRS: &[Test] = &[Test::new("a_repair_is_noted", repair_is_noted)];

fn trail(stage: &Stage, query: &str) -> Result<Vec<Value>> {
    let page: Value = serde_json::from_str(&stage.page(&format!("/debug/audit?format=json&{query}"))?)?;
    testkit::schema::conforms("audit", &page)?;
    page["entries"].as_array().cloned().context("the page has no entries")
}

/// The newest entry that has this object.
fn entry_with(entries: &[Value], kind: &str, name: &str) -> Result<(Value, Value)> {
    let is_it = |object: &&Value| object["kind"] == kind && object["name"] == name;
    let found = entries.iter().find_map(|entry| {
        let object = entry["objects"].as_array()?.iter().find(is_it)?;
        Some((entry.clone(), object.clone()))
    });
    found.with_context(|| format!("no entry about {kind} {name} in {entries:#?}"))
}

fn change_through_the_api() -> Result<()> {
    Plan::new(RICH)?.flags(&["--v=4"]).through_api().start()?.play(|stage| {
        let first = trail(stage, "limit=1000")?;
        let start = first.last().context("the start is no entry")?;
        ensure!(start["because"] == serde_json::json!(["start"]) && start["full"] == true, "{start:#}");
        ensure!(start["created"].as_u64() > Some(20) && start["moreRules"].as_u64() > Some(0), "{start:#}");
        let change = |scene: &mut testkit::scene::Scene| scene.services[0].ports[0].port = 81;
        stage.change(change)?;
        let object = stage.cluster()?.server.store().get("services", "ns", "plain").context("the Service")?;
        let entries = trail(stage, "service=ns/plain")?;
        let (entry, told) = entry_with(&entries, "Service", "plain")?;
        ensure!(
            told["resourceVersion"] == object["metadata"]["resourceVersion"],
            "{told:#} is not of {object:#}"
        );
        ensure!(told["deleted"] == false && told["namespace"] == "ns", "{told:#}");
        let seconds = told["seconds"].as_f64().unwrap_or(-1.0);
        let sync = entry["syncSeconds"].as_f64().unwrap_or(-1.0);
        ensure!(0.0 < sync && sync < seconds && seconds < 30.0, "{sync} s of {seconds} s");
        ensure!(entry["because"] == serde_json::json!(["objects"]), "{entry:#}");
        let rules = entry["rules"].to_string();
        ensure!(rules.contains("81") && entry["created"].as_u64() > Some(0), "{entry:#}");
        let text = stage.page("/debug/audit?service=ns/plain")?;
        let version = told["resourceVersion"].as_str().unwrap_or_default();
        ensure!(text.contains(&format!("  Service ns/plain at {version}, ")), "{text}");
        stage.change(|scene| drop(scene.services.remove(0)))?;
        let (entry, told) = entry_with(&trail(stage, "service=ns/plain")?, "Service", "plain")?;
        ensure!(told["deleted"] == true && entry["deleted"].as_u64() > Some(0), "{entry:#}");
        // The log is written by a thread of its own.
        stage.soon("a word of it in the log", |stage| {
            ensure!(
                stage.log()?.lines().any(|line| {
                    line.contains("change: objects")
                        && line.contains("Service ns/plain at")
                        && line.contains(" gone, ")
                }),
                "no word of it in the log"
            );
            Ok(())
        })
    })
}

fn changes_of_files() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        let newest = |stage: &Stage, query: &str| -> Result<u64> {
            Ok(trail(stage, query)?.first().and_then(|entry| entry["number"].as_u64()).unwrap_or(0))
        };
        let (other, endpoint) = (newest(stage, "service=ns/empty")?, ip("10.244.1.1")?);
        stage.change(|scene| scene.remove_endpoint(endpoint))?;
        let entries = trail(stage, "service=ns/plain&limit=1")?;
        ensure!(entries.len() == 1, "{entries:#?}");
        let slices = entries[0]["objects"].as_array().context("objects")?;
        ensure!(slices.iter().any(|object| object["kind"] == "EndpointSlice"), "{entries:#?}");
        ensure!(entries[0]["services"].to_string().contains("ns/plain"), "{entries:#?}");
        ensure!(newest(stage, "service=ns/empty")? == other, "a Service that was not touched has an entry");
        for (query, status) in [("service=plain", 400), ("limit=0", 400), ("limit=x", 400), ("limit=1", 200)]
        {
            let at = "127.0.0.1:10249".parse()?;
            let answer = crate::http::get(stage.node(), at, &format!("/debug/audit?{query}"))?;
            ensure!(answer.as_ref().is_some_and(|answer| answer.status == status), "{query}: {answer:?}");
        }
        Ok(())
    })
}

fn turned_off() -> Result<()> {
    Plan::new(SMALL)?.flags(&["--audit-entries=0"]).start()?.play(|stage| {
        let at = "127.0.0.1:10249".parse()?;
        let answer = crate::http::get(stage.node(), at, "/debug/audit")?.context("no answer")?;
        ensure!(answer.status == 404 && answer.body.contains("auditEntries"), "{answer:?}");
        Ok(())
    })
}

fn repair_is_noted() -> Result<()> {
    Plan::new(SMALL)?.start()?.play(|stage| {
        stage.node().nft("delete element ip towpath cluster-ips { 10.96.0.10 }")?;
        stage.soon("the repair in the trail", |stage| {
            let entries = trail(stage, "limit=1")?;
            let entry = entries.first().context("no entry")?;
            ensure!(entry["because"] == serde_json::json!(["repair"]), "{entry:#}");
            ensure!(entry["created"] == 1 && entry["rules"].to_string().contains("10.96.0.10"), "{entry:#}");
            Ok(())
        })
    })
}
