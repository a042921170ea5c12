//! What happened at once is programmed at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

use dataplane::{Engine, Operate};
use model::{Change, Store};
use nftables::Nftables;
use resolve::ProxyConfig;
use sources::{Manifests, stop_pair};
use testkit::scratch::Scratch;

fn service(name: &str) -> String {
    format!(
        "kind: Service\nmetadata: {{name: {name}, namespace: ns}}\nspec: {{clusterIP: 10.96.0.10, ports: [{{port: 80}}]}}\n"
    )
}

/// A file that is replaced comes as one batch, and the engine has no work before the batch is complete.
#[test]
fn a_replaced_file_is_one_sync() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().join("a.yaml");
    fs::write(&path, service("zz")).unwrap();
    let mut engine =
        Engine::new(Store::new("n"), ProxyConfig::default(), Nftables::offline(), &[Manifests::NAME]);
    let mut manifests = Manifests::open(scratch.path()).unwrap();
    manifests
        .load(&mut |change| {
            engine.handle(change);
            true
        })
        .unwrap();
    engine.settle();
    let (stopper, signal) = stop_pair().unwrap();
    let (sender, changes) = channel();
    let thread = std::thread::spawn(move || manifests.run(&signal, &mut |c| sender.send(c).is_ok()));
    let staged = scratch.path().join("a.new");
    fs::write(&staged, service("aa")).unwrap();
    fs::rename(&staged, &path).unwrap();

    let next = || changes.recv_timeout(Duration::from_secs(10)).expect("no change came");
    assert_eq!(next(), Change::BatchBegins);
    engine.handle(Change::BatchBegins);
    let mut seen = Vec::new();
    loop {
        let change = next();
        seen.push(format!("{change:?}"));
        engine.handle(change.clone());
        if change == Change::BatchEnds {
            break;
        }
        assert!(!engine.has_work(), "in the middle of {seen:?}");
    }
    assert!(engine.has_work());
    assert!(seen.len() >= 3, "one Service comes, one goes: {seen:?}");
    stopper.stop();
    thread.join().unwrap().unwrap();
}
