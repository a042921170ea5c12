//! Servers for `healthCheckNodePort`: load balancers ask them whether this node has endpoints of a Service.
//!
//! ```text
//! any thread:   Handle::set(Service, port and count) --> what waits (the latest of each Service)
//!                                                              | wakes
//! the runtime:  ServiceHealth::run --> close what is not wanted any more --> open what is missing
//!                                                              |                    | cannot bind
//!               each listener: any request --> 200 or 503      every 5 s again <----+--> Owner::failed
//! ```
//!
//! The meaning is kube-proxy's (`pkg/proxy/healthcheck/service_health.go`): any method and path, 200 if the Service
//! has endpoints here and the proxy is healthy, otherwise 503.
//!
//! Invariants:
//! * an address that cannot be bound takes no other away; it is reported once for each new reason and tried again
//!   after 5 s, and whenever a listener or an address of the node goes;
//! * a listener closes before another opens, so that a port can pass from one Service to another at once;
//! * bounded: what waits by the number of Services, connections by [`MAX_PROBES`] for all listeners together, each by
//!   [`PROBE_TIME`] and one request.

mod answer;
mod handle;
mod listener;
mod servers;

use std::fmt;
use std::net::IpAddr;

use model::NamespacedName;

pub use handle::Handle;
pub use listener::{MAX_PROBES, PROBE_TIME};
pub use servers::{RETRY, ServiceHealth};

/// Who knows whether the proxy is healthy, and hears what failed. Called on the runtime's thread: must not block.
pub trait Owner: Send + Sync + 'static {
    /// Whether the proxy is healthy, asked at each probe. Whether the *node* is eligible (about to be deleted) does
    /// not count here: its endpoints serve as long as they are ready.
    fn is_healthy(&self) -> bool;

    /// A server could not be opened, at least not on all addresses. Told once for each new reason, not at each try;
    /// kube-proxy posts a Warning Event `FailedToStartServiceHealthcheck` with the action `Listen` about the Service.
    fn failed(&self, failure: &Failure);
}

/// What a Service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its `healthCheckNodePort`.
    pub port: u16,
    /// How many distinct addresses its ready endpoints on this node have, over all its ports.
    pub endpoints: usize,
}

/// Where health servers listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// On every address of the node: `0.0.0.0` and, apart from it, `[::]`. A family that the node lacks is left out.
    #[default]
    All,
    /// On each of these (those that `nodePortAddresses` selects). IPv6 link-local addresses, which cannot be bound
    /// without an interface, are left out.
    These(Vec<IpAddr>),
}

/// A server that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose it is.
    pub service: NamespacedName,
    /// Its `healthCheckNodePort`.
    pub port: u16,
    /// Each address that could not be bound, with what the kernel said.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, port, reason } = self;
        write!(f, "failed to start healthcheck \"{service}\" on port {port}: {reason}")
    }
}
