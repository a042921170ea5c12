//! What tests need and the program does not: case tables, manifests made of them, and a small real network.
//!
//! ```text
//! flows.yaml --cases--> FlowCase --manifest--> JSON files + flags --> the binary, run inside a World
//!                           |                                                  |
//!                           +--world::Layout--> World (namespaces, servers) <--+
//!                           +--verdict::check: real packets against the table's expectation
//! ```
//!
//! Tests with a story of their own write a `scene::Scene` instead of a case.
//!
//! Invariants:
//! * tables are read strictly: a field that this crate does not know is an error, never skipped;
//! * traffic stays inside namespaces that the test made, and they vanish with the test's process;
//! * nothing sleeps to synchronise: a wait is a poll of a condition with a deadline.

pub mod cases;
pub mod flags;
pub mod kube_proxy;
pub mod manifest;
pub mod netns;
pub mod probe;
pub mod process;
pub mod scene;
pub mod schema;
pub mod scratch;
pub mod seccomp;
pub mod server;
pub mod verdict;
pub mod wait;
pub mod world;

use netns::NetNs;

/// Whether this process may make network namespaces and the tools are there; otherwise the reason why not,
/// to report a test as ignored.
pub fn requires_root() -> Result<(), String> {
    let ns = NetNs::new().map_err(|e| format!("needs root: no network namespace: {e:#}"))?;
    ns.command("ip", &["link", "add", "name", "veth0", "type", "veth", "peer", "name", "veth1"])
        .map_err(|e| format!("needs ip and veth links: {e:#}"))?;
    ns.command("nft", &["list", "ruleset"]).map_err(|e| format!("needs nft: {e:#}"))?;
    Ok(())
}
