//! Live connections by Service and endpoint: which endpoint did it go to?
//!
//! ```text
//! Question --> filters --> conntrack dump ---------+
//!          \-> /proc/net/ip_vs_conn (mode ipvs) ---+--> Connection --> Tally --(who owns this place?)--> FlowsView
//! ```
//!
//! A *place* is what a client addressed: protocol, address, port. Whose it is only the store knows, so a [`Tally`] is made by
//! place, and names come afterwards, for the places that were found.
//!
//! Counters that only grow are made of news of what ended, and of what lives:
//!
//! ```text
//! conntrack DESTROY + dump, IPVS's own counts --> Meter (what came since the last look) --> Book (bounded labels), TopView
//! ```
//!
//! Invariants:
//! * what is kept is bounded ([`Tally::PAIRS`], [`Tally::CONNECTIONS`]) however many connections there are; what is left out is
//!   counted and shown;
//! * only connections that were led somewhere count: those whose destination conntrack translated, and those of IPVS;
//! * the views are a contract: programs read them.

mod book;
mod connection;
mod conntrack;
mod ip_vs_conn;
mod meter;
mod question;
mod state;
mod tally;
#[cfg(test)]
mod testing;
mod text;
mod top;
mod view;

pub use book::{Book, Count, Limits};
pub use connection::{Connection, Counters, Place};
pub use conntrack::{complete, led};
pub use ip_vs_conn::{IP_VS_CONN, read as read_ip_vs};
pub use meter::{Counted, Delta, Meter};
pub use question::{BadQuestion, Question};
pub use state::{Phase, State};
pub use tally::{Pair, Tally, Totals};
pub use top::{Order, TopRow, TopView, busiest_first};
pub use view::{EndpointView, FlowView, FlowsView, Owner, ServiceView, TotalsView, Whole, view};
