//! The first list by each way, and later ones.

use apiserver::{Fault, Mode, Options, Rule};
use model::Change;
use serde_json::json;
use towpath_sources::kubernetes::Kubernetes;

use crate::run::*;

fn names(changes: &[Change]) -> Vec<String> {
    let mut names: Vec<String> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Service(service) => Some(service.name.to_string()),
            Change::Slice(slice) => Some(slice.name.to_string()),
            Change::Node(node) => Some(node.name.to_string()),
            Change::ServiceCidr { name, .. } => Some(format!("cidr {name}")),
            _ => None,
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_first_list_by_each_way() {
    let streams = [Mode::WatchList];
    let lists = [Mode::WatchList, Mode::CachedList, Mode::Watch];
    for (fault, modes) in [
        (None, &streams[..]),
        (Some(Fault::RefuseWatchList { code: 422 }), &lists),
        (Some(Fault::RefuseWatchList { code: 400 }), &lists),
        (Some(Fault::IgnoreWatchList), &lists),
    ] {
        let server = server(Options::default());
        server.faults().current();
        if let Some(fault) = &fault {
            server.faults().add(Rule::new(fault.clone()));
        }
        let mut run = Run::start(plain(&server));
        let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
        let expected = ["cidr kubernetes", "default/gone", "default/web", "default/web-abcde", "node-a"];
        assert_eq!(names(&first), expected, "{fault:?}");
        assert!(!first.contains(&Change::BatchBegins), "{fault:?}: nothing is held back before Synced");
        assert!(!first.iter().any(|change| matches!(change, Change::Trigger { .. })));
        assert_eq!(run.before_marker(&server), [], "{fault:?}: and nothing comes twice");
        for mode in [Mode::WatchList, Mode::CachedList, Mode::ConsistentList, Mode::Watch] {
            let asked = server.requests().in_mode("services", mode);
            assert_eq!(asked, usize::from(modes.contains(&mode)), "{fault:?}: {mode:?}");
        }
        run.stop();
    }
}

#[test]
fn a_list_again_sends_what_differs_as_one_batch_or_nothing() {
    for fault in [None, Some(Fault::RefuseWatchList { code: 422 })] {
        let server = server(Options::default());
        fault.into_iter().for_each(|fault| server.faults().add(Rule::new(fault)));
        let mut run = Run::synced(plain(&server));
        server.faults().add(Rule::new(Fault::Gone).resource("services").verb("watch").times(1));
        // A watch that is just being opened does not hear of it yet.
        until_counted(&run.stats, "services", "expired", || server.faults().end_watches(Some("services")));
        assert_eq!(run.before_marker(&server), []);

        server.faults().refuse(true);
        server.store().delete("services", "default", "gone").unwrap();
        server.store().apply_all([service("web", 81), service("new", 1)]).unwrap();
        server.faults().compact();
        server.faults().refuse(false);
        let mut batch = run.until("the deletion", |change| is_service_gone(change, "gone"));
        batch.extend(run.until("the end of the batch", |change| *change == Change::BatchEnds));
        let from = batch.iter().rposition(|change| *change == Change::BatchBegins).unwrap();
        let batch = batch.split_off(from);
        assert_eq!(batch.len(), 5, "{batch:?}");
        assert!(batch.iter().any(|change| is_service_gone(change, "gone")));
        assert!(batch.iter().any(|change| is_service(change, "new")));
        assert!(
            matches!(&batch.iter().find(|c| is_service(c, "web")), Some(Change::Service(s)) if s.ports[0].port == 81)
        );
        run.stop();
    }
}

#[test]
fn an_aborted_list_changes_nothing() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.faults().refuse(true);
    server.store().delete("services", "default", "gone").unwrap();
    server.faults().compact();
    server.faults().add(Rule::new(Fault::Cut { after: 300 }).resource("services").times(2));
    server.faults().refuse(false);
    let all = run.until("gone", |change| is_service_gone(change, "gone"));
    assert!(!all.iter().any(|change| matches!(change, Change::Service(_))), "{all:?}");
    assert!(errors(&run.stats, "services", "cut") >= 2);
    run.stop();
}

