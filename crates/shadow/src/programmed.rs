//! What is programmed, in the field's terms: the same shape for every mode, and for what towpath would do.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use model::{EndpointAddr, FrontendKey, ServicePortName};
use resolve::Mode;

/// What becomes of a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to one of these endpoints. Never empty; sorted, each once.
    Dnat(Arc<[EndpointAddr]>),
    /// It is refused.
    Reject,
    /// It is discarded.
    Drop,
    /// No rule is about it.
    Untouched,
}

impl Outcome {
    /// From a list in any order; an empty one is no outcome.
    pub fn dnat(mut endpoints: Vec<EndpointAddr>) -> Option<Self> {
        endpoints.sort_unstable();
        endpoints.dedup();
        (!endpoints.is_empty()).then(|| Outcome::Dnat(endpoints.into()))
    }

    /// The endpoints, none if it is not [`Outcome::Dnat`].
    pub fn endpoints(&self) -> &[EndpointAddr] {
        match self {
            Outcome::Dnat(endpoints) => endpoints,
            _ => &[],
        }
    }

    /// What it is, without the endpoints.
    pub fn verdict(&self) -> Verdict {
        match self {
            Outcome::Dnat(_) => Verdict::Dnat,
            Outcome::Reject => Verdict::Reject,
            Outcome::Drop => Verdict::Drop,
            Outcome::Untouched => Verdict::Untouched,
        }
    }
}

/// The kind of an [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Sent to an endpoint.
    Dnat,
    /// Refused.
    Reject,
    /// Discarded.
    Drop,
    /// Left alone.
    Untouched,
}

impl Verdict {
    /// Its name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Dnat => "dnat",
            Verdict::Reject => "reject",
            Verdict::Drop => "drop",
            Verdict::Untouched => "none",
        }
    }
}

/// Who may use a frontend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sources {
    /// Anybody.
    Anybody,
    /// These only. Aggregated and sorted.
    Only(Vec<IpNet>),
}

impl Sources {
    /// From ranges in any order, which may overlap.
    pub fn only(ranges: &[IpNet]) -> Self {
        let mut merged = IpNet::aggregate(&ranges.to_vec());
        merged.sort_unstable();
        Sources::Only(merged)
    }
}

/// One frontend. `None` = the mode or the state cannot tell: never compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Whose it is. IPVS knows no names.
    pub name: Option<ServicePortName>,
    /// What ordinary traffic gets: from outside of the cluster, or, at a ClusterIP, from anywhere.
    pub ordinary: Outcome,
    /// What connections of the node itself get, which `externalTrafficPolicy: Local` sends past the policy.
    pub from_node: Option<Outcome>,
    /// Ordinary traffic loses its source address. Not told of ClusterIPs, where it depends on the source.
    pub masquerades: Option<bool>,
    /// Who may use it.
    pub sources: Option<Sources>,
    /// ClientIP affinity in seconds; 0 = none.
    pub affinity_seconds: Option<u32>,
}

/// What a proxy has programmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programmed {
    /// The mode in which it was found.
    pub mode: Mode,
    /// Where it was found, for the log: "table ip kube-proxy", "chain KUBE-SERVICES (legacy)".
    pub found: String,
    /// No change came between the parts of the reading.
    pub consistent: bool,
    /// Every frontend.
    pub frontends: BTreeMap<FrontendKey, Frontend>,
}
