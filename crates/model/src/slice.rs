//! An EndpointSlice, as far as a proxy needs it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::{IpFamily, NamespacedName, Protocol};

/// Conditions of an endpoint, with the API's defaults already applied
/// (ready and serving absent = true, terminating absent = false).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Ready for new connections.
    pub ready: bool,
    /// Still answers, even if it terminates.
    pub serving: bool,
    /// Being deleted.
    pub terminating: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { ready: true, serving: true, terminating: false }
    }
}

/// Topology hints of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `hints.forZones`.
    pub zones: Vec<Arc<str>>,
    /// `hints.forNodes`.
    pub nodes: Vec<Arc<str>>,
}

/// One endpoint of a slice: its first address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `addresses[0]`.
    pub ip: IpAddr,
    /// Its conditions.
    pub conditions: Conditions,
    /// `nodeName`; an endpoint without it is never local.
    pub node: Option<Arc<str>>,
    /// Hints, if it has any. Boxed: most endpoints have none, and there are millions.
    pub hints: Option<Box<Hints>>,
}

/// One entry of a slice's `ports`. Entries without a port number or name are dropped by the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// The name that joins it to a Service port.
    pub name: Arc<str>,
    /// The protocol.
    pub protocol: Protocol,
    /// The target port, 1 to 65535.
    pub port: u16,
}

/// An EndpointSlice of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The slice's own name.
    pub name: NamespacedName,
    /// The Service it belongs to (label `kubernetes.io/service-name`, same namespace).
    pub service: NamespacedName,
    /// `addressType`.
    pub family: IpFamily,
    /// Its ports.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}
