//! DNS messages as octets: reads a query, writes a reply, keeps an upstream's reply in a form that is cheap to send again.
//!
//! ```text
//! client  --octets-->  parse_query --> Query --+--> Reply (records of ours)  --octets--> client
//!                          |                   |
//!                          +-> Refusal         +--> Stored::write            --octets--> client
//!                                                     ^
//! upstream <--octets-- ask             upstream --octets--> store
//! ```
//!
//! Invariants:
//! * pure: no I/O, no clock; never panics and never loops, whatever the octets are;
//! * a name is wire form with its letter case kept; a dot inside a label is an octet like any other;
//! * a query is read, and a reply of ours written, without allocation (as long as the output has room);
//! * a message that leaves is written by us from its first to its last octet, a relayed one too.

#![forbid(unsafe_code)]

mod arpa;
mod ask;
mod codes;
mod compress;
mod edns;
mod layout;
mod name;
mod name_buf;
mod name_text;
mod query;
mod refusal;
mod relay;
mod reply;
mod store;
mod stored;
mod walk;

pub use ask::ask;
pub use codes::{class, edns_option, flag, rcode, rtype};
pub use edns::Edns;
pub use name::{Labels, MAX_LABEL, MAX_NAME, Name, NameRef};
pub use name_buf::NameBuf;
pub use name_text::NameError;
pub use query::{Bad, Query, UDP_PAYLOAD, parse_query};
pub use refusal::{Refusal, refuse};
pub use relay::{Cname, Relay, Ttls};
pub use reply::{Data, Mark, Reply, Section};
pub use store::{Asked, Foreign, MAX_RECORDS, store};
pub use stored::{Kind, Record, Stored};
