//! Credential plugins that fail or hang, and a kubeconfig that is being edited.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use apiserver::{Fault, Options, Rule, Server};
use model::Change;
use serde_json::json;
use towpath_sources::kubernetes::Kubernetes;

use crate::run::*;

/// What a fault is about that every kind would have.
const CONNECTION: &str = "connection to the API server";

/// A kubeconfig whose token comes from a shell script.
fn with_plugin(server: &Server, directory: &Directory, script: &str) -> PathBuf {
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "env": [{"name": "KEY", "value": "secret-in-env"}], "interactiveMode": "Never"});
    let text = server.kubeconfig().text();
    assert!(text.contains("\"token\": \"first\""));
    let path = directory.file("kubeconfig");
    fs::write(&path, text.replace("\"token\": \"first\"", &format!("\"exec\": {exec}"))).unwrap();
    path
}

/// Prints a credential.
fn prints(token: &str) -> String {
    let credential = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false}, "status": {"token": token}});
    format!("echo '{credential}'")
}

#[test]
fn the_secrets_of_a_plugin_are_not_said() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    for (script, expected) in [
        (
            "echo secret-out; echo secret-err >&2; exit 3 # secret-in-args",
            "the answer of sh: the credential plugin ended with exit status: 3",
        ),
        ("echo 'secret-out: ['", "the answer of sh: what the credential plugin gave is no ExecCredential"),
    ] {
        let mut run = Run::start(with_file(&with_plugin(&server, &directory, script)));
        let told = run.problem(CONNECTION);
        assert!(told.contains(expected) && !told.contains("secret"), "{told}");
        run.stop();
    }
}

#[test]
fn a_plugin_that_hangs_is_said_and_holds_up_no_end() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let mut options = with_file(&with_plugin(&server, &directory, "exec sleep 10"));
    options.limits.answer = Duration::from_millis(500);
    let mut run = Run::start(options);
    let told = run.problem(CONNECTION);
    assert!(told.contains("no credentials within 500ms: a credential plugin hangs"), "{told}");
    let before = Instant::now();
    run.stop();
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[test]
fn a_plugin_that_is_slow_is_waited_for_while_it_lasts() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let script = format!("sleep 1; {}", prints("first"));
    let mut options = with_file(&with_plugin(&server, &directory, &script));
    options.limits.answer = Duration::from_millis(500);
    options.limits.ask_again = Duration::from_secs(60);
    let mut run = Run::start(options);
    run.problem(CONNECTION);
    run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
    run.stop();
}

#[test]
fn watches_go_on_while_a_plugin_runs() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let mut options = with_file(&with_plugin(&server, &directory, &prints("first")));
    options.limits.answer = Duration::from_secs(10);
    let mut run = Run::synced(options);
    let marks = directory.file("ran");
    with_plugin(&server, &directory, &format!("touch '{}'; sleep 2; {}", marks.display(), prints("first")));
    server.requests().clear();
    server.faults().end_watches(Some("nodes"));
    while !marks.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = Instant::now();
    assert_eq!(run.before_marker(&server), []);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert!(
        server.requests().wait(1, LONG, |r| r.resource == "nodes"),
        "and it is asked for again in the end"
    );
    run.stop();
}

#[test]
fn a_kubeconfig_that_is_broken_cuts_nothing_off() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let path = server.kubeconfig().write(directory.file("kubeconfig")).unwrap();
    let good = fs::read(&path).unwrap();
    let mut run = Run::synced(with_file(&path));
    fs::write(&path, "users: [").unwrap();
    // A time-out: the client is to be made anew.
    server.faults().add(Rule::new(Fault::Hang).resource("services").times(1));
    server.faults().end_watches(Some("services"));
    let told = run.problem("watch of Services");
    assert!(told.contains("no answer within 1.5s"), "{told}");
    run.solved("watch of Services");
    run.before_marker(&server);
    // What fails now may be due to that.
    server.tokens().set(&["second"]);
    server.faults().end_watches(Some("services"));
    let told = run.problem(CONNECTION);
    let expected = format!("; newer credentials cannot be used: kubeconfig {}: ", path.display());
    assert!(told.contains("401 Unauthorized") && told.contains(&expected), "{told}");
    fs::write(&path, String::from_utf8(good).unwrap().replace("first", "second")).unwrap();
    run.solved(CONNECTION);
    run.stop();
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_not_shown() {
    let directory = Directory::new();
    let path = directory.file("kubeconfig");
    for broken in [
        "users:\n- name: u\n  user:\n    token: secret-token\n   bad: x\n",
        "users:\n- name: u\n  user:\n    token: [secret-token\n",
        "users:\n- name: u\n  user:\n    token: {secret-token: x}\n",
        "users:\n- name: u\n  user: secret-token\n",
        "users:\n- name: u\n  user:\n    exec: {env: [{name: x, value: secret-token}], interactiveMode: secret-token}\n",
    ] {
        fs::write(&path, broken).unwrap();
        let told = Kubernetes::open(with_file(&path)).unwrap_err().to_string();
        assert!(told.contains(", column ") && !told.contains("secret"), "{told}");
    }
}
