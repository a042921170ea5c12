//! The DNS server in the agent: what it is configured by, where it listens, and what it is told.
//!
//! ```text
//! Corefile, resolv.conf, ... --files--> configuration --+--> Server (crates/dns)
//! sync thread --DnsFeed--> Names <----- answers --------+      ^
//!                  \--> VIPs of kube-dns, pods that opt out    | listens where the node leads packets
//!                         \--> node: link, routes, interception (crates/dns-node), probes
//! ```
//!
//! * Whatever fails here is logged and tried again: the proxy goes on, and with it the way to the CoreDNS pods.
//! * A configuration that cannot be read leaves the one before in force.

mod configuration;
mod explain;
mod files;
mod http;
mod keeper;
mod needs;
mod node;
mod standalone;
mod summary;
mod watched;

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use dns_names::Names;

use crate::cli::{DnsArgs, DnsCommand};

pub(crate) use explain::{PATH, page};
pub(crate) use needs::needs;
pub(crate) use node::{Dns, Prepared, remove};
pub(crate) use summary::DnsSummary;

/// `towpath dns`.
pub(crate) fn command(args: &DnsArgs) -> Result<()> {
    match &args.command {
        Some(DnsCommand::Explain(args)) => explain::explain(args),
        None => standalone::run(args),
    }
}

/// The names, for the server's threads and for whoever tells them.
type Shared = Arc<RwLock<Names>>;

/// Whether all first lists have come.
fn is_synced(names: &Shared) -> bool {
    names.read().unwrap_or_else(PoisonError::into_inner).is_synced()
}

/// Whether the names are those of an earlier run.
fn is_stale(names: &Shared) -> bool {
    names.read().unwrap_or_else(PoisonError::into_inner).stale()
}
