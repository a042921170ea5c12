//! Every flow of `cases/flows.yaml` through manifests, `sources`, the Store and `explain`, for each dataplane of a case.
//! Cases that no kernel can show are here too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outcome;
mod tables;

use model::{Change, Store, Touched};
use outcome::Outcome;
use resolve::{Packet, ProxyConfig, explain};
use tables::{Subject, try_all};
use testkit::cases::Mode;

/// A store, asked directly.
struct Explained {
    store: Store,
    config: ProxyConfig,
}

impl Subject for Explained {
    fn new(node_name: &str, config: ProxyConfig) -> Self {
        Self { store: Store::new(node_name), config }
    }

    fn take(&mut self, changes: Vec<Change>) {
        changes.into_iter().for_each(|change| self.store.apply(change, &mut Touched::default()));
    }

    fn ask(&self, packet: &Packet) -> Result<Outcome, String> {
        explain(&self.store, &self.config, packet).try_into()
    }
}

#[test]
fn under_nftables() {
    try_all::<Explained>(Mode::Nftables);
}

#[test]
fn under_iptables() {
    try_all::<Explained>(Mode::Iptables);
}

#[test]
fn under_ipvs() {
    try_all::<Explained>(Mode::Ipvs);
}
