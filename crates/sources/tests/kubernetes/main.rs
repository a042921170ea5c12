//! The Kubernetes source against an API server: what it sends, what it asks, and what it says when things go wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod lists;
mod objects;
mod requests;
mod run;
mod security;
mod snapshots;
mod watches;
