//! Much at once.

use anyhow::{Result, ensure};
use libtest_mimic::Completion;
use model::Change;
use serde_json::json;

use crate::Test;
use crate::case::{Case, done, port};
use crate::reader::{is_about_service, state_of_service, state_of_slice};

pub(crate) const TESTS: &[Test] = &[
    ("two_hundred_slices_arrive_whole", two_hundred_slices_arrive_whole),
    ("many_updates_end_in_the_last_state", many_updates_end_in_the_last_state),
];

fn two_hundred_slices_arrive_whole(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let names: Vec<String> = (0..200).map(|number| format!("web-{number}")).collect();
    let object = |(number, name): (usize, &String)| {
        let endpoints: Vec<_> =
            (0..10).map(|last| json!({"addresses": [format!("198.18.{number}.{last}")]})).collect();
        case.slice_object(name, "web", json!(endpoints))
    };
    let objects: Vec<_> = names.iter().enumerate().map(object).collect();
    case.slices(&objects)?;
    let names: Vec<String> = names.iter().map(|name| case.name(name)).collect();
    reader.until("200 slices", |log| {
        names.iter().all(|name| state_of_slice(log, name).is_some()).then_some(())
    })?;
    for (number, name) in names.iter().enumerate() {
        let Some(slice) = state_of_slice(&reader.log, name) else { continue };
        let ips: Vec<String> = slice.endpoints.iter().map(|endpoint| endpoint.ip.to_string()).collect();
        let expected: Vec<String> = (0..10).map(|last| format!("198.18.{number}.{last}")).collect();
        ensure!(ips == expected, "{name}: {ips:?}");
    }
    reader.stop()?;
    done()
}

fn many_updates_end_in_the_last_state(case: &Case) -> Result<Completion> {
    case.service("web", port(1))?;
    let mut reader = case.synced()?;
    for number in 2..=100 {
        case.patch_service("web", &json!({"spec": port(number)}))?;
    }
    case.mark_services(&mut reader, "marker")?;
    let name = case.name("web");
    let last = state_of_service(&reader.log, &name);
    ensure!(last.as_ref().is_some_and(|service| service.ports[0].port == 100), "{last:#?}");
    let ports =
        reader.log.iter().filter(|change| is_about_service(change, &name)).filter_map(
            |change| match change {
                Change::Service(service) => Some(service.ports[0].port),
                _ => None,
            },
        );
    let ports: Vec<u16> = ports.collect();
    ensure!(ports.is_sorted(), "older after newer: {ports:?}");
    reader.stop()?;
    done()
}
