//! Services: every field that a proxy reads, as the server completes it.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Completion;
use model::{IpFamily, Protocol, ServiceType, TrafficPolicy};
use serde_json::{Value, json};

use crate::Test;
use crate::case::{Case, done, ignored, port};

pub(crate) const TESTS: &[Test] = &[
    ("a_cluster_ip_with_ports", a_cluster_ip_with_ports),
    ("an_update_and_a_deletion", an_update_and_a_deletion),
    ("node_ports", node_ports),
    ("a_load_balancer", a_load_balancer),
    ("external_ips", external_ips),
    ("session_affinity", session_affinity),
    ("two_families", two_families),
    ("deleted_and_made_again_under_the_same_name", deleted_and_made_again),
    ("an_external_name", an_external_name),
];

/// For Services of type LoadBalancer: no controller knows it, so none is made in any cloud.
const CLASS: &str = "towpath.example/conformance";

fn addresses(list: &Value) -> Vec<IpAddr> {
    list.as_array().into_iter().flatten().filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

fn number(value: &Value) -> u16 {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default()
}

fn a_cluster_ip_with_ports(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let made = case.service(
        "web",
        json!({"internalTrafficPolicy": "Local", "ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "sctp", "port": 9000, "protocol": "SCTP"}]}),
    )?;
    let found = reader.service(&case.name("web"), "new", |_| true)?;
    let given = addresses(&made["spec"]["clusterIPs"]);
    ensure!(!given.is_empty() && found.cluster_ips == given, "the server gave {given:?}: {found:#?}");
    let ports: Vec<_> =
        found.ports.iter().map(|port| (&*port.name, port.protocol, port.port, port.node_port)).collect();
    let expected =
        [("http", Protocol::Tcp, 80, 0), ("dns", Protocol::Udp, 53, 0), ("sctp", Protocol::Sctp, 9000, 0)];
    ensure!(ports == expected, "{ports:?}");
    ensure!(
        found.internal_policy == TrafficPolicy::Local && found.kind == ServiceType::ClusterIp,
        "{found:#?}"
    );
    ensure!(found.created.is_some() && !found.other_proxy && found.affinity_seconds.is_none(), "{found:#?}");
    reader.stop()?;
    done()
}

fn an_update_and_a_deletion(case: &Case) -> Result<Completion> {
    case.service("web", port(80))?;
    let mut reader = case.synced()?;
    case.patch_service("web", &json!({"spec": port(81)}))?;
    reader.service(&case.name("web"), "its new port", |service| service.ports[0].port == 81)?;
    case.delete(&case.service_path("web"))?;
    reader.service_gone(&case.name("web"))?;
    reader.stop()?;
    done()
}

fn node_ports(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]});
    let made = case.service("web", spec)?;
    let given = number(&made["spec"]["ports"][0]["nodePort"]);
    let found = reader.service(&case.name("web"), "new", |_| true)?;
    ensure!(given != 0 && found.ports[0].node_port == given, "the server gave {given}: {found:#?}");
    ensure!(
        found.kind == ServiceType::NodePort && found.external_policy == TrafficPolicy::Local,
        "{found:#?}"
    );
    case.patch_service(
        "web",
        &json!({"spec": {"type": "ClusterIP", "externalTrafficPolicy": null,
        "ports": [{"port": 80, "nodePort": null}]}}),
    )?;
    reader.service(&case.name("web"), "without a node port", |service| {
        service.kind == ServiceType::ClusterIp && service.ports[0].node_port == 0
    })?;
    reader.stop()?;
    done()
}

