//! Services that are none of ours, and those that become so.

use anyhow::Result;
use model::Protocol::Tcp;

use super::{CLIENTS, play};
use crate::Test;
use crate::plan::Plan;

pub(crate) const TESTS: &[Test] = &[
    Test::new("other_kinds_are_left_alone", other_kinds),
    Test::new("a_service_turns_headless_and_back", becoming_headless).not_in_iptables(),
];

/// Services that are none of ours, each with an endpoint and a server at the address that it names.
const OTHERS: &str = "
slices:
- {service: ns/name, ports: [{name: t, port: 8080}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/headless, ports: [{name: t, port: 8080}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/elsewhere, ports: [{name: t, port: 8080}], endpoints: [{ip: 10.244.1.1}]}
extra:
- apiVersion: v1
  kind: Service
  metadata: {name: name, namespace: ns}
  spec:
    type: ExternalName
    externalName: example.test
    clusterIP: 198.51.100.1
    externalIPs: [198.51.100.2]
    ports: [{name: t, port: 80, protocol: TCP}]
- apiVersion: v1
  kind: Service
  metadata: {name: headless, namespace: ns}
  spec:
    clusterIP: None
    clusterIPs: [None]
    externalIPs: [198.51.100.3]
    ports: [{name: t, port: 80, protocol: TCP}]
- apiVersion: v1
  kind: Service
  metadata: {name: elsewhere, namespace: ns, labels: {service.kubernetes.io/service-proxy-name: other}}
  spec:
    type: LoadBalancer
    clusterIP: 198.51.100.4
    clusterIPs: [198.51.100.4]
    ipFamilies: [IPv4]
    externalIPs: [198.51.100.5]
    ports: [{name: t, port: 80, protocol: TCP, nodePort: 30080}]
  status: {loadBalancer: {ingress: [{ip: 198.51.100.6}]}}
";

fn other_kinds() -> Result<()> {
    let addresses: Vec<String> = (1..=6).map(|n| format!("198.51.100.{n}:80")).collect();
    let served: Vec<&str> = addresses.iter().map(String::as_str).chain(["192.168.0.2:30080"]).collect();
    let pod = CLIENTS[0];
    Plan::new(OTHERS)?.hosts(&[pod])?.serve(&served)?.start()?.play(|stage| {
        served.iter().try_for_each(|to| stage.untouched(pod, to, Tcp))?;
        // Once the label is gone, it is ours.
        stage.change(|scene| scene.extra[2]["metadata"]["labels"] = serde_json::json!({}))?;
        for to in ["198.51.100.4:80", "198.51.100.5:80", "198.51.100.6:80", "192.168.0.2:30080"] {
            stage.reaches(pod, to, Tcp, &["10.244.1.1:8080"])?;
        }
        stage.untouched(pod, "198.51.100.3:80", Tcp)
    })
}

/// A Service that turns headless keeps its slices; its ClusterIP is nobody's then.
fn becoming_headless() -> Result<()> {
    let headless = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "tcp-only", "namespace": "ns" },
        "spec": { "clusterIP": "None", "clusterIPs": ["None"], "ports": [{ "name": "t", "port": 443 }] },
    });
    play(|stage| {
        let full = stage.scene.clone();
        stage.change(|scene| {
            scene.services.retain(|service| service.name != "ns/tcp-only");
            scene.extra.push(headless);
        })?;
        stage.gone(CLIENTS[0], "10.96.0.20:443", Tcp)?;
        stage.change(|scene| *scene = full)?;
        stage.reaches(CLIENTS[0], "10.96.0.20:443", Tcp, &["10.244.1.1:8443"])
    })
}
