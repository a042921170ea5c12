//! What the index is told, and how much it holds.

use std::sync::Arc;

use model::{ImportEntry, Namespace, NamespacedName, Pod, ServiceEntry};

/// One thing that changed.
#[derive(Clone, Debug)]
pub enum Update {
    /// A Service with its slices, as it is now; `None`, or an entry without a Service: it is gone.
    Service(NamespacedName, Option<Arc<ServiceEntry>>),
    /// A ServiceImport with its slices, as it is now; `None`, or an entry without a ServiceImport: it is gone.
    Import(NamespacedName, Option<Arc<ImportEntry>>),
    /// A Namespace, as it is now; `None`: it is gone.
    Namespace(Arc<str>, Option<Arc<Namespace>>),
    /// A Pod was added or changed.
    Pod(Arc<Pod>),
    /// A Pod is gone.
    PodGone(NamespacedName),
    /// All sources have delivered their first lists: what is not here does not exist.
    Synced,
    /// Whether the answers come from a file of an earlier run.
    Stale(bool),
}

/// How much the index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Services.
    pub services: usize,
    /// ServiceImports.
    pub imports: usize,
    /// Namespaces that exist.
    pub namespaces: usize,
    /// Pods that are watched.
    pub pods: usize,
    /// Ready endpoints of Services and ServiceImports.
    pub endpoints: usize,
    /// Addresses that lead back to a Service, once for each Service.
    pub addresses: usize,
    /// Endpoints that were indexed or forgotten since the start, ready or not: the work done.
    pub endpoints_indexed: u64,
}
