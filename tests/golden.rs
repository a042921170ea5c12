//! The text of rulesets, as `towpath render` prints it, against files in `golden/`.
//!
//! `TOWPATH_BLESS=1 cargo test --test golden` writes the files anew; read the difference before you commit it.
//! The kernel tests ask `nft` whether it takes them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use dataplane::{Engine, Operate};
use ipnet::IpNet;
use iptables::Iptables;
use ipvs::Ipvs;
use model::{Change, Store, parse_net};
use nftables::Nftables;
use resolve::{DetectLocal, Mode, ProxyConfig};
use serde_json::{Value, json};
use sources::k8s::{Decoder, Kind, decode};

/// A world with one Service, and where its text is kept.
struct Example {
    name: &'static str,
    cluster_cidr: &'static str,
    objects: Vec<(Kind, Value)>,
}

fn examples() -> [Example; 4] {
    [node_port(), local_load_balancer(), ipv6(), strict_and_weighted()]
}

/// The worked example of the notes on kube-proxy's rulesets.
fn node_port() -> Example {
    Example {
        name: "node-port",
        cluster_cidr: "10.244.0.0/16",
        objects: vec![
            node("192.0.2.10"),
            service_cidr("10.96.0.0/12"),
            service(
                "web",
                json!({
                    "type": "NodePort", "clusterIPs": ["10.96.0.20"],
                    "ports": [{ "name": "http", "port": 80, "nodePort": 30080 }],
                }),
                json!({}),
            ),
            slice("web", "IPv4", [("10.244.1.5", "this-node"), ("10.244.2.7", "other-node")]),
        ],
    }
}

/// Three lists for one frontend, a firewall, and affinity.
fn local_load_balancer() -> Example {
    let ingress = json!({ "loadBalancer": { "ingress": [{ "ip": "198.51.100.7" }] } });
    Example {
        name: "local-load-balancer",
        cluster_cidr: "10.244.0.0/16",
        objects: vec![
            node("192.0.2.10"),
            service_cidr("10.96.0.0/12"),
            service(
                "shop",
                json!({
                    "type": "LoadBalancer", "clusterIPs": ["10.96.0.30"], "externalTrafficPolicy": "Local",
                    "loadBalancerSourceRanges": ["203.0.113.0/25", "192.0.2.0/24"],
                    "sessionAffinity": "ClientIP",
                    "ports": [{ "name": "http", "port": 443, "nodePort": 30443 }],
                }),
                ingress,
            ),
            slice("shop", "IPv4", [("10.244.1.6", "this-node"), ("10.244.2.8", "other-node")]),
        ],
    }
}

/// Source ranges for all frontends, a refusal for want of a local endpoint, and weights for local pods' choice.
fn strict_and_weighted() -> Example {
    let annotations = json!({
        "towpath.dev/no-local": "reject", "towpath.dev/strict-source-ranges": "true",
        "towpath.dev/weights": "10.244.2.0/29=3",
    });
    Example {
        name: "strict-and-weighted",
        cluster_cidr: "10.244.0.0/16",
        objects: vec![
            node("192.0.2.10"),
            service_cidr("10.96.0.0/12"),
            annotated(
                "shop",
                annotations,
                json!({
                    "type": "LoadBalancer", "clusterIPs": ["10.96.0.30"], "externalTrafficPolicy": "Local",
                    "externalIPs": ["198.51.100.7"], "loadBalancerSourceRanges": ["203.0.113.0/25"],
                    "ports": [{ "name": "http", "port": 443, "nodePort": 30443 }],
                }),
            ),
            slice("shop", "IPv4", [("10.244.2.7", "other-node"), ("10.244.3.8", "third-node")]),
        ],
    }
}

