//! Credentials and certificates: what is said, and that nothing needs a restart.

use std::fs;

use apiserver::{Grant, Options, Server};
use towpath_sources::Kubernetes;

use crate::run::*;

/// A kubeconfig that names files for the token and the CA.
fn with_files(server: &Server, directory: &Directory) -> towpath_sources::kubernetes::Options {
    fs::write(directory.file("token"), "first").unwrap();
    let kubeconfig = server.kubeconfig().token_file(&directory.file("token"));
    // The token of the options must not be in it.
    let text =
        kubeconfig.ca_file(&directory.file("ca.crt")).unwrap().text().replace("\"token\": \"first\",", "");
    fs::write(directory.file("kubeconfig"), text).unwrap();
    with_file(&directory.file("kubeconfig"))
}

#[test]
fn a_token_that_is_replaced_is_taken_up() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let mut run = Run::synced(with_files(&server, &directory));
    server.tokens().set(&["second"]);
    server.faults().end_watches(Some("services"));
    let told = run.problem("connection to the API server");
    let token = directory.file("token");
    let expected = format!("the server does not accept the token in {}: renew it", token.display());
    assert!(told.contains("401 Unauthorized") && told.contains(&expected), "{told}");
    fs::write(token, "second\n").unwrap();
    run.solved("connection to the API server");
    server.faults().end_watches(None);
    assert!(run.before_marker(&server).is_empty());
    run.stop();
}

#[test]
fn a_ca_that_is_replaced_is_taken_up() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let mut run = Run::synced(with_files(&server, &directory));
    server.tls().unwrap().rotate_ca().unwrap();
    server.faults().drop_connections();
    let told = run.problem("connection to the API server");
    let ca = directory.file("ca.crt");
    let expected = format!(
        "{}: the server's certificate is not signed by the CA in {}; check",
        server.url(),
        ca.display()
    );
    assert!(told.contains(&expected), "{told}");
    fs::write(ca, server.tls().unwrap().ca_pem()).unwrap();
    run.solved("connection to the API server");
    run.before_marker(&server);
    assert!(run.stats.errors().any(|(_, reason, _)| reason == "tls"));
    run.stop();
}

#[test]
fn http2_is_used_where_the_server_has_it() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let run = Run::synced(with_files(&server, &directory));
    assert_eq!(server.requests().count(|request| request.http != 2), 0);
    assert_eq!(server.requests().accepted(), 1, "all watches share a connection");
    run.stop();
}

#[test]
fn a_missing_rule_is_named() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    server
        .tokens()
        .grant("first", Grant::everything("towpath").deny("watch", "discovery.k8s.io", "endpointslices"));
    let mut run = Run::start(with_files(&server, &directory));
    let told = run.problem("watch of EndpointSlices");
    let path = "/apis/discovery.k8s.io/v1/endpointslices";
    assert!(
        told.starts_with(&format!(
            "api: watch of EndpointSlices: cannot watch EndpointSlices: GET {}{path}: 403 Forbidden: ",
            server.url()
        )),
        "{told}"
    );
    assert!(
        told.contains("allow [\"list\", \"watch\"] on \"endpointslices\" in API group \"discovery.k8s.io\"")
    );
    server.tokens().add("first");
    run.solved("watch of EndpointSlices");
    run.until("Synced", |change| *change == model::Change::Synced(Kubernetes::NAME));
    run.stop();
}

/// As clouds do it: a program gives the token, and is asked again when the server does not accept it.
#[test]
fn a_program_that_gives_the_token_is_asked_again() {
    let (server, directory) = (server(Options::secure("first")), Directory::new());
    let credential = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"token":"TOKEN"}}"#;
    let (file, path) = (directory.file("credential"), directory.file("kubeconfig"));
    fs::write(&file, credential.replace("TOKEN", "first")).unwrap();
    let exec = format!(
        r#""exec": {{"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": ["{}"], "interactiveMode": "Never"}}"#,
        file.display()
    );
    let text = server.kubeconfig().text();
    assert!(text.contains("\"token\": \"first\""));
    fs::write(&path, text.replace("\"token\": \"first\"", &exec)).unwrap();
    let mut run = Run::synced(with_file(&path));
    server.tokens().set(&["second"]);
    server.faults().end_watches(Some("services"));
    assert!(
        run.problem("connection to the API server")
            .contains("the server does not accept the answer of cat: renew it")
    );
    fs::write(&file, credential.replace("TOKEN", "second")).unwrap();
    run.solved("connection to the API server");
    run.stop();
}

/// The whole kubeconfig may be replaced, with another server in it.
#[test]
fn a_kubeconfig_that_is_replaced_is_taken_up() {
    let (old, new, directory) = (server(Options::default()), server(Options::default()), Directory::new());
    let path = old.kubeconfig().write(directory.file("kubeconfig")).unwrap();
    let mut run = Run::synced(with_file(&path));
    // Not the old one's versions: the new one has others.
    new.store().delete("services", "default", "gone").unwrap();
    new.kubeconfig().write(&path).unwrap();
    old.faults().refuse(true);
    run.until("the deletion", |change| is_service_gone(change, "gone"));
    run.before_marker(&new);
    run.stop();
}