/// Its address comes through the subresource `status`, as a cloud's controller sets it.
fn a_load_balancer(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let made = case.service(
        "web",
        json!({"type": "LoadBalancer", "loadBalancerClass": CLASS, "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["198.51.100.0/24"], "ports": [{"port": 80}]}),
    )?;
    let health = number(&made["spec"]["healthCheckNodePort"]);
    let found = reader.service(&case.name("web"), "new", |_| true)?;
    ensure!(found.kind == ServiceType::LoadBalancer && found.load_balancer_ips.is_empty(), "{found:#?}");
    ensure!(health != 0 && found.health_check_node_port == health, "the server gave {health}: {found:#?}");
    ensure!(found.source_ranges == ["198.51.100.0/24".parse()?], "{found:#?}");
    let status = format!("{}/status", case.service_path("web"));
    let ingress = |ip: &str| json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
    for ip in ["203.0.113.10", "203.0.113.11"] {
        case.cluster.api.patch(&status, &ingress(ip))?;
        let parsed: IpAddr = ip.parse()?;
        reader.service(&case.name("web"), "its address", |service| service.load_balancer_ips == [parsed])?;
    }
    // The server gives back mode Proxy where it knows modes: such an address is no VIP.
    let by_proxy =
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.12", "ipMode": "Proxy"}]}}});
    if case.cluster.api.patch(&status, &by_proxy)?["status"]["loadBalancer"]["ingress"][0]["ipMode"]
        == "Proxy"
    {
        reader.service(&case.name("web"), "no address", |service| service.load_balancer_ips.is_empty())?;
    }
    reader.stop()?;
    done()
}

fn external_ips(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let made = case.service("web", json!({"externalIPs": ["203.0.113.20"], "ports": [{"port": 80}]}));
    if let Err(error) = made {
        let text = format!("{error:#}");
        // An admission plugin may forbid them: DenyServiceExternalIPs.
        return if text.contains(": 403 ") { ignored(text) } else { Err(error) };
    }
    let expected: IpAddr = "203.0.113.20".parse()?;
    reader.service(&case.name("web"), "its external IP", |service| service.external_ips == [expected])?;
    case.patch_service("web", &json!({"spec": {"externalIPs": null}}))?;
    reader.service(&case.name("web"), "none any more", |service| service.external_ips.is_empty())?;
    reader.stop()?;
    done()
}

fn session_affinity(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    case.service("web", json!({"sessionAffinity": "ClientIP", "ports": [{"port": 80}]}))?;
    reader.service(&case.name("web"), "the default of 3 h", |service| {
        service.affinity_seconds == Some(10_800)
    })?;
    let timeout = json!({"spec": {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 120}}}});
    case.patch_service("web", &timeout)?;
    reader.service(&case.name("web"), "two minutes", |service| service.affinity_seconds == Some(120))?;
    let none = json!({"spec": {"sessionAffinity": "None", "sessionAffinityConfig": null}});
    case.patch_service("web", &none)?;
    reader.service(&case.name("web"), "no affinity", |service| service.affinity_seconds.is_none())?;
    reader.stop()?;
    done()
}

fn two_families(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    let made = case.service("web", json!({"ipFamilyPolicy": "PreferDualStack", "ports": [{"port": 80}]}))?;
    let given = addresses(&made["spec"]["clusterIPs"]);
    let found = reader.service(&case.name("web"), "new", |_| true)?;
    ensure!(found.cluster_ips == given, "the server gave {given:?}: {found:#?}");
    reader.stop()?;
    if given.len() < 2 {
        return ignored("the cluster has one IP family");
    }
    let families = IpFamily::ALL.map(|family| found.cluster_ip(family).is_some());
    ensure!(families == [true, true], "{found:#?}");
    done()
}

fn deleted_and_made_again(case: &Case) -> Result<Completion> {
    case.service("web", port(80))?;
    let mut reader = case.synced()?;
    // Nobody waits in between: both events may be read at once.
    for again in 81..86 {
        case.delete(&case.service_path("web"))?;
        let made = case.service("web", port(again))?;
        let found = reader.service(&case.name("web"), "again", |service| service.ports[0].port == again)?;
        let given = addresses(&made["spec"]["clusterIPs"]);
        ensure!(found.cluster_ips == given, "the server gave {given:?}: {found:#?}");
    }
    let gone = reader.log.iter().filter(|change| matches!(change, model::Change::ServiceGone(_))).count();
    ensure!(gone == 5, "{gone} deletions: {:#?}", reader.log);
    reader.stop()?;
    done()
}

fn an_external_name(case: &Case) -> Result<Completion> {
    let mut reader = case.synced()?;
    case.service("web", json!({"type": "ExternalName", "externalName": "example.com"}))?;
    let found = reader.service(&case.name("web"), "new", |_| true)?;
    ensure!(found.kind == ServiceType::ExternalName && found.cluster_ips.is_empty(), "{found:#?}");
    let made = case.patch_service(
        "web",
        &json!({"spec": {"type": "ClusterIP", "externalName": null,
        "ports": [{"port": 80}]}}),
    )?;
    let ip = made["spec"]["clusterIP"].as_str().context("no ClusterIP")?.parse()?;
    reader.service(&case.name("web"), "its ClusterIP", |service| service.cluster_ips.contains(&ip))?;
    reader.stop()?;
    done()
}