/// With annotations of the balance.
fn ipv6() -> Example {
    let annotations = json!({ "towpath.dev/scheduler": "mh", "towpath.dev/weights": "fd00:10:244:2::/64=3" });
    Example {
        name: "ipv6",
        cluster_cidr: "fd00:10:244::/56",
        objects: vec![
            node("2001:db8::10"),
            service_cidr("fd00:10:96::/112"),
            annotated(
                "six",
                annotations,
                json!({
                    "clusterIPs": ["fd00:10:96::20"], "externalIPs": ["2001:db8:f::7"],
                    "ports": [{ "name": "http", "port": 80, "protocol": "UDP" }],
                }),
            ),
            slice("six", "IPv6", [("fd00:10:244:1::5", "this-node"), ("fd00:10:244:2::7", "other-node")]),
        ],
    }
}

fn node(address: &str) -> (Kind, Value) {
    let addresses = json!([{ "type": "InternalIP", "address": address }]);
    (Kind::Node, json!({ "metadata": { "name": "this-node" }, "status": { "addresses": addresses } }))
}

fn service_cidr(cidr: &str) -> (Kind, Value) {
    (Kind::ServiceCidr, json!({ "metadata": { "name": "kubernetes" }, "spec": { "cidrs": [cidr] } }))
}

fn service(name: &str, spec: Value, status: Value) -> (Kind, Value) {
    let metadata = json!({ "name": name, "namespace": "default" });
    (Kind::Service, json!({ "metadata": metadata, "spec": spec, "status": status }))
}

fn annotated(name: &str, annotations: Value, spec: Value) -> (Kind, Value) {
    let metadata = json!({ "name": name, "namespace": "default", "annotations": annotations });
    (Kind::Service, json!({ "metadata": metadata, "spec": spec }))
}

fn slice(service: &str, kind: &str, endpoints: [(&str, &str); 2]) -> (Kind, Value) {
    let labels = json!({ "kubernetes.io/service-name": service });
    let endpoints =
        endpoints.map(|(ip, node)| json!({ "addresses": [ip], "nodeName": node, "conditions": {} }));
    let protocol = if kind == "IPv6" { "UDP" } else { "TCP" };
    let object = json!({
        "metadata": { "name": format!("{service}-1"), "namespace": "default", "labels": labels },
        "addressType": kind,
        "ports": [{ "name": "http", "port": 8080, "protocol": protocol }],
        "endpoints": endpoints,
    });
    (Kind::EndpointSlice, object)
}

fn change(kind: Kind, object: &Value) -> Change {
    let decoded = decode(kind, &object.to_string(), &mut Decoder::default());
    decoded.unwrap_or_else(|error| panic!("{error}: {object:#}")).change.unwrap()
}

fn rendered<D: Operate>(example: &Example, mode: Mode) -> String {
    let cluster_cidr: IpNet = parse_net(example.cluster_cidr).unwrap();
    let detect_local = DetectLocal::ClusterCidr(vec![cluster_cidr]);
    let config = ProxyConfig { mode, detect_local, ..ProxyConfig::default() };
    let mut engine = Engine::new(Store::new("this-node"), config, D::offline(), &[]);
    example.objects.iter().for_each(|(kind, object)| engine.handle(change(*kind, object)));
    engine.settle();
    let objects: Vec<_> = engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect();
    engine.dataplane().render(&objects)
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// The first line in which two texts differ.
fn difference(got: &str, kept: &str) -> String {
    let mut lines = got.lines().zip(kept.lines()).enumerate();
    let found = lines.find(|(_, (got, kept))| got != kept);
    found.map_or_else(
        || "one text is longer".to_owned(),
        |(i, (got, kept))| format!("line {}:\n  now  {got}\n  kept {kept}", i + 1),
    )
}

#[test]
fn rulesets_read_as_before() {
    let bless = std::env::var_os("TOWPATH_BLESS").is_some_and(|value| value == "1");
    for example in examples() {
        let texts = [
            ("nft", rendered::<Nftables>(&example, Mode::Nftables)),
            ("iptables", rendered::<Iptables>(&example, Mode::Iptables)),
            ("ipvs", rendered::<Ipvs>(&example, Mode::Ipvs)),
        ];
        for (ending, text) in texts {
            let path = path(&format!("{}.{ending}", example.name));
            if bless {
                fs::write(&path, &text).unwrap();
            }
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(text == kept, "{} has changed, at {}", path.display(), difference(&text, &kept));
        }
    }
}
