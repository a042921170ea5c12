//! The real kubectl against the server, over HTTPS, with a kubeconfig.
//!
//! `KUBECTL` names the program; without it, it is looked for in `PATH`, and where there is none the tests are reported as
//! ignored. A program that was named and does not run fails the tests. Known to pass with 1.20, 1.32 and 1.36.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::{Value, json};
use towpath_apiserver::{Mode, Options, Server};

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  selector: {app: web}
  type: NodePort
  ports: [{name: http, port: 80, targetPort: http}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {taints: [{key: one, effect: NoSchedule}, {key: two, effect: NoExecute}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]
ports: [{name: http, port: 8080, protocol: TCP}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: towpath, namespace: kube-system}
spec:
  selector: {matchLabels: {app: towpath}}
  template:
    metadata: {labels: {app: towpath}}
    spec:
      serviceAccountName: towpath
      containers: [{name: towpath, image: towpath, ports: [{containerPort: 10256}], env: [{name: A, value: b}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: towpath}
rules: [{apiGroups: [''], resources: [services], verbs: [list, watch]}]
";

/// kubectl, a server, and a directory for both.
struct Bench {
    program: String,
    server: Server,
    directory: PathBuf,
}

impl Bench {
    fn new(program: &str, name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("towpath-kubectl-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let server = Server::start(Options::secure("secret")).unwrap();
        server.kubeconfig().write(directory.join("kubeconfig")).unwrap();
        std::fs::write(directory.join("manifest.yaml"), MANIFEST).unwrap();
        Self { program: program.to_owned(), server, directory }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(self.directory.join("kubeconfig"));
        command.arg("--cache-dir").arg(self.directory.join("cache")).args(arguments);
        command.current_dir(&self.directory).env("HOME", &self.directory).stdin(Stdio::null());
        command
    }

    /// What kubectl prints; it must succeed.
    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn apply(&self) -> String {
        self.kubectl(&["apply", "-f", "manifest.yaml"])
    }

    fn get(&self, plural: &str, namespace: &str, name: &str) -> Value {
        self.server.store().get(plural, namespace, name).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn applies_and_deletes(bench: &Bench) {
    assert_eq!(bench.apply().matches(" created").count(), 5);
    let service = bench.get("services", "default", "web");
    assert!(service["spec"]["ports"][1]["nodePort"].as_u64().unwrap() >= 30_000, "{service}");
    let again = bench.apply();
    assert_eq!(again.matches(" unchanged").count(), 5, "{again}");
    let changed = MANIFEST.replace("port: 53", "port: 54").replace("port: 80,", "port: 80, nodePort: 30099,");
    std::fs::write(bench.directory.join("manifest.yaml"), changed).unwrap();
    assert_eq!(bench.apply().matches(" configured").count(), 1);
    let ports = bench.get("services", "default", "web")["spec"]["ports"].clone();
    let numbers: Vec<_> = ports.as_array().unwrap().iter().map(|port| port["port"].clone()).collect();
    assert_eq!(
        (numbers.as_slice(), &ports[0]["nodePort"]),
        ([json!(80), json!(54)].as_slice(), &json!(30099))
    );
    let deleted = bench.kubectl(&["delete", "-f", "manifest.yaml"]);
    assert_eq!(deleted.matches(" deleted").count(), 5, "{deleted}");
    assert_eq!(bench.server.store().count("services"), 0);
}

fn applies_on_the_server(bench: &Bench) {
    bench.kubectl(&["apply", "--server-side", "-f", "manifest.yaml"]);
    bench.kubectl(&["apply", "--server-side", "-f", "manifest.yaml"]);
    assert_eq!(bench.get("daemonsets", "kube-system", "towpath")["metadata"]["generation"], 1);
}

fn prints_tables(bench: &Bench) {
    bench.apply();
    let services = bench.kubectl(&["get", "services", "-o", "wide"]);
    for text in [
        "NAME",
        "CLUSTER-IP",
        "PORT(S)",
        "SELECTOR",
        "web",
        "NodePort",
        "10.96.0.10",
        "53:30001/UDP",
        "app=web",
    ] {
        assert!(services.contains(text), "{text}: {services}");
    }
    let nodes = bench.kubectl(&["get", "no"]);
    assert!(nodes.contains("STATUS") && nodes.contains("node-a"), "{nodes}");
    let slices = bench.kubectl(&["get", "endpointslices", "-A"]);
    assert!(slices.contains("ENDPOINTS") && slices.contains("10.0.0.1"), "{slices}");
    assert!(bench.kubectl(&["get", "ns", "-o", "name"]).contains("namespace/kube-system"));
    let address = bench.kubectl(&["get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}"]);
    assert_eq!(address, "10.96.0.10");
    let none = bench.command(&["get", "svc", "none"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&none.stderr)
            .contains("Error from server (NotFound): services \"none\" not found")
    );
}

fn labels_and_taints(bench: &Bench) {
    bench.apply();
    let labels = |bench: &Bench| bench.get("services", "default", "web")["metadata"]["labels"].clone();
    bench.kubectl(&["label", "service", "web", "service.kubernetes.io/service-proxy-name=other"]);
    assert_eq!(labels(bench), json!({"app": "web", "service.kubernetes.io/service-proxy-name": "other"}));
    bench.kubectl(&["label", "service", "web", "service.kubernetes.io/service-proxy-name-"]);
    assert_eq!(labels(bench), json!({"app": "web"}));
    let taints = |bench: &Bench| {
        let node = bench.get("nodes", "", "node-a");
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().map(|taint| taint["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    bench.kubectl(&["taint", "node", "node-a", "one:NoSchedule-"]);
    assert_eq!(taints(bench), ["two"]);
    bench.kubectl(&["taint", "node", "node-a", "three=x:NoSchedule", "two-"]);
    assert_eq!(taints(bench), ["three"]);
    bench.kubectl(&[
        "patch",
        "node",
        "node-a",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/spec/taints/0"}]"#,
    ]);
    assert_eq!(taints(bench), Vec::<String>::new());
}

fn watches(bench: &Bench) {
    bench.apply();
    let mut command = bench.command(&["get", "services", "-w", "-o", "name"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "service/web");
    let watching = |request: &towpath_apiserver::Request| {
        request.mode == Mode::Watch && request.http == 2 && request.resource == "services"
    };
    assert!(bench.server.requests().wait(1, Duration::from_secs(10), watching));
    let mut other = bench.get("services", "default", "web");
    other["metadata"] = json!({"name": "other", "namespace": "default"});
    other["spec"] = json!({"ports": [{"port": 1}]});
    bench.server.store().apply(other).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "service/other");
    child.kill().unwrap();
    child.wait().unwrap();
}

type Test = (&'static str, fn(&Bench));

const TESTS: &[Test] = &[
    ("applies_and_deletes", applies_and_deletes),
    ("applies_on_the_server", applies_on_the_server),
    ("prints_tables", prints_tables),
    ("labels_and_taints", labels_and_taints),
    ("watches", watches),
];

/// The program, or why there is none. One that was named is taken without a look.
fn find_kubectl() -> Result<String, String> {
    if let Ok(named) = std::env::var("KUBECTL") {
        return Ok(named);
    }
    let version = Command::new("kubectl").args(["version", "--client"]).output();
    match version {
        Ok(output) if output.status.success() => Ok("kubectl".into()),
        _ => Err("no kubectl in PATH (apt-get install --no-install-recommends kubernetes-client)".into()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let program = find_kubectl();
    let trial = |(name, test): &Test| {
        let (name, test, program) = (*name, *test, program.clone());
        Trial::ignorable_test(name, move || match program {
            Ok(program) => {
                test(&Bench::new(&program, name));
                Ok(Completion::Completed)
            }
            Err(reason) => Ok(Completion::ignored_with(reason)),
        })
    };
    let conclusion = libtest_mimic::run(&arguments, TESTS.iter().map(trial).collect());
    let _ = std::io::stdout().flush();
    conclusion.exit_code()
}
