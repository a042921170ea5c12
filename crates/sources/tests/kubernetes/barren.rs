//! Watches that bring nothing: they become a list, unless the server is merely away.

use std::time::Duration;

use apiserver::{Fault, Injection, Mode, Options, Rule, Server};
use model::Change;

use crate::run::*;

fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None, message: None }
}

/// Whether Services are asked for as a whole again.
fn is_listed(server: &Server) -> bool {
    server.requests().wait(1, LONG, |r| r.resource == "services" && r.query.contains("sendInitialEvents"))
}

#[test]
fn a_watch_that_is_refused_again_and_again_becomes_a_list() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.requests().clear();
    server.faults().add(Rule::new(status(500)).resource("services").verb("watch"));
    server.faults().end_watches(Some("services"));
    assert!(is_listed(&server));
    // And where no watch is let through, lists at least are.
    run.before_marker(&server);
    server.faults().remove_rules();
    run.solved("watch of Services");
    run.stop();
}

#[test]
fn a_watch_that_ends_at_once_again_and_again_becomes_a_list() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.requests().clear();
    std::thread::scope(|scope| {
        let listed = scope.spawn(|| is_listed(&server));
        while !listed.is_finished() {
            server.faults().end_watches(Some("services"));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(listed.join().unwrap());
    });
    let told = run.problem("watch of Services");
    assert!(told.contains("the server ends it at once, again and again"), "{told}");
    run.before_marker(&server);
    run.stop();
}

#[test]
fn a_watch_that_says_an_error_again_and_again_becomes_a_list() {
    let server = server(Options::default());
    let run = Run::synced(plain(&server));
    server.requests().clear();
    std::thread::scope(|scope| {
        let listed = scope.spawn(|| is_listed(&server));
        while !listed.is_finished() {
            server.faults().inject(Some("services"), &Injection::Error { code: 500 });
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(listed.join().unwrap());
    });
    run.stop();
}

#[test]
fn a_watch_that_is_silent_again_and_again_becomes_a_list() {
    let server = server(Options::default());
    let mut options = plain(&server);
    options.limits.watch_silence = Duration::from_millis(400);
    let mut run = Run::synced(options);
    server.requests().clear();
    server.faults().add(Rule::new(Fault::Stall { after: 0 }).resource("services").verb("watch").times(3));
    server.faults().end_watches(Some("services"));
    let told = run.problem("watch of Services");
    assert!(told.contains("nothing comes, not even a bookmark, again and again"), "{told}");
    assert!(is_listed(&server));
    run.solved("watch of Services");
    run.stop();
}

/// As after a restore of etcd from a backup: a watch from a version of the future is accepted, and silent.
#[test]
fn a_server_whose_versions_went_back_is_listed_anew() {
    let (old, new, directory) = (server(Options::default()), server(Options::default()), Directory::new());
    old.store().advance_to(10_000);
    let path = old.kubeconfig().write(directory.file("kubeconfig")).unwrap();
    let mut options = with_file(&path);
    options.limits.watch_silence = Duration::from_millis(400);
    let mut run = Run::synced(options);
    new.store().delete("services", "default", "gone").unwrap();
    new.kubeconfig().write(&path).unwrap();
    old.faults().refuse(true);
    run.until("the deletion", |change| is_service_gone(change, "gone"));
    run.before_marker(&new);
    run.stop();
}

/// A list by every node is the last thing that a server needs that has just come back.
#[test]
fn an_outage_ends_without_a_list() {
    for fault in [status(503), status(429), Fault::Close] {
        let server = server(Options::default());
        let mut run = Run::synced(plain(&server));
        server.requests().clear();
        server.faults().add(Rule::new(fault.clone()).resource("services").verb("watch").times(15));
        server.faults().end_watches(Some("services"));
        assert_eq!(run.before_marker(&server).iter().filter(|c| matches!(c, Change::Service(_))).count(), 0);
        assert_eq!(server.requests().in_mode("services", Mode::WatchList), 0, "{fault:?}");
        assert_eq!(server.requests().in_mode("services", Mode::CachedList), 0, "{fault:?}");
        run.stop();
    }
}

#[test]
fn streams_that_break_every_other_second_are_said_once() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(1200));
        server.faults().inject(Some("services"), &Injection::Cut);
    }
    let told = run.problem("watch of Services");
    assert!(told.contains("the connection broke"), "{told}");
    let all = run.before_marker(&server);
    let again = |c: &&Change| matches!(c, Change::Problem(_) | Change::ProblemSolved(_));
    assert_eq!(all.iter().filter(again).count(), 0, "{all:?}");
    run.stop();
}
