//! A ServiceImport of the Multi-Cluster Services API, and the slices of other clusters that belong to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Labels, NamespacedName, ServicePort, Slice};

/// A ServiceImport (`multicluster.x-k8s.io`): a Service that other clusters of the cluster set export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceImport {
    /// Its name.
    pub name: NamespacedName,
    /// `spec.type` is Headless: its names lead to endpoints, not to `ips`.
    pub headless: bool,
    /// `spec.ips`, the cluster set IPs.
    pub ips: Vec<IpAddr>,
    /// `spec.ports`; none has a nodePort.
    pub ports: Vec<ServicePort>,
    /// `metadata.labels`, if they are kept.
    pub labels: Labels,
}

/// An EndpointSlice with the label `multicluster.kubernetes.io/service-name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSlice {
    /// The slice itself. Its `service` is the import's name too, unless [`ImportSlice::for_service`].
    pub slice: Arc<Slice>,
    /// The ServiceImport that it belongs to (same namespace).
    pub import: NamespacedName,
    /// The label `multicluster.kubernetes.io/source-cluster`; empty where it is missing.
    pub cluster: Arc<str>,
    /// It has the label `kubernetes.io/service-name` too: it is a slice of that Service as well.
    pub for_service: bool,
}

/// A ServiceImport and the slices that belong to it. Either may be there without the other.
#[derive(Clone, Debug, Default)]
pub struct ImportEntry {
    /// The ServiceImport, once it was seen.
    pub import: Option<Arc<ServiceImport>>,
    /// Its slices by name.
    pub slices: BTreeMap<Arc<str>, Arc<ImportSlice>>,
}
