//! EndpointSlices: what they say, and to which Service they belong.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Completion;
use model::{Change, Conditions, IpFamily, Protocol};
use serde_json::{Value, json};

use crate::Test;
use crate::case::{Case, done};
use crate::reader::{is_about_slice, state_of_slice};

pub(crate) const TESTS: &[Test] = &[
    ("made_changed_and_deleted", made_changed_and_deleted),
    ("conditions", conditions),
    ("hints_and_nodes", hints_and_nodes),
    ("the_trigger_comes_right_before", the_trigger_comes_right_before),
    ("moved_to_another_service", moved_to_another_service),
    ("of_ipv6", of_ipv6),
    ("of_names_and_of_no_service", of_names_and_of_no_service),
];

fn endpoints(list: Value) -> Value {
    json!({"endpoints": list})
}

fn made_changed_and_deleted(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    case.slice("web-1", "web", "192.0.2.1")?;
    let (name, first): (String, IpAddr) = (case.name("web-1"), "192.0.2.1".parse()?);
    let found = reader.slice(&name, "new", |_| true)?;
    ensure!(*found.service.name == *case.name("web") && found.family == IpFamily::V4, "{found:#?}");
    let ports: Vec<_> = found.ports.iter().map(|port| (&*port.name, port.protocol, port.port)).collect();
    ensure!(ports == [("", Protocol::Tcp, 8080)], "{found:#?}");
    ensure!(found.endpoints.len() == 1 && found.endpoints[0].ip == first, "{found:#?}");
    case.patch_slice(
        "web-1",
        &endpoints(json!([{"addresses": ["192.0.2.1"]}, {"addresses": ["192.0.2.2"]}])),
    )?;
    reader.slice(&name, "two endpoints", |slice| slice.endpoints.len() == 2)?;
    case.patch_slice("web-1", &json!({"ports": [{"name": "a", "port": 81}, {"name": "b", "port": 82}]}))?;
    reader.slice(&name, "two ports", |slice| slice.ports.len() == 2 && &*slice.ports[1].name == "b")?;
    case.patch_slice("web-1", &endpoints(json!([])))?;
    reader.slice(&name, "no endpoint", |slice| slice.endpoints.is_empty())?;
    case.delete(&case.slice_path("web-1"))?;
    reader.slice_gone(&name)?;
    reader.stop()?;
    done()
}

fn conditions(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    case.slice("web-1", "web", "192.0.2.1")?;
    let default = Conditions::default();
    reader.slice(&case.name("web-1"), "ready", |slice| slice.endpoints[0].conditions == default)?;
    for (ready, serving, terminating) in
        [(false, false, false), (true, true, false), (false, true, true), (false, false, true)]
    {
        let json = json!({"ready": ready, "serving": serving, "terminating": terminating});
        case.patch_slice("web-1", &endpoints(json!([{"addresses": ["192.0.2.1"], "conditions": json}])))?;
        let expected = Conditions { ready, serving, terminating };
        let what = format!("{expected:?}");
        reader.slice(&case.name("web-1"), &what, |slice| slice.endpoints[0].conditions == expected)?;
    }
    reader.stop()?;
    done()
}

/// Older servers drop `forNodes`: expected is what the server says that it keeps.
fn hints_and_nodes(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    case.slice("web-1", "web", "192.0.2.1")?;
    let made = case.patch_slice(
        "web-1",
        &endpoints(json!([{"addresses": ["192.0.2.1"], "nodeName": "towpath-a", "zone": "zone-a",
            "hints": {"forZones": [{"name": "zone-a"}, {"name": "zone-b"}], "forNodes": [{"name": "towpath-a"}]}}])),
    )?;
    let kept = &made["endpoints"][0]["hints"]["forNodes"];
    let nodes: Vec<&str> =
        kept.as_array().into_iter().flatten().filter_map(|node| node["name"].as_str()).collect();
    reader.slice(&case.name("web-1"), "its hints", |slice| {
        let endpoint = &slice.endpoints[0];
        let names = |list: &[std::sync::Arc<str>]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        endpoint.node.as_deref() == Some("towpath-a")
            && endpoint.hints.as_ref().is_some_and(|hints| {
                names(&hints.zones) == ["zone-a", "zone-b"] && names(&hints.nodes) == nodes
            })
    })?;
    case.patch_slice("web-1", &endpoints(json!([{"addresses": ["192.0.2.1"]}])))?;
    reader.slice(&case.name("web-1"), "no hints", |slice| {
        slice.endpoints[0].hints.is_none() && slice.endpoints[0].node.is_none()
    })?;
    reader.stop()?;
    done()
}