#[test]
fn services_of_other_proxies_and_headless_ones_are_left_out_by_the_server() {
    let server = server(Options::default());
    let mut headless = service("headless", 1);
    headless["spec"]["clusterIP"] = json!("None");
    let mut other = service("other", 1);
    other["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "x"});
    server.store().apply_all([headless, other]).unwrap();
    for (wanted, expected) in [(false, 0), (true, 1)] {
        let mut options = plain(&server);
        options.headless = wanted;
        let mut run = Run::start(options);
        let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
        assert_eq!(first.iter().filter(|change| is_service(change, "headless")).count(), expected);
        let other = first.iter().filter(|change| is_service(change, "other")).count();
        assert_eq!(other, expected, "DNS answers for it, whoever proxies it");
        run.stop();
    }
}

#[test]
fn a_server_without_the_field_selector_is_asked_without_it() {
    let server = server(Options::default());
    let message = Some(
        "Unable to find \"/v1, Resource=services\" that match label selector \"\", field selector \
        \"spec.clusterIP!=None\": field label not supported: spec.clusterIP"
            .to_owned(),
    );
    let fault = Fault::Status { code: 400, retry_after: None, message };
    server.faults().add(Rule::new(fault).resource("services").times(1));
    let run = Run::synced(plain(&server));
    let with = server.requests().count(|r| r.resource == "services" && r.query.contains("fieldSelector"));
    assert_eq!(with, 1);
    run.stop();
}

#[test]
fn what_can_be_done_without_is_done_without() {
    let server = server(Options { without: vec!["servicecidrs".into()], ..Options::default() });
    let mut options = plain(&server);
    options.namespaces = true;
    server.faults().add(
        Rule::new(Fault::Status { code: 403, retry_after: None, message: None })
            .resource("namespaces")
            .times(2),
    );
    let mut run = Run::start(options);
    let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    assert!(!first.iter().any(|change| matches!(change, Change::Problem(_))), "{first:?}");
    run.until("Namespaces, once they are allowed", |change| is_namespace(change, "default"));
    assert!(server.requests().wait(2, LONG, |r| r.path.ends_with("/servicecidrs")));
    run.stop();
}

#[test]
fn pages_are_followed_and_begun_anew() {
    let server = server(Options::default());
    server.store().apply_all((0..1200).map(|i| service(&format!("s{i}"), 1))).unwrap();
    server.faults().add(Rule::new(Fault::RefuseWatchList { code: 422 }));
    let mut run = Run::synced(plain(&server));
    // Twice a version that is too large: the server was restored from a backup.
    let message = Some("Timeout: Too large resource version: 9, current: 1".to_owned());
    let too_large = Fault::Status { code: 504, retry_after: None, message };
    server.faults().add(Rule::new(Fault::Gone).resource("services").verb("watch").times(1));
    server.faults().add(Rule::new(too_large).resource("services").verb("list").times(2));
    server.faults().end_watches(Some("services"));
    let told = run.problem("watch of Services");
    assert!(told.contains("504 Gateway Timeout: Timeout: Too large resource version"), "{told}");
    run.solved("watch of Services");
    assert_eq!(run.before_marker(&server), []);
    assert_eq!(server.requests().in_mode("services", Mode::ConsistentList), 1);
    assert_eq!(server.requests().in_mode("services", Mode::NextPage), 2);
    run.stop();
}

#[test]
fn a_page_that_fails_begins_the_list_anew() {
    let server = server(Options::default());
    server.store().apply_all((0..700).map(|i| service(&format!("s{i}"), 1))).unwrap();
    server.faults().add(Rule::new(Fault::RefuseWatchList { code: 422 }));
    let mut run = Run::synced(plain(&server));
    let message = Some("Timeout: Too large resource version: 9, current: 1".to_owned());
    let too_large = Fault::Status { code: 504, retry_after: None, message };
    server.faults().refuse(true);
    server.store().delete("services", "default", "gone").unwrap();
    server.faults().compact();
    server.faults().add(Rule::new(too_large).resource("services").verb("list").times(2));
    // The first page of 500 is some 170 kB: the connection breaks in the second.
    server.faults().add(Rule::new(Fault::Cut { after: 200 }).resource("services").verb("list").times(3));
    server.faults().refuse(false);
    let all = run.until("the deletion", |change| is_service_gone(change, "gone"));
    assert_eq!(all.iter().filter(|change| matches!(change, Change::ServiceGone(_))).count(), 1);
    run.stop();
}

#[test]
fn an_api_that_comes_later_is_taken_up() {
    let server = server(Options::default());
    let absent = Fault::Status { code: 404, retry_after: None, message: None };
    server.faults().add(Rule::new(absent).resource("servicecidrs").times(2));
    let mut run = Run::start(plain(&server));
    let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    let is_cidr = |change: &Change| matches!(change, Change::ServiceCidr { .. });
    assert!(!first.iter().any(is_cidr));
    run.until("the ServiceCIDR", is_cidr);
    run.until("the end of its batch", |change| *change == Change::BatchEnds);
    assert_eq!(errors(&run.stats, "servicecidrs", "not_found"), 2);
    run.stop();
}

#[test]
fn what_is_not_required_holds_nothing_up() {
    let server = server(Options::default());
    let broken = Fault::Status { code: 500, retry_after: None, message: None };
    server.faults().add(Rule::new(broken).resource("servicecidrs"));
    let mut run = Run::start(plain(&server));
    run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    assert!(errors(&run.stats, "servicecidrs", "server") >= 1);
    server.faults().clear();
    run.solved("watch of ServiceCIDRs");
    run.stop();
}
