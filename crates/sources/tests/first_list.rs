//! What the first list brings, from files of every shape.

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{Scratch, assert_starts, documents, load, service};
use towpath_sources::{Manifests, ManifestsError};

#[test]
fn files_in_path_order_then_synced() {
    let scratch = Scratch::new();
    scratch.write("b.yml", service("b", 2));
    scratch.write("a.yaml", documents(&[service("a", 1), service("a2", 1)]));
    scratch.write(
        "c.json",
        r#"{"kind":"Service","metadata":{"name":"c"}} {"kind":"Namespace","metadata":{"name":"n"}}"#,
    );
    scratch.write(".hidden.yaml", service("hidden", 1));
    scratch.write("notes.txt", "not YAML: [");
    fs::create_dir(scratch.path("sub.yaml")).unwrap();
    let expected = [
        "service default/a 1",
        "service default/a2 1",
        "service default/b 2",
        "service default/c ",
        "namespace n",
        "synced manifests",
    ];
    assert_eq!(load(&scratch.0), expected);
}

#[test]
fn lists_as_kubectl_and_the_api_print_them() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", include_str!("data/kubectl-list.yaml"));
    scratch.write("b.json", include_str!("data/services.json"));
    scratch.write("c.yaml", include_str!("data/slices.json"));
    let found = load(&scratch.0);
    assert_starts(
        &found,
        &[
            "service shop/web 80",
            "slice shop/web-abcde of shop/web x1",
            "service default/kubernetes 443",
            "service shop/db 5432",
            "service shop/ext ",
            "service shop/web-lb 80,53",
            "service shop/web-nodeport 80",
            "slice shop/db-fghij of shop/db x1",
            "slice shop/web-v6xyz of shop/web x1",
            "problem b.json | Service shop/web | ",
            "problem c.yaml | EndpointSlice shop/web-abcde |",
            "synced",
        ],
    );
}

#[test]
fn other_kinds_are_passed_over() {
    let scratch = Scratch::new();
    let text = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: serving.knative.dev/v1\nkind: Service\n\
                ---\napiVersion: v1\nkind: ConfigMapList\nitems: [{}]\n---\n# nothing\n";
    scratch.write("a.yaml", text);
    assert_eq!(load(&scratch.0), ["synced manifests"]);
}

#[test]
fn bad_objects_hurt_only_themselves() {
    let scratch = Scratch::new();
    let port_zero = service("zero", 0);
    let old_version =
        "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: x}\n".to_owned();
    let parts = [
        service("a", 1),
        port_zero,
        "metadata: {name: x}\n".to_owned(),
        old_version,
        "kind: Service\nmetadata: {}\n".to_owned(),
        "just words\n".to_owned(),
        "kind: [\n".to_owned(),
        "kind: List\nitems: [{kind: Service}, {kind: Service, metadata: {name: in-list}}, 7]\n".to_owned(),
        service("b", 2),
    ];
    scratch.write("a.yaml", documents(&parts));
    assert_starts(
        &load(&scratch.0),
        &[
            "service default/a 1",
            "service default/in-list ",
            "service default/b 2",
            "problem a.yaml | Service default/zero | spec.ports[0].port | 0 is not a port number",
            "problem a.yaml | Service in document 5 | metadata.name | missing",
            "problem a.yaml | Service in document 8 item 1 | metadata.name | missing",
            "problem a.yaml | document 3 | kind | missing",
            "problem a.yaml | document 4 | apiVersion | \"discovery.k8s.io/v1beta1\" is not read",
            "problem a.yaml | document 6 |  | not a Kubernetes object",
            "problem a.yaml | document 7 |  | bad YAML: ",
            "problem a.yaml | document 8 item 3 |  | not a Kubernetes object",
            "synced",
        ],
    );
}

#[test]
fn warnings_of_one_object_are_one_problem() {
    let scratch = Scratch::new();
    let text = "kind: Service\nmetadata: {name: a}\nspec: {externalIPs: [x, 192.0.2.1, z]}\n";
    scratch.write("a.yaml", text);
    let found = load(&scratch.0);
    assert_starts(
        &found,
        &["service default/a", "problem a.yaml | Service default/a | spec.externalIPs[0]", "synced"],
    );
    assert!(found[1].contains("spec.externalIPs[2]: \"z\" is not an IP address"), "{}", found[1]);
}

#[test]
fn unreadable_files_are_problems() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", [0xff, 0xfe]);
    symlink("nowhere.yaml", scratch.path("b.yaml")).unwrap();
    scratch.write("c.yaml", service("c", 1));
    assert_starts(
        &load(&scratch.0),
        &[
            "service default/c 1",
            "problem a.yaml | file |  | not UTF-8 text (byte 0)",
            "problem b.yaml | file |  | a link to a file that is not there",
            "synced",
        ],
    );
}

#[test]
fn twice_in_one_file_the_first_counts() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", documents(&[service("a", 1), service("a", 2)]));
    let expected =
        ["service default/a 1", "problem a.yaml | Service default/a |  | defined more than once", "synced"];
    assert_starts(&load(&scratch.0), &expected);
}

#[test]
fn what_cannot_be_opened_is_a_one_line_error() {
    let error = Manifests::open("/nonexistent/manifests").unwrap_err();
    assert!(matches!(error, ManifestsError::Unreadable { .. }));
    let text = error.to_string();
    assert!(text.starts_with("cannot read manifests from /nonexistent/manifests: ") && !text.contains('\n'));
}

#[test]
fn a_receiver_that_is_gone_ends_the_load() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", documents(&[service("a", 1), service("b", 1)]));
    let mut count = 0;
    let result = Manifests::open(&scratch.0).unwrap().load(&mut |_| {
        count += 1;
        false
    });
    assert!(matches!(result, Err(ManifestsError::ReceiverGone)));
    assert_eq!(count, 1);
}

#[test]
fn ten_thousand_objects() {
    let scratch = Scratch::new();
    let item = |i: usize| {
        format!(
            r#"{{"metadata":{{"name":"s{i}","namespace":"n{}"}},"spec":{{"clusterIP":"10.{}.{}.{}","ports":[{{"port":80}}]}}}}"#,
            i % 50,
            i >> 16,
            i >> 8 & 255,
            i & 255
        )
    };
    let items: Vec<String> = (0..10_000).map(item).collect();
    let list = format!(r#"{{"apiVersion":"v1","items":[{}],"kind":"ServiceList"}}"#, items.join(","));
    scratch.write("all.json", list);
    let found = load(&scratch.0);
    assert_eq!(found.len(), 10_001);
    assert_eq!(found[9_999], "service n49/s9999 80");
    let yaml: Vec<String> =
        (0..3_000).map(|i| format!("- {{kind: Service, metadata: {{name: y{i}}}}}\n")).collect();
    scratch.write("all.json", "");
    scratch.write("more.yaml", format!("kind: List\nitems:\n{}", yaml.concat()));
    assert_eq!(load(&scratch.0).len(), 3_001);
}