fn the_trigger_comes_right_before(case: &Case) -> Result<Completion> {
    const TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
    let mut reader = case.synced()?;
    let mut object = case.slice_object("web-1", "web", json!([{"addresses": ["192.0.2.1"]}]));
    object["metadata"]["annotations"] = json!({TIME: "2026-11-21T12:00:00.25Z"});
    case.slice_of("web-1", object)?;
    reader.slice(&case.name("web-1"), "new", |_| true)?;
    let later = json!({"metadata": {"annotations": {TIME: "2026-11-21T12:00:01Z"}},
        "endpoints": [{"addresses": ["192.0.2.2"]}]});
    case.patch_slice("web-1", &later)?;
    let second: IpAddr = "192.0.2.2".parse()?;
    reader.slice(&case.name("web-1"), "changed", |slice| slice.endpoints[0].ip == second)?;
    let places =
        reader.log.iter().enumerate().filter(|(_, change)| is_about_slice(change, &case.name("web-1")));
    let before: Vec<Option<&Change>> = places.map(|(at, _)| reader.log.get(at.checked_sub(1)?)).collect();
    let trigger = |at_ms| Change::Trigger { family: IpFamily::V4, at_ms };
    let expected = [trigger(1_795_262_400_250), trigger(1_795_262_401_000)];
    ensure!(before == [Some(&expected[0]), Some(&expected[1])], "{:#?}", reader.log);
    reader.stop()?;
    done()
}

fn moved_to_another_service(case: &Case) -> Result<Completion> {
    case.slice("web-1", "old", "192.0.2.1")?;
    let mut reader = case.synced()?;
    let new = case.name("new");
    case.patch_slice("web-1", &json!({"metadata": {"labels": {"kubernetes.io/service-name": new}}}))?;
    reader.slice(&case.name("web-1"), "of the new Service", |slice| *slice.service.name == *new)?;
    reader.stop()?;
    done()
}

fn of_ipv6(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let mut object = case.slice_object("web-1", "web", json!([{"addresses": ["2001:db8::1"]}]));
    object["addressType"] = "IPv6".into();
    case.slice_of("web-1", object)?;
    let found = reader.slice(&case.name("web-1"), "new", |_| true)?;
    ensure!(found.family == IpFamily::V6 && found.endpoints[0].ip.is_ipv6(), "{found:#?}");
    reader.stop()?;
    done()
}

/// They are no proxy's work, and no fault.
fn of_names_and_of_no_service(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let mut object = case.slice_object("names", "web", json!([{"addresses": ["example.com"]}]));
    object["addressType"] = "FQDN".into();
    case.slice_of("names", object)?;
    let mut object = case.slice_object("alone", "web", json!([{"addresses": ["192.0.2.1"]}]));
    let labels = object["metadata"]["labels"].as_object_mut().context("labels")?;
    labels.remove("kubernetes.io/service-name");
    case.slice_of("alone", object)?;
    case.mark_slices(&mut reader, "marker")?;
    for name in ["names", "alone"] {
        ensure!(state_of_slice(&reader.log, &case.name(name)).is_none(), "{name}: {:#?}", reader.log);
        let problem = |change: &Change| matches!(change, Change::Problem(problem) if problem.subject.object.contains(&case.name(name)));
        ensure!(!reader.log.iter().any(problem), "{name}: {:#?}", reader.log);
    }
    reader.stop()?;
    done()
}
