//! Objects that are not what they should be.

use apiserver::{Injection, Options};
use model::{Change, Scheduler};
use serde_json::json;

use crate::run::*;

#[test]
fn what_was_not_asked_for_is_passed_over() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    for injection in [Injection::UnknownKind, Injection::UnknownType, Injection::UnknownFields] {
        server.faults().inject(Some("services"), &injection);
        assert_eq!(run.before_marker(&server), [], "{injection:?}");
    }
    assert_eq!(errors(&run.stats, "services", "unknown_kind"), 2);
    run.stop();
}

#[test]
fn a_bad_object_keeps_its_earlier_state() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    let bad = |version: u64| {
        json!({"type": "MODIFIED", "object": {"kind": "Service", "apiVersion": "v1",
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": version.to_string()},
        "spec": {"ports": [{"port": 70_000}]}}})
    };
    let line = bad(server.store().version()).to_string();
    server.faults().inject(Some("services"), &Injection::Raw { line });
    assert_eq!(
        run.problem("Service default/web"),
        "api: Service default/web: spec.ports[0].port: 70000 is not a port number: give 1 to 65535; its earlier \
         version stays in force"
    );
    server.store().apply(service("web", 8080)).unwrap();
    run.solved("Service default/web");
    assert_eq!(errors(&run.stats, "services", "malformed"), 1);
    run.stop();
}

#[test]
fn an_object_of_50_mb_is_skipped() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    // As a server writes it: the name goes before what is large.
    let line = format!(
        r#"{{"type":"MODIFIED","object":{{"kind":"Service","metadata":{{"name":"web","namespace":"default","annotations":{{"a":"{}"}}}}}}}}"#,
        "x".repeat(50 << 20)
    );
    server.faults().inject(Some("services"), &Injection::Raw { line });
    let is_large = |change: &Change| matches!(change, Change::Problem(p) if p.message.contains("MiB"));
    let told = run.until("the Problem", is_large).pop();
    let Some(Change::Problem(problem)) = told else { panic!("{told:?}") };
    assert!(
        problem.to_string().contains(
            "Service default/web: 50 MiB are too many for one object; its earlier version stays in force"
        ),
        "{problem}"
    );
    assert_eq!(run.before_marker(&server), []);
    assert_eq!(errors(&run.stats, "services", "too_large"), 1);
    run.stop();
}

#[test]
fn annotations_come_with_the_watch() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    let mut annotated = |scheduler: &str| {
        let mut object = service("web", 80);
        object["metadata"]["annotations"] =
            json!({"towpath.dev/scheduler": scheduler, "towpath.dev/weights": "10.0.0.0/24=3"});
        server.store().apply(object).unwrap();
        let seen = run.until("the Service", |change| is_service(change, "web")).pop();
        let Some(Change::Service(service)) = seen else { panic!("{seen:?}") };
        service
    };
    let service = annotated("lc");
    assert_eq!(service.balance.scheduler, Some(Scheduler::Lc));
    assert_eq!(service.balance.weight("10.0.0.1".parse().unwrap()), 3);
    assert_eq!(annotated("sh").balance.scheduler, Some(Scheduler::Sh));
    let service = annotated("fastest");
    assert_eq!((service.balance.scheduler, service.balance.weights.len()), (None, 1));
    let problem = run.problem("Service default/web");
    assert!(
        problem.starts_with(
            "api: Service default/web: metadata.annotations[towpath.dev/scheduler]: \"fastest\": "
        ),
        "{problem}"
    );
    run.stop();
}
