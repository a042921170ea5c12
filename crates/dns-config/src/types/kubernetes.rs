//! `kubernetes` and `k8s_external`.

use dns_wire::Name;

use crate::types::Selector;

/// `kubernetes [ZONES...] { ... }`: the names of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The zones; default: those of the block. The first that is not a reverse zone is in PTR answers; there is always one.
    pub zones: Vec<Name>,
    /// `ttl`: seconds, 0 to 3600. Default 5; kubeadm writes 30.
    pub ttl: u32,
    /// `pods`: names like `10-0-0-1.ns.pod`. Default: disabled.
    pub pods: PodNames,
    /// `namespaces`: only these are exposed. Empty: all. Never together with `namespace_labels`.
    pub namespaces: Vec<String>,
    /// `namespace_labels`: only namespaces that match are exposed.
    pub namespace_labels: Option<Selector>,
    /// `labels`: only Services, EndpointSlices and Pods that match are exposed.
    pub labels: Option<Selector>,
    /// `endpoint_pod_names`: endpoints without a hostname are called like their pod.
    pub endpoint_pod_names: bool,
    /// `noendpoints`: no endpoint and headless names.
    pub noendpoints: bool,
    /// `ignore empty_service`: NXDOMAIN for Services without a ready endpoint.
    pub ignore_empty: bool,
    /// `fallthrough [ZONES...]`: missing names below these go on to the next plugin. Empty: none do. Without zones: the root.
    pub fallthrough: Vec<Name>,
    /// `multicluster [ZONES...]`: those of `zones` that follow the multicluster API (`clusterset.local`).
    pub multicluster: Vec<Name>,
    /// `zonal`: names `<zone>.pin|prefer._zone.<svc>` for headless Services.
    pub zonal: bool,
}

impl Kubernetes {
    /// With CoreDNS's defaults.
    #[must_use]
    pub fn new(zones: Vec<Name>) -> Self {
        Self {
            zones,
            ttl: 5,
            pods: PodNames::Disabled,
            namespaces: Vec::new(),
            namespace_labels: None,
            labels: None,
            endpoint_pod_names: false,
            noendpoints: false,
            ignore_empty: false,
            fallthrough: Vec::new(),
            multicluster: Vec::new(),
            zonal: false,
        }
    }
}

/// `pods`: which pod names exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodNames {
    /// None.
    #[default]
    Disabled,
    /// Any address in a namespace that exists.
    Insecure,
    /// The addresses of pods that exist; needs a watch on all pods.
    Verified,
}

/// `k8s_external [ZONES...] { ... }`: `<svc>.<ns>.<zone>` with the addresses that are reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// The zones; default: those of the block.
    pub zones: Vec<Name>,
    /// `apex`: the label of the server's own records, `ns1.<apex>.<zone>`. Default `dns`.
    pub apex: String,
    /// `ttl`: seconds, 0 to 3600. Default 5.
    pub ttl: u32,
    /// `headless`: headless Services too.
    pub headless: bool,
    /// `fallthrough [ZONES...]`, as in [`Kubernetes::fallthrough`].
    pub fallthrough: Vec<Name>,
}

impl External {
    /// With CoreDNS's defaults.
    #[must_use]
    pub fn new(zones: Vec<Name>) -> Self {
        Self { zones, apex: "dns".to_owned(), ttl: 5, headless: false, fallthrough: Vec::new() }
    }
}
