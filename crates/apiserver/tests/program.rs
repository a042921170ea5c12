//! The program, as scripts use it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use support::{get, request};

/// The program, until it is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_says_where_it_serves_what_it_loaded() {
    let directory = std::env::temp_dir().join(format!("towpath-program-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let manifest = "apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n---\n\
                    apiVersion: v1\nkind: Node\nmetadata: {name: node-b}\n";
    std::fs::write(directory.join("nodes.yaml"), manifest).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath-apiserver"));
    command.args(["--token", "secret", "--services", "3", "--endpoints", "2", "--without", "servicecidrs"]);
    command.arg("--load").arg(&directory).arg("--kubeconfig-out").arg(directory.join("kubeconfig"));
    command.args(["--control", "127.0.0.1:0", "--service-cidr", "10.5.0.0/16"]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let url = lines.next().unwrap().unwrap();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let count = |path: &str| get(address, path).json()["items"].as_array().unwrap().len();
    assert_eq!((count("/api/v1/services"), count("/api/v1/nodes")), (3, 2));
    assert_eq!(get(address, "/apis/networking.k8s.io/v1/servicecidrs").status(), 404);
    let service = get(address, "/api/v1/namespaces/load/services/svc-0").json();
    assert!(service["spec"]["clusterIP"].as_str().unwrap().starts_with("10.5."));
    assert!(std::fs::read_to_string(directory.join("kubeconfig")).unwrap().contains(&url));
    let control = lines.next().unwrap().unwrap();
    let control = control.strip_prefix("control http://").unwrap().parse().unwrap();
    assert_eq!(
        request(control, "POST", "/_test/fault/freeze", r#"{"frozen": true, "millis": 1}"#).status(),
        200
    );
    // It thaws by itself.
    assert_eq!(count("/api/v1/nodes"), 2);
    std::fs::remove_dir_all(&directory).unwrap();
}
