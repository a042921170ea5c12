//! What only DNS asks for: Pods and ServiceImports, if they are wanted, and wherever the server has them.

use apiserver::{Fault, Options, Rule, Server};
use model::Change;
use serde_json::{Value, json};
use towpath_sources::kubernetes::{Kubernetes, Pods};
use towpath_sources::{Kept, snapshot};

use crate::run::*;

fn pod(name: &str, node: &str, phase: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": phase, "podIPs": [{"ip": "10.244.1.5"}]}})
}

fn import(name: &str) -> Value {
    json!({"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterSetIP", "ips": ["10.98.0.1"], "ports": [{"port": 80}]}})
}

fn is_import(change: &Change, name: &str) -> bool {
    matches!(change, Change::ServiceImport(import) if &*import.name.name == name)
}

fn is_synced(change: &Change) -> bool {
    *change == Change::Synced(Kubernetes::NAME)
}

fn pods(changes: &[Change]) -> Vec<&str> {
    let mut names = Vec::new();
    for change in changes {
        if let Change::Pod(pod) = change {
            names.push(&*pod.name.name);
        }
    }
    names.sort_unstable();
    names
}

/// A server with the CRD.
fn multicluster() -> Server {
    server(Options { without: Vec::new(), ..Options::default() })
}

#[test]
fn pods_are_selected_by_the_server() {
    let server = server(Options::default());
    let all = [
        pod("here", "node-a", "Running"),
        pod("done", "node-a", "Succeeded"),
        pod("failed", "node-b", "Failed"),
        pod("there", "node-b", "Running"),
        pod("nowhere", "", "Pending"),
    ];
    server.store().apply_all(all).unwrap();
    for (wanted, expected) in
        [(Pods::None, vec![]), (Pods::Node, vec!["here"]), (Pods::All, vec!["here", "nowhere", "there"])]
    {
        server.requests().clear();
        let mut options = plain(&server);
        options.pods = wanted;
        let mut run = Run::start(options);
        let first = run.until("Synced", is_synced);
        assert_eq!(pods(&first), expected, "{wanted:?}");
        let asked = server.requests().count(|request| request.resource == "pods");
        assert_eq!(asked > 0, wanted != Pods::None, "{wanted:?}");
        run.stop();
    }
}

#[test]
fn a_pod_that_ends_goes() {
    let server = server(Options::default());
    server.store().apply(pod("here", "node-a", "Running")).unwrap();
    let mut options = plain(&server);
    options.pods = Pods::Node;
    let mut run = Run::synced(options);
    server.store().apply(pod("new", "node-a", "Pending")).unwrap();
    run.until("the new one", |change| matches!(change, Change::Pod(pod) if &*pod.name.name == "new"));
    server.store().apply(pod("here", "node-a", "Succeeded")).unwrap();
    let gone = |change: &Change| matches!(change, Change::PodGone(name) if &*name.name == "here");
    run.until("its end", gone);
    run.stop();
}

#[test]
fn imports_are_asked_for_only_if_wanted() {
    let server = multicluster();
    server.store().apply(import("db")).unwrap();
    for wanted in [false, true] {
        server.requests().clear();
        let mut options = plain(&server);
        options.imports = wanted;
        let mut run = Run::start(options);
        let first = run.until("Synced", is_synced);
        assert_eq!(first.iter().any(|change| is_import(change, "db")), wanted);
        let asked = server.requests().count(|request| request.path.contains("serviceimports"));
        assert_eq!(asked > 0, wanted);
        if wanted {
            server.store().apply(import("more")).unwrap();
            run.until("the other", |change| is_import(change, "more"));
            server.store().delete("serviceimports", "default", "db").unwrap();
            let gone =
                |change: &Change| matches!(change, Change::ServiceImportGone(name) if &*name.name == "db");
            run.until("its end", gone);
        }
        run.stop();
    }
}

#[test]
fn a_cluster_without_the_crd_is_no_problem_and_is_asked_again() {
    let server = multicluster();
    server.store().apply(import("db")).unwrap();
    let absent = Fault::Status { code: 404, retry_after: None, message: None };
    server.faults().add(Rule::new(absent).resource("serviceimports").times(3));
    let mut options = plain(&server);
    options.imports = true;
    let mut run = Run::start(options);
    let all = run.until("the import, once its kind is there", |change| is_import(change, "db"));
    assert!(all.iter().any(is_synced), "nothing waits for it");
    assert!(!all.iter().any(|change| matches!(change, Change::Problem(_))), "{all:?}");
    let asked = |version: &str| {
        let path = format!("/apis/multicluster.x-k8s.io/{version}/namespaces/default/serviceimports");
        let short = path.replace("/namespaces/default", "");
        server.requests().count(|request| request.path.starts_with(&short))
    };
    assert!(asked("v1alpha1") >= 2 && asked("v1beta1") >= 1, "each version is tried");
    run.stop();
}

#[test]
fn a_snapshot_gives_all_of_it_back() {
    let server = multicluster();
    let headless = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "h", "namespace": "default", "labels": {"a": "b"}},
        "spec": {"clusterIP": "None", "ports": [{"port": 80}]}});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "h-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "h"}},
        "endpoints": [{"addresses": ["10.244.1.5"], "hostname": "h-0", "zone": "z",
            "targetRef": {"kind": "Pod", "name": "h-0"}}]});
    let foreign = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "db-east", "namespace": "default",
            "labels": {"multicluster.kubernetes.io/service-name": "db",
                "multicluster.kubernetes.io/source-cluster": "east"}},
        "endpoints": [{"addresses": ["10.9.9.9"]}]});
    server
        .store()
        .apply_all([headless, slice, foreign, import("db"), pod("p", "node-a", "Running")])
        .unwrap();
    let wants = || {
        let mut options = plain(&server);
        (options.headless, options.imports, options.namespaces) = (true, true, true);
        (options.pods, options.kept) = (Pods::All, Kept::ALL);
        options
    };
    let mut run = Run::start(wants());
    let first = run.until("Synced", is_synced);
    run.stop();
    let mut store = model::Store::new("node-a");
    first.into_iter().for_each(|change| store.apply(change, &mut model::Touched::default()));
    let directory = Directory::new();
    let path = directory.file("state");
    snapshot::write(&path, "node-a", store.changes()).unwrap();
    let mut again = model::Store::new("node-a");
    let saved = snapshot::read(&path, "node-a", Kept::ALL).unwrap().changes;
    saved.into_iter().for_each(|change| again.apply(change, &mut model::Touched::default()));
    let text = |store: &model::Store| {
        let mut all: Vec<String> = store.changes().map(|change| format!("{change:?}")).collect();
        all.sort();
        all
    };
    assert_eq!(text(&store), text(&again));
    for kind in ["headless: true", "h-0", "ImportSlice(", "ServiceImport(", "Pod(Pod", "Namespace(Namespace"]
    {
        assert!(text(&again).iter().any(|line| line.contains(kind)), "{kind}: {:#?}", text(&again));
    }
}
