//! Create, update, patch and delete, as clients do it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::{get, request, request_as};
use towpath_apiserver::{Options, Server};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const WEB: &str = "/api/v1/namespaces/default/services/web";
const MERGE: &str = "application/merge-patch+json";

fn server() -> Server {
    Server::start(Options::default()).unwrap()
}

fn service(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
}

fn create(server: &Server, spec: &Value) -> Value {
    request(server.address(), "POST", SERVICES, &service(spec).to_string()).json()
}

#[test]
fn a_service_gets_what_it_lacks() {
    let server = server();
    let made = create(
        &server,
        &json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local",
        "ipFamilyPolicy": "PreferDualStack", "ports": [{"port": 80}]}),
    );
    let spec = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster",
        "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"], "sessionAffinity": "None",
        "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00:10:96::a"],
        "allocateLoadBalancerNodePorts": true, "healthCheckNodePort": 30001,
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30000}],
    });
    assert_eq!(made["spec"], spec);
    assert_eq!(made["status"], json!({"loadBalancer": {}}));
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        assert!(made["metadata"][field].is_string(), "{field}");
    }
}

#[test]
fn other_kinds_of_services() {
    let server = server();
    let headless = create(&server, &json!({"clusterIP": "None"}));
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    request(server.address(), "DELETE", WEB, "");
    let external = create(&server, &json!({"type": "ExternalName", "externalName": "a.example"}));
    let spec = json!({"type": "ExternalName", "externalName": "a.example", "sessionAffinity": "None"});
    assert_eq!(external["spec"], spec);
    request(server.address(), "DELETE", WEB, "");
    let fixed = create(&server, &json!({"clusterIP": "fd00:10:96::77", "sessionAffinity": "ClientIP"}));
    assert_eq!(fixed["spec"]["ipFamilies"], json!(["IPv6"]));
    assert_eq!(fixed["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10800);
}

#[test]
fn an_address_is_given_once_and_given_back() {
    let server = server();
    create(&server, &json!({"clusterIP": "10.96.1.1"}));
    let other = json!({"metadata": {"name": "other"}, "spec": {"clusterIP": "10.96.1.1"}}).to_string();
    assert_eq!(request(server.address(), "POST", SERVICES, &other).status(), 422);
    assert_eq!(request(server.address(), "DELETE", WEB, "").json()["status"], "Success");
    assert_eq!(request(server.address(), "POST", SERVICES, &other).status(), 201);
    // What was only tried, or is not needed any more, is free again.
    let node_port =
        json!({"type": "NodePort", "clusterIP": "10.96.1.2", "ports": [{"port": 1, "nodePort": 30000}]});
    let path = format!("{SERVICES}?dryRun=All");
    assert_eq!(request(server.address(), "POST", &path, &service(&node_port).to_string()).status(), 201);
    create(&server, &node_port);
    let plain =
        json!({"spec": {"type": "ExternalName", "externalName": "a.example", "clusterIP": null}}).to_string();
    assert_eq!(request_as(server.address(), "PATCH", WEB, MERGE, &plain).status(), 200);
    let third = json!({"metadata": {"name": "third"}, "spec": {"clusterIP": "10.96.1.2"}}).to_string();
    assert_eq!(request(server.address(), "POST", SERVICES, &third).status(), 201);
}

#[test]
fn an_update_needs_the_newest_version() {
    let server = server();
    let mut made = create(&server, &json!({"ports": [{"port": 80}]}));
    made["metadata"]["labels"] = json!({"a": "b"});
    let updated = request(server.address(), "PUT", WEB, &made.to_string());
    assert_eq!(updated.status(), 200);
    let refused = request(server.address(), "PUT", WEB, &made.to_string());
    assert_eq!((refused.status(), refused.json()["reason"].as_str()), (409, Some("Conflict")));
    let again = request(server.address(), "POST", SERVICES, &service(&json!({})).to_string());
    assert_eq!((again.status(), again.json()["reason"].as_str()), (409, Some("AlreadyExists")));
    assert_eq!(request(server.address(), "PUT", &format!("{SERVICES}/none"), "{}").status(), 404);
    made["metadata"]["resourceVersion"] = Value::Null;
    made["spec"]["clusterIP"] = json!("10.96.3.3");
    assert_eq!(request(server.address(), "PUT", WEB, &made.to_string()).status(), 422);
}

#[test]
fn status_and_the_rest_are_changed_apart() {
    let server = server();
    let made = create(&server, &json!({"ports": [{"port": 80}]}));
    let patch =
        json!({"spec": {"ports": []}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    let path = format!("{WEB}/status");
    let changed = request_as(server.address(), "PATCH", &path, MERGE, &patch.to_string()).json();
    assert_eq!(changed["status"]["loadBalancer"]["ingress"], json!([{"ip": "192.0.2.1", "ipMode": "VIP"}]));
    assert_eq!(changed["spec"], made["spec"]);
    let patch = json!({"metadata": {"labels": {"x": "y"}}, "status": {"loadBalancer": {}}});
    let changed = request_as(server.address(), "PATCH", WEB, MERGE, &patch.to_string()).json();
    assert_eq!(changed["status"]["loadBalancer"]["ingress"][0]["ip"], "192.0.2.1");
    assert_eq!(request_as(server.address(), "PATCH", WEB, "text/plain", "{}").status(), 415);
}

#[test]
fn deletions_of_many() {
    let server = server();
    server.store().generate(5, 1).unwrap();
    let path = "/api/v1/namespaces/load/services?labelSelector=app%3Dsvc-2";
    let gone = request(server.address(), "DELETE", path, "").json();
    assert_eq!(gone["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.store().count("services"), 4);
    request(server.address(), "DELETE", "/api/v1/namespaces/load", "");
    assert_eq!((server.store().count("services"), server.store().count("endpointslices")), (0, 0));
    let lost = request(server.address(), "POST", "/api/v1/namespaces/load/services", "{}");
    assert_eq!(
        (lost.status(), lost.json()["message"].as_str()),
        (404, Some("namespaces \"load\" not found"))
    );
}

#[test]
fn a_rehearsal_changes_nothing() {
    let server = server();
    let body = json!({"metadata": {"generateName": "a-"}}).to_string();
    let made = request(server.address(), "POST", "/api/v1/namespaces/default/configmaps?dryRun=All", &body);
    assert_eq!(made.status(), 201);
    assert_eq!(server.store().count("configmaps"), 0);
}

#[test]
fn generations_count_what_is_neither_metadata_nor_status() {
    let server = server();
    server.store().generate(1, 1).unwrap();
    let path = "/apis/discovery.k8s.io/v1/namespaces/load/endpointslices/svc-0-abcde";
    let patch = |patch: &Value| {
        let answer = request_as(server.address(), "PATCH", path, MERGE, &patch.to_string());
        answer.json()["metadata"]["generation"].clone()
    };
    assert_eq!(patch(&json!({"metadata": {"labels": {"x": "y"}}})), 1);
    assert_eq!(patch(&json!({"endpoints": []})), 2);
}

#[test]
fn managed_fields_are_there_when_wanted() {
    let server = Server::start(Options { bulky_managed_fields: true, ..Options::default() }).unwrap();
    create(&server, &json!({"ports": [{"port": 80}]}));
    let made = get(server.address(), WEB).json();
    let fields = &made["metadata"]["managedFields"][0]["fieldsV1"];
    assert!(fields["f:spec"]["f:ports"][r#"k:{"port":80,"protocol":"TCP"}"#].is_object(), "{fields}");
    let version = server.store().version();
    server.store().apply(made).unwrap();
    assert_eq!(server.store().version(), version);
}
