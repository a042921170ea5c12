//! Servers that are away, frozen or slow.

use std::process::Command;
use std::time::{Duration, Instant};

use apiserver::{Fault, Options, Rule};
use model::Change;

use crate::run::*;

#[test]
fn a_server_that_is_away_is_said_once_and_its_return_too() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.faults().refuse(true);
    let told = run.problem("connection to the API server");
    let expected = format!("api: connection to the API server: {}: no connection: ", server.url());
    assert!(told.starts_with(&expected) && told.contains("Connection refused"), "{told}");
    assert!(told.ends_with(
        "check the server, and the address in the kubeconfig or --master; what is known stays in force"
    ));
    server.store().delete("services", "default", "gone").unwrap();
    server.faults().refuse(false);
    let all = run.until("the deletion", |change| is_service_gone(change, "gone"));
    let again = |change: &&Change| matches!(change, Change::Problem(p) if &*p.subject.object == "connection to the API server");
    assert_eq!(all.iter().filter(again).count(), 0);
    run.stop();
}

/// Over HTTP/2 pings find it; over HTTP/1.1 only silence does.
#[test]
fn a_frozen_connection_is_found_in_time() {
    for (tls, watch_silence) in [(true, 60_000), (false, 1200)] {
        let options = if tls { Options::secure("t") } else { Options::default() };
        let (server, directory) =
            (server(Options { bookmark_every: Duration::from_millis(300), ..options }), Directory::new());
        let path = server.kubeconfig().write(directory.file("kubeconfig")).unwrap();
        let mut options = with_file(&path);
        options.limits.watch_silence = Duration::from_millis(watch_silence);
        let mut run = Run::synced(options);
        let before = Instant::now();
        server.faults().strand_connections();
        assert_eq!(run.before_marker(&server), [], "tls: {tls}");
        assert!(before.elapsed() < Duration::from_secs(5), "tls: {tls}, after {:?}", before.elapsed());
        run.stop();
    }
}

#[test]
fn a_frozen_server_is_said_and_its_return_is_seen() {
    let (server, directory) = (server(Options::secure("t")), Directory::new());
    let path = server.kubeconfig().write(directory.file("kubeconfig")).unwrap();
    let mut run = Run::synced(with_file(&path));
    server.faults().freeze(true);
    let told = run.problem("watch of Services");
    assert!(told.contains("no answer within 1.5s"), "{told}");
    server.faults().freeze(false);
    run.solved("watch of Services");
    run.before_marker(&server);
    run.stop();
}

#[test]
fn a_list_that_stops_is_begun_anew() {
    let server = server(Options::default());
    server.faults().add(Rule::new(Fault::RefuseWatchList { code: 422 }));
    server.faults().add(Rule::new(Fault::Stall { after: 100 }).resource("services").verb("list").times(1));
    let mut run = Run::start(plain(&server));
    let told = run.problem("watch of Services");
    assert!(told.contains("cannot list Services") && told.contains("the list stopped for 1s"), "{told}");
    run.until("Synced", |change| *change == Change::Synced(towpath_sources::Kubernetes::NAME));
    run.stop();
}

#[test]
fn a_slow_list_is_no_fault() {
    let server = server(Options::default());
    server.faults().add(Rule::new(Fault::Slow { bytes_per_second: 2000 }).resource("services").times(1));
    let mut run = Run::start(plain(&server));
    let all = run.until("Synced", |change| *change == Change::Synced(towpath_sources::Kubernetes::NAME));
    assert!(!all.iter().any(|change| matches!(change, Change::Problem(_))), "{all:?}");
    run.stop();
}

const INSIDE: &str = "TOWPATH_TEST_IN_NETNS";

/// Runs the named test again in a network namespace of its own; `true` there. Needs root.
fn in_netns(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut again = Command::new("unshare");
    again.arg("--net").arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    assert!(
        again.env(INSIDE, "1").status().unwrap().success(),
        "the test failed in its namespace, or this is not root"
    );
    false
}

fn sh(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

/// Packets vanish: no answer, no reset. Pings find it over HTTP/2, the kernel's keep-alive over HTTP/1.1, long before
/// the silence of a watch does.
#[test]
fn a_network_that_swallows_packets_is_found_in_time() {
    if !in_netns("faults::a_network_that_swallows_packets_is_found_in_time") {
        return;
    }
    sh("ip link set lo up");
    for tls in [true, false] {
        let (server, directory) =
            (server(if tls { Options::secure("t") } else { Options::default() }), Directory::new());
        let mut options = with_file(&server.kubeconfig().write(directory.file("kubeconfig")).unwrap());
        options.limits.ping_every = Duration::from_secs(1);
        options.limits.ping_answer = Duration::from_secs(1);
        let mut run = Run::synced(options);
        let before = Instant::now();
        sh("nft add table ip t; nft 'add chain ip t c {type filter hook input priority 0; policy drop;}'");
        let told = run.problem("watch of Services");
        assert!(told.contains("no answer within 1.5s"), "{told}");
        assert!(before.elapsed() < Duration::from_secs(10), "tls: {tls}, after {:?}", before.elapsed());
        sh("nft delete table ip t");
        run.solved("watch of Services");
        run.before_marker(&server);
        run.stop();
    }
}
