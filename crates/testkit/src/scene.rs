//! A small cluster in a few lines: what the API server would hold.
//!
//! The spelling of Services and slices is that of `flows.yaml`. A test changes the value and writes it again.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cases::{ServiceSpec, SliceSpec};
use crate::manifest::{list, node_object, service, service_cidr_object, slice};
use crate::world::Layout;

/// The name of the node that tests run on.
pub const NODE_NAME: &str = "test-node";
const NODE_IPS: [&str; 2] = ["192.168.0.2", "fd00:192::2"];
const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// All objects of a test.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scene {
    /// The node's zone; empty for none.
    pub zone: String,
    /// The node's addresses, as its Node object has them; both families unless given.
    pub node_ips: Vec<IpAddr>,
    /// The node's pod CIDRs.
    pub pod_cidrs: Vec<String>,
    /// Services.
    pub services: Vec<ServiceSpec>,
    /// EndpointSlices.
    pub slices: Vec<SliceSpec>,
    /// Other objects, as the API has them.
    pub extra: Vec<Value>,
}

/// Reads the YAML of a part of a scene: one Service, one slice.
pub fn part<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_saphyr::from_str(text).with_context(|| format!("in:\n{text}"))
}

impl Scene {
    /// Reads the YAML of a scene.
    pub fn parse(text: &str) -> Result<Self> {
        let mut scene: Self =
            serde_saphyr::from_str(text).with_context(|| format!("in the scene:\n{text}"))?;
        if scene.node_ips.is_empty() {
            scene.node_ips = NODE_IPS.iter().map(|ip| ip.parse()).collect::<Result<_, _>>()?;
        }
        Ok(scene)
    }

    /// All objects as one manifest.
    pub fn manifest(&self) -> Value {
        let node = node_object(NODE_NAME, self.node_ips.iter().copied(), &self.zone, &self.pod_cidrs);
        let cidrs = service_cidr_object(&SERVICE_CIDRS.map(str::to_owned));
        // A slice is named after its Service: it must not be another one when some other Service goes.
        let earlier =
            |i: usize| self.slices[..i].iter().filter(|s| s.service == self.slices[i].service).count();
        let slices = self.slices.iter().enumerate().map(|(i, spec)| slice(spec, earlier(i)));
        let services = self.services.iter().map(service);
        list([node, cidrs].into_iter().chain(services).chain(slices).chain(self.extra.iter().cloned()))
    }

    /// The world of the scene: the node and a server for each endpoint, in a host of its own unless it is the node.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::of_node(self.node_ips.iter().copied());
        layout.servers = self.slices.iter().flat_map(SliceSpec::addresses).collect();
        let hosts: BTreeSet<IpAddr> = layout.servers.iter().map(|server| server.ip()).collect();
        layout.hosts = hosts.into_iter().filter(|ip| !layout.is_node(*ip)).collect();
        layout
    }

    /// The Service of this name (`namespace/name`).
    pub fn service(&mut self, name: &str) -> Result<&mut ServiceSpec> {
        let found = self.services.iter_mut().find(|service| service.name == name);
        found.with_context(|| format!("no Service {name} in the scene"))
    }

    /// Takes an endpoint out of every slice.
    pub fn remove_endpoint(&mut self, ip: IpAddr) {
        self.slices.iter_mut().for_each(|slice| slice.endpoints.retain(|endpoint| endpoint.ip != ip));
    }

    /// Takes a Service and its slices out.
    pub fn remove_service(&mut self, name: &str) {
        self.services.retain(|service| service.name != name);
        self.slices.retain(|slice| slice.service != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENE: &str = "
services:
- {name: a/b, type: ClusterIP, cluster_ips: [10.96.0.1], ports: [{name: p, port: 80}]}
slices:
- {service: a/b, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.0.1}, {ip: 192.168.0.2}]}
extra:
- {kind: Other}
";

    #[test]
    fn a_scene_is_a_manifest_and_a_world() {
        let mut scene = Scene::parse(SCENE).unwrap();
        let kinds = |scene: &Scene| -> Vec<String> {
            let manifest = scene.manifest();
            let items = manifest["items"].as_array().unwrap().clone();
            items.iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds(&scene), ["Node", "ServiceCIDR", "Service", "EndpointSlice", "Other"]);
        let layout = scene.layout();
        assert_eq!((layout.hosts.len(), layout.servers.len()), (1, 2));
        scene.remove_service("a/b");
        assert_eq!(kinds(&scene), ["Node", "ServiceCIDR", "Other"]);
    }
}
