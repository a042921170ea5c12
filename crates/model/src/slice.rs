//! An EndpointSlice, as far as a proxy and DNS need it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::{IpFamily, Labels, NamespacedName, Protocol};

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

/// What only DNS reads of an endpoint. A source keeps the parts that it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointDns {
    /// `hostname`: the first label of its own DNS name.
    pub hostname: Option<Arc<str>>,
    /// The name of the Pod that `targetRef` leads to, in the slice's namespace; absent where it leads to anything else.
    pub pod: Option<Arc<str>>,
    /// `zone`.
    pub zone: Option<Arc<str>>,
}

impl EndpointDns {
    /// As an endpoint holds it: nothing where there is nothing.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
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
    /// What only DNS reads, if there is any of it. Boxed as `hints` are.
    pub dns: Option<Box<EndpointDns>>,
}

impl Endpoint {
    /// An endpoint of which only the address is known: ready, on no node.
    pub fn new(ip: IpAddr) -> Self {
        let conditions = Conditions::default();
        Self { ip, conditions, node: None, hints: None, dns: None }
    }

    /// Its hostname ([`EndpointDns::hostname`]).
    pub fn hostname(&self) -> Option<&str> {
        self.dns.as_ref()?.hostname.as_deref()
    }

    /// The name of its Pod ([`EndpointDns::pod`]).
    pub fn pod(&self) -> Option<&str> {
        self.dns.as_ref()?.pod.as_deref()
    }

    /// Its topology zone ([`EndpointDns::zone`]).
    pub fn zone(&self) -> Option<&str> {
        self.dns.as_ref()?.zone.as_deref()
    }
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
    /// `metadata.labels` if they are kept, but for `kubernetes.io/service-name` (that is `service`) and
    /// `endpointslice.kubernetes.io/managed-by`: so they are mostly the Service's, and shared with it.
    pub labels: Labels,
}

impl Slice {
    /// A slice without ports and endpoints.
    pub fn new(name: NamespacedName, service: NamespacedName, family: IpFamily) -> Self {
        Self { name, service, family, ports: Vec::new(), endpoints: Vec::new(), labels: Labels::default() }
    }
}
