//! HTTP for operators and probes: serves what others know, knows nothing itself.
//!
//! ```text
//! serve:           one listener --request--> Pages::get_with(PageRequest) --> Page
//! service_health:  set(Service, port, count) --> a listener for each Service and address --> 200 or 503
//! ```
//!
//! Invariants:
//! * read-only: pages answer GET and HEAD, nothing else; health servers answer any method with the same;
//!   request bodies are not read;
//! * bounded: connections at a time (a new one takes the place of the oldest that asks nothing), the size of a request, the
//!   time for it, the time for a connection, the answers in memory that nobody reads;
//! * a browser that was led to a loopback address by a foreign name is not answered, but by pages that tell nothing;
//! * no state of its own but listeners; a page that takes long runs beside the listener, not in it.

mod accept;
mod connection;
mod format;
mod host;
mod page;
mod places;
mod serve;
pub mod service_health;
#[cfg(test)]
mod testing;
mod words;

pub use accept::wants_openmetrics;
pub use format::Format;
pub use page::{Page, PageRequest, Pages};
pub use serve::{Limits, bind, serve, serve_within};
pub use words::{in_one_line, printable};
