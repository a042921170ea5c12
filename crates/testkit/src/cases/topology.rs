//! `topology.yaml`: which endpoints of a ServicePort a node may use.

use std::net::SocketAddr;

use serde::Deserialize;

use super::flows::{Policy, yes};

/// The whole table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyTable {
    /// Its cases.
    pub cases: Vec<TopologyCase>,
}

/// One choice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyCase {
    /// Its unique name.
    pub id: String,
    /// Where it is from: `upstream` or `derived`.
    pub origin: String,
    /// What to know about it.
    #[serde(default)]
    pub note: String,
    /// The feature gate PreferSameTrafficDistribution, on unless it says otherwise.
    #[serde(default = "yes")]
    pub prefer_same_gate: bool,
    /// The node that chooses.
    #[serde(default)]
    pub node: TopologyNode,
    /// The Service.
    pub service: TopologyService,
    /// All its endpoints.
    pub endpoints: Vec<TopologyEndpoint>,
    /// What must come out.
    pub expect: TopologyExpect,
}

/// The node that chooses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopologyNode {
    /// Its name; empty when the case does not care.
    pub name: String,
    /// Its zone; empty when it has none.
    pub zone: String,
}

/// What matters of the Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopologyService {
    /// `internalTrafficPolicy`.
    pub internal: Policy,
    /// `externalTrafficPolicy`.
    pub external: Policy,
    /// It has a nodePort, an externalIP or a load balancer VIP.
    pub externally_accessible: bool,
    /// The annotation `towpath.dev/prefer-local`.
    pub prefer_local: bool,
}

/// One endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyEndpoint {
    /// Its address and port.
    pub addr: SocketAddr,
    /// Condition `ready`.
    #[serde(default = "yes")]
    pub ready: bool,
    /// Condition `serving`.
    #[serde(default = "yes")]
    pub serving: bool,
    /// Condition `terminating`.
    #[serde(default)]
    pub terminating: bool,
    /// It is on this node.
    #[serde(default)]
    pub local: bool,
    /// `hints.forZones`.
    #[serde(default)]
    pub zone_hints: Vec<String>,
    /// `hints.forNodes`.
    #[serde(default)]
    pub node_hints: Vec<String>,
}

/// What must come out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyExpect {
    /// The list for policy Cluster; `None` when the Service never uses it.
    pub cluster: Option<Vec<SocketAddr>>,
    /// The list for policy Local; `None` when the Service never uses it.
    pub local: Option<Vec<SocketAddr>>,
    /// Everything this node may send to.
    pub all: Vec<SocketAddr>,
    /// A usable endpoint exists somewhere.
    pub any: bool,
}
