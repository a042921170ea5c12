//! The DNS server of the node: cluster names from the same state as the rules, everything else forwarded and cached.
//!
//! ```text
//! UDP thread: recvmmsg --+                       +--> reply --> sendmmsg
//!                        +--> Desk: Chain -------+
//! TCP thread: Frames ----+    (names, hosts,     +--> Job --> Forwarder --> reply, by the same socket
//!                              cache, local)          (misses, rewritten names, CNAME chains)
//! Config --compile--> Chain (swapped whole)      Counters (each thread its own) --> metrics
//! ```
//!
//! Invariants:
//! * what the node knows is answered by the thread that received the query: no other thread is woken;
//! * an answer that is found at once costs no allocation, and a batch one look at the clock before it and one behind it;
//! * cluster names are answered from the index, never from a cache, and never leave the node unless the Corefile says so;
//! * a reply leaves from the address that was asked;
//! * everything is bounded: datagrams in a batch, TCP connections and what waits on them, queries that wait for upstreams,
//!   misses of one source, lines of the query log, zones in metrics;
//! * nothing that a client sends stops or delays a thread: bad messages are refused, slow clients cut off.

#![forbid(unsafe_code)]

mod bucket;
mod chain;
mod desk;
mod dress;
mod ede;
mod explain;
mod job;
mod listen;
mod log;
mod look;
mod metrics;
mod origin;
mod pending;
mod rotate;
mod server;
mod shared;
mod task;
mod tcp;
mod udp;

pub use chain::files;
pub use listen::{Listen, ListenError};
pub use server::{Options, Server, State};
pub use tcp::TcpLimits;
