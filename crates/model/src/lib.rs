//! The nouns of a service proxy and of cluster DNS, and the store that holds them.
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
mod import;
mod intern;
mod labels;
mod names;
mod namespace;
mod node;
mod pod;
mod service;
mod slice;
mod store;

pub use address::{AddressError, parse_ip, parse_net};
pub use balance::{Balance, Scheduler, SchedulerError};
pub use change::{Cause, Change, Problem, Subject};
pub use import::{ImportEntry, ImportSlice, ServiceImport};
pub use intern::Interner;
pub use labels::Labels;
pub use names::{EndpointAddr, FrontendKey, IpFamily, NamespacedName, Protocol, ServicePortName};
pub use namespace::Namespace;
pub use node::{Node, NodeFacts, is_link_local};
pub use pod::{DnsPolicy, Pod, PodDns};
pub use service::{NoLocal, Service, ServicePort, ServiceType, TrafficPolicy};
pub use slice::{Conditions, Endpoint, EndpointDns, Hints, Slice, SlicePort};
pub use store::{ServiceEntry, Store, Touched};
