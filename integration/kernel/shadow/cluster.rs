//! A cluster, as a kube-proxy of a mode has programmed it, and as manifests of the same Services.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use model::IpFamily;
use serde_json::{Value, json};
use testkit::cases::{ServiceSpec, SliceSpec};
use testkit::kube_proxy::{Cluster, Port};
use testkit::netns::NetNs;
use testkit::scene::{NODE_NAME, Scene};

/// A Service whose rules the generator leaves a part of out: those for the node's own connections.
const INCOMPLETE: &str = "default/away";

/// Tables that kube-proxy has chains in.
const NOTHING: &str = "*mangle\nCOMMIT\n*filter\nCOMMIT\n*nat\nCOMMIT\n";

/// Where a kube-proxy has its rules.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proxy {
    /// Mode nftables.
    Nftables,
    /// Mode iptables, `iptables-legacy`.
    Legacy,
    /// Mode iptables, `iptables-nft`.
    Nft,
}

impl Proxy {
    /// The mode's name.
    pub(super) fn mode(self) -> &'static str {
        if matches!(self, Self::Nftables) { "nftables" } else { "iptables" }
    }

    /// Puts its rules of a cluster into the place of those that are there, in one transaction each family.
    pub(super) fn program(self, node: &NetNs, cluster: &Cluster) -> Result<()> {
        for family in IpFamily::ALL {
            let text = match self {
                Self::Nftables => self.empty(family) + &cluster.nft(family),
                _ => cluster.iptables(family),
            };
            self.load(node, family, &text)?;
        }
        Ok(())
    }

    /// Takes its rules away.
    pub(super) fn leave(self, node: &NetNs) -> Result<()> {
        IpFamily::ALL.into_iter().try_for_each(|family| self.load(node, family, &self.empty(family)))
    }

    fn empty(self, family: IpFamily) -> String {
        let ip = if family == IpFamily::V4 { "ip" } else { "ip6" };
        match self {
            Self::Nftables => format!("add table {ip} kube-proxy\ndelete table {ip} kube-proxy\n"),
            _ => NOTHING.to_owned(),
        }
    }

    fn load(self, node: &NetNs, family: IpFamily, text: &str) -> Result<()> {
        let variant = match self {
            Self::Nftables => return node.nft(text),
            Self::Legacy => "legacy",
            Self::Nft => "nft",
        };
        let base = if family == IpFamily::V4 { "iptables" } else { "ip6tables" };
        // Without --noflush: whole tables are replaced.
        node.command_with_input(&format!("{base}-{variant}-restore"), &["-w", "20"], text).map(drop)
    }
}

/// One Service of each kind, in both families.
pub(super) fn example() -> Cluster {
    let mut cluster = Cluster::example();
    cluster.ports.retain(|port| port.service != INCOMPLETE);
    cluster
}

/// The API objects of a cluster.
pub(super) fn scene(cluster: &Cluster) -> Result<Scene> {
    let mut services: BTreeMap<&str, Vec<&Port>> = BTreeMap::new();
    cluster.ports.iter().for_each(|port| services.entry(&port.service).or_default().push(port));
    Ok(Scene {
        services: services.values().map(|ports| service(ports)).collect::<Result<_>>()?,
        slices: cluster.ports.iter().map(slice).collect::<Result<_>>()?,
        ..Scene::parse("{}")?
    })
}

/// A Service from its port of each family.
fn service(ports: &[&Port]) -> Result<ServiceSpec> {
    let port = ports.first().context("a Service has a port")?;
    let balancers: Vec<Value> =
        ports.iter().flat_map(|p| &p.load_balancer_ips).map(|ip| json!({ "ip": ip })).collect();
    let kind = match (balancers.is_empty(), port.node_port) {
        (false, _) => "LoadBalancer",
        (true, Some(_)) => "NodePort",
        (true, None) => "ClusterIP",
    };
    let protocol = port.protocol.as_str().to_uppercase();
    let spec = json!({
        "name": port.service,
        "type": kind,
        "cluster_ips": ports.iter().map(|p| p.cluster_ip.ip()).collect::<Vec<_>>(),
        "lb_ingress": balancers,
        "lb_source_ranges": ports.iter().flat_map(|p| &p.source_ranges).collect::<Vec<_>>(),
        "external_traffic_policy": port.external_local.then_some("Local"),
        "health_check_node_port": port.health_check_node_port,
        "session_affinity": port.affinity.map(|_| "ClientIP"),
        "affinity_timeout": port.affinity,
        "ports": [{
            "name": port.name, "port": port.cluster_ip.port(), "node_port": port.node_port, "protocol": protocol,
        }],
    });
    serde_json::from_value(spec).with_context(|| format!("the Service {}", port.service))
}

fn slice(port: &Port) -> Result<SliceSpec> {
    let target = port.endpoints.first().map_or(1, |endpoint| endpoint.address.port());
    let endpoints = port.endpoints.iter().map(|endpoint| {
        json!({ "ip": endpoint.address.ip(), "node": if endpoint.local { NODE_NAME } else { "other" } })
    });
    let spec = json!({
        "service": port.service,
        "family": if port.cluster_ip.is_ipv4() { 4 } else { 6 },
        "ports": [{ "name": port.name, "port": target, "protocol": port.protocol.as_str().to_uppercase() }],
        "endpoints": endpoints.collect::<Vec<_>>(),
    });
    serde_json::from_value(spec).with_context(|| format!("the slice of {}", port.service))
}
