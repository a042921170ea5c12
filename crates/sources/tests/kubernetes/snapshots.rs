//! Starting without a server.

use std::sync::Arc;
use std::time::Duration;

use apiserver::Options;
use model::Change;
use towpath_sources::kubernetes::{Kubernetes, Snapshot};
use towpath_sources::{k8s, snapshot};

use crate::run::*;

fn saved(name: &str) -> Change {
    let json = service(name, 80).to_string();
    k8s::decode(k8s::Kind::Service, &json, &mut k8s::Decoder::default()).unwrap().change.unwrap()
}

#[test]
fn the_last_known_good_state_is_used_until_the_server_is_there() {
    let (server, directory) = (server(Options::default()), Directory::new());
    let path = directory.file("state");
    snapshot::write(
        &path,
        "node-a",
        [saved("web"), saved("old"), Change::Namespace(Arc::new(model::Namespace::new("n")))].into_iter(),
    )
    .unwrap();
    server.faults().refuse(true);
    let mut options = plain(&server);
    let mut asked = 0;
    let allowed = Box::new(move || {
        asked += 1;
        asked > 1
    });
    options.snapshot = Some(Snapshot { path: path.clone(), after: Duration::from_millis(300), allowed });
    let mut run = Run::start(options);
    let told = run.problem("snapshot");
    let expected = format!(
        "the API server could not be reached for 300ms: starting from the state in {}, ",
        path.display()
    );
    assert!(told.contains(&expected), "{told}");
    let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    assert!(
        first.iter().any(|c| is_service(c, "web")) && first.iter().any(|c| is_service(c, "old")),
        "{first:?}"
    );
    assert!(
        !first.contains(&Change::Namespace(Arc::new(model::Namespace::new("n")))),
        "Namespaces are not watched"
    );
    assert!(run.stats.snapshot().is_some());
    server.faults().refuse(false);
    let all = run.until("its end", |c| matches!(c, Change::ProblemSolved(s) if &*s.object == "snapshot"));
    assert!(!all.contains(&Change::Synced(Kubernetes::NAME)), "it is said once");
    assert!(all.iter().any(|change| is_service_gone(change, "old")));
    assert!(!all.iter().any(|change| matches!(change, Change::Trigger { .. })));
    assert!(all.contains(&Change::BatchBegins));
    assert_eq!(run.stats.snapshot(), None);
    run.stop();
}

#[test]
fn a_snapshot_that_is_not_needed_is_not_used() {
    let (server, directory) = (server(Options::default()), Directory::new());
    let path = directory.file("state");
    snapshot::write(&path, "node-a", [saved("old")].into_iter()).unwrap();
    let mut options = plain(&server);
    options.snapshot = Some(Snapshot { path, after: Duration::ZERO, allowed: Box::new(|| false) });
    let mut run = Run::start(options);
    let first = run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    assert!(!first.iter().any(|change| is_service(change, "old")));
    run.stop();
}

#[test]
fn a_snapshot_of_another_node_is_said_and_ignored() {
    let (server, directory) = (server(Options::default()), Directory::new());
    let path = directory.file("state");
    snapshot::write(&path, "node-b", [saved("old")].into_iter()).unwrap();
    server.faults().refuse(true);
    let mut options = plain(&server);
    options.snapshot = Some(Snapshot { path, after: Duration::ZERO, allowed: Box::new(|| true) });
    let mut run = Run::start(options);
    let told = run.problem("snapshot");
    assert!(told.ends_with("it is of the node \"node-b\", and this is \"node-a\"; it is ignored"), "{told}");
    server.faults().refuse(false);
    run.solved("snapshot");
    run.stop();
}
