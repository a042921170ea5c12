//! What a running kube-proxy has programmed, read back into the field's terms and compared with what towpath would do.
//!
//! ```text
//! nf_tables tables kube-proxy --netlink------+
//! chains KUBE-… --iptables-save--> parse() --+--> Programmed --+
//! virtual servers --netlink--> parse() ------+                 |
//!                                                              +--compare()--> Differences, by Service
//! Store --resolve()--> Resolved --> Expected ------------------+
//! ```
//!
//! Rules of both packet filters are reduced to the same few steps (`walk`); a frontend's chain is then followed for a
//! packet from outside and for one of the node. So a frontend has in every mode what its packets get, not what a name
//! promises.
//!
//! Invariants:
//! * nothing is ever written to the kernel, and no table is made by looking;
//! * what a mode cannot tell is `None` and never compared;
//! * the same input gives the same differences in the same order;
//! * costs O(objects): each rule and element is read once. The kernel itself looks for a set among all sets of its table,
//!   so reading 10,000 of kube-proxy's maps takes seconds the first time; [`Reader`] remembers them.

mod assemble;
mod compare;
mod difference;
mod expected;
pub mod iptables;
pub mod ipvs;
pub mod nftables;
mod programmed;
mod running;
mod walk;

pub use compare::compare;
pub use difference::{Difference, Kind, Traffic};
pub use expected::Expected;
pub use programmed::{Frontend, Outcome, Programmed, Sources, Verdict};
pub use running::{Place, Reader, ShadowError, locate};
