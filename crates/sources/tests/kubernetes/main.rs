//! The Kubernetes source against an API server: what it sends, what it asks, and what it says when things go wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod barren;
mod credentials;
mod dns;
mod faults;
mod hanging;
mod lists;
mod objects;
mod optional;
mod requests;
mod run;
mod security;
mod snapshots;
mod watches;
