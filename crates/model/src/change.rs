//! What sources report.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;

use crate::{ImportSlice, IpFamily, Namespace, NamespacedName, Node, Pod, Service, ServiceImport, Slice};

/// One thing that a source has seen. Upserts carry the whole new object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A Service was added or changed.
    Service(Arc<Service>),
    /// A Service is gone.
    ServiceGone(NamespacedName),
    /// A slice was added or changed.
    Slice(Arc<Slice>),
    /// When the cause of the [`Change::Slice`] that follows happened, as its annotation tells: where the time that
    /// programming the network takes is measured from. No part of the state.
    Trigger {
        /// The slice's family.
        family: IpFamily,
        /// Milliseconds since 1970 by the clock of who wrote the slice.
        at_ms: u64,
    },
    /// Which object the change that follows is about, for those who keep a record of causes. Sent only where it was asked
    /// for, and not for the first list. No part of the state.
    Cause(Box<Cause>),
    /// A slice of another cluster was added or changed.
    ImportSlice(Arc<ImportSlice>),
    /// A slice is gone, of a Service or of a ServiceImport; its own name, not the Service's.
    SliceGone(NamespacedName),
    /// A ServiceImport was added or changed.
    ServiceImport(Arc<ServiceImport>),
    /// A ServiceImport is gone.
    ServiceImportGone(NamespacedName),
    /// A Node was added or changed. Nodes other than this one are ignored by the store.
    Node(Box<Node>),
    /// A Node is gone.
    NodeGone(Arc<str>),
    /// A ServiceCIDR object was added or changed.
    ServiceCidr {
        /// Its name.
        name: Arc<str>,
        /// `spec.cidrs`.
        cidrs: Vec<IpNet>,
    },
    /// A ServiceCIDR object is gone.
    ServiceCidrGone(Arc<str>),
    /// A Pod was added or changed.
    Pod(Arc<Pod>),
    /// A Pod is gone.
    PodGone(NamespacedName),
    /// A Namespace was added or changed.
    Namespace(Arc<Namespace>),
    /// A Namespace is gone.
    NamespaceGone(Arc<str>),
    /// All addresses that this node's kernel has now, in the kernel's order, each once.
    KernelAddresses(Vec<IpAddr>),
    /// Something is wrong with one object; reported again when it changes.
    Problem(Problem),
    /// What was wrong with the subject is mended, or the object is gone.
    ProblemSolved(Subject),
    /// What follows, up to [`Change::BatchEnds`], happened at once (one file was replaced): a state in between never
    /// was, and must not be programmed.
    BatchBegins,
    /// The batch is complete.
    BatchEnds,
    /// The source of this name has delivered its whole first list.
    Synced(&'static str),
}

/// One version of one object, as a source has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The object's kind, as in `EndpointSlice`.
    pub kind: &'static str,
    /// Its name; the namespace is empty where the kind has none.
    pub name: NamespacedName,
    /// Its `metadata.resourceVersion`, where it is known.
    pub version: Option<Box<str>>,
    /// The object is gone.
    pub gone: bool,
    /// When the source had read it.
    pub received: Instant,
}

/// What a Problem is about: the identity under which it is replaced or solved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Where the object came from: a file's path, or empty.
    pub origin: Arc<str>,
    /// `Kind namespace/name`, or what is known of it (`document 3`).
    pub object: Arc<str>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.is_empty() {
            write!(f, "{}", self.object)
        } else {
            write!(f, "{}: {}", self.origin, self.object)
        }
    }
}

/// One object that cannot be honoured, wholly or in part. It hurts only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub subject: Subject,
    /// The field, as a path (`spec.ports[0].port`); empty when it is the object as a whole.
    pub field: String,
    /// What is wrong, what was done instead, what to fix.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.subject)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}
