//! Queries over TCP: one thread for all connections, as they are rare on a node.
//!
//! ```text
//! accept --> Seats (bounded) --> Connection: Frames --> Desk::serve --> reply
//!                                    Progress (limits)      |
//!                                    <--- late replies -----+ Job
//! ```

mod connection;
mod frames;
mod limits;
mod seats;
mod stop;
mod thread;

pub(crate) use connection::Late;
pub use limits::TcpLimits;
pub(crate) use thread::{TcpThread, start};
