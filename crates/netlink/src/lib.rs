//! Talk to the kernel rightly: netlink sockets, batches, acks and dumps.
//!
//! ```text
//!   attr     bytes <-> attributes            (pure)
//!   socket   one AF_NETLINK socket           (unsafe is allowed in this crate only)
//!   nft      nf_tables: expressions, sets, transactions, dumps, news of commits
//!   conntrack  filtered dumps and deletion of flows
//!   route    this node's addresses and the news of them; links; local routes
//!   genl     numbers of generic netlink's families
//!   ipvs     virtual and real servers, timeouts
//!   ipset    names and members of sets, to recognise another program's
//! ```
//!
//! Invariants:
//! * no policy: this crate knows messages, not Services;
//! * every reply is bounded and checked before it is read; the kernel is trusted, a truncated buffer is not;
//! * an error names the request and what the kernel said (its extended acknowledgement), not only an errno.

pub mod attr;
pub mod conntrack;
mod error;
mod genl;
pub mod ipset;
pub mod ipvs;
mod memory;
pub mod nft;
pub mod route;
mod socket;
pub mod xt;

pub use error::NetlinkError;
pub use memory::{give_back_memory, stand_back};
pub use socket::{Reply, Socket};
