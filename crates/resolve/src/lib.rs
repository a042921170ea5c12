//! What each ServicePort means on this node, decided once for every dataplane.
//!
//! ```text
//! Store + ProxyConfig --resolve()--> Route per (ServicePort, family)     a dataplane lowers it
//!                     --explain()--> what happens to one packet           the same decisions, asked one by one
//!                     --roster()---> every endpoint of a Route, and why it is in or out
//! ```
//!
//! Invariants:
//! * pure: no I/O, no clock, not async, no word of nft, iptables or IPVS syntax;
//! * a Route is a function of one Service's entry, the node's facts and the configuration, and of who wins a
//!   contested frontend: nothing else;
//! * the order in which objects arrived never matters.

mod candidates;
mod choose;
mod config;
mod drain;
mod elsewhere;
mod exclude;
mod explain;
mod local;
mod roster;
mod route;
mod scope;
mod shares;

pub use candidates::{Candidate, candidates};
pub use choose::{Choice, PolicyView, choose};
pub use config::{DetectLocal, Mode, NodePortSelector, ProxyConfig};
pub use drain::Drain;
pub use exclude::Excluded;
pub use explain::{Explanation, Masquerade, Packet, PacketVerdict, explain};
pub use local::{HealthCheck, LocalView};
pub use roster::{Member, Roster, Standing, roster};
pub use route::{Conflict, Decision, Resolved, Route, Vip, VipKind, resolve};
pub use scope::{LocalSource, NodePortScope, localhost_nodeport_nets};
pub use shares::places;
