//! The forwarder against real sockets: scenarios of `cases/dns`, faults of upstreams, bounds, DNS over TLS.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod bounds;
mod client;
mod faults;
mod message;
mod patience;
mod refresh;
mod scenarios;
mod tls;
mod upstream;
