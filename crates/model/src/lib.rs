//! The nouns of a service proxy, and the store that holds them.
//!
//! ```text
//! sources --Change--> Store --Touched--> (whoever resolves and programs)
//! ```
//!
//! Invariants:
//! * plain values: no I/O, no clock, no Kubernetes types, not async;
//! * a bad object never gets here: the source turns it into a [`Problem`];
//! * [`Store::apply`] costs O(the change), never O(all Services).

mod address;
mod balance;
mod change;
mod intern;
mod names;
mod node;
mod service;
mod slice;
mod store;

pub use address::{AddressError, parse_ip, parse_net};
pub use balance::{Balance, Scheduler, SchedulerError};
pub use change::{Change, Problem, Subject};
pub use intern::Interner;
pub use names::{EndpointAddr, FrontendKey, IpFamily, NamespacedName, Protocol, ServicePortName};
pub use node::{Node, NodeFacts, Pod, is_link_local};
pub use service::{Service, ServicePort, ServiceType, TrafficPolicy};
pub use slice::{Conditions, Endpoint, Hints, Slice, SlicePort};
pub use store::{ServiceEntry, Store, Touched};
