//! The first list.

use anyhow::{Result, ensure};
use libtest_mimic::Completion;
use model::Change;
use serde_json::json;
use sources::kubernetes::Kubernetes;

use crate::Test;
use crate::case::{Case, done, port};
use crate::reader::{is_about_service, is_about_slice, state_of_service, state_of_slice};

pub(crate) const TESTS: &[Test] = &[
    ("what_is_there_comes_before_synced_and_once", what_is_there_comes_before_synced_and_once),
    ("headless_services_come_only_if_wanted", headless_services_come_only_if_wanted),
    ("services_of_other_proxies_do_not_come", services_of_other_proxies_do_not_come),
];

fn what_is_there_comes_before_synced_and_once(case: &Case) -> Result<Completion> {
    case.service("web", port(80))?;
    case.slice("web-1", "web", "192.0.2.1")?;
    let mut reader = case.synced()?;
    let (service, slice) = (case.name("web"), case.name("web-1"));
    let first = reader.log.clone();
    ensure!(state_of_service(&first, &service).is_some(), "no Service before Synced: {first:#?}");
    ensure!(state_of_slice(&first, &slice).is_some(), "no slice before Synced: {first:#?}");
    ensure!(!first.contains(&Change::BatchBegins), "the first list is a batch: {first:#?}");
    let is_trigger = |change: &Change| matches!(change, Change::Trigger { .. });
    ensure!(!first.iter().any(is_trigger), "a trigger before Synced: {first:#?}");
    case.mark_services(&mut reader, "marker")?;
    case.mark_slices(&mut reader, "marker")?;
    let log = &reader.log;
    let count = |is: &dyn Fn(&Change) -> bool| log.iter().filter(|change| is(change)).count();
    ensure!(
        count(&|change| *change == Change::Synced(Kubernetes::NAME)) == 1,
        "Synced is not said once: {log:#?}"
    );
    ensure!(count(&|change| is_about_service(change, &service)) == 1, "the Service came twice: {log:#?}");
    ensure!(count(&|change| is_about_slice(change, &slice)) == 1, "the slice came twice: {log:#?}");
    reader.stop()?;
    done()
}

/// The server selects: what is not wanted is never sent.
fn headless_services_come_only_if_wanted(case: &Case) -> Result<Completion> {
    case.service("early", json!({"clusterIP": "None", "ports": [{"port": 80}]}))?;
    let mut slice = case.slice_object("early-1", "early", json!([{"addresses": ["192.0.2.2"]}]));
    slice["metadata"]["labels"]["service.kubernetes.io/headless"] = "".into();
    case.slice_of("early-1", slice.clone())?;
    for wanted in [false, true] {
        let mut options = case.options();
        options.headless = wanted;
        let mut reader = case.reader_with(options)?;
        reader.sync()?;
        let late = format!("late-{wanted}");
        case.service(&late, json!({"clusterIP": "None", "ports": [{"port": 80}]}))?;
        slice["metadata"]["name"] = case.name(&format!("{late}-1")).into();
        case.slice_of(&format!("{late}-1"), slice.clone())?;
        case.mark_services(&mut reader, &format!("marker-{wanted}"))?;
        case.mark_slices(&mut reader, &format!("marker-{wanted}"))?;
        for name in ["early", &late] {
            let (service, slice) = (case.name(name), case.name(&format!("{name}-1")));
            let found = state_of_service(&reader.log, &service);
            ensure!(found.is_some() == wanted, "headless: {wanted}: the Service {name}: {found:?}");
            ensure!(found.is_none_or(|found| found.cluster_ips.is_empty()), "{name} has a ClusterIP");
            let found = state_of_slice(&reader.log, &slice);
            ensure!(found.is_some() == wanted, "headless: {wanted}: the slice of {name}: {found:?}");
        }
        reader.stop()?;
    }
    done()
}

fn services_of_other_proxies_do_not_come(case: &Case) -> Result<Completion> {
    let label = |value: Option<&str>| json!({"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": value}}});
    case.service("other", port(80))?;
    case.patch_service("other", &label(Some("another")))?;
    case.service("web", port(80))?;
    let mut reader = case.synced()?;
    let (web, other) = (case.name("web"), case.name("other"));
    ensure!(state_of_service(&reader.log, &other).is_none(), "another's Service came: {:#?}", reader.log);
    case.patch_service("web", &label(Some("another")))?;
    reader.service_gone(&web)?;
    case.patch_service("web", &label(None))?;
    reader.service(&web, "back", |_| true)?;
    case.patch_service("other", &label(None))?;
    reader.service(&other, "there", |_| true)?;
    reader.stop()?;
    done()
}
