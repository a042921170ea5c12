//! Every flow of `cases/flows.yaml` for nftables through the rules that would go to the kernel, run by an interpreter.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the laws use all of it")]
mod interpreter;
mod outcome;
mod tables;

use dataplane::{Engine, Operate};
use interpreter::Kernel;
use model::{Change, Store};
use nftables::Nftables;
use outcome::Outcome;
use resolve::{Packet, ProxyConfig};
use tables::{Subject, try_all};
use testkit::cases::Mode;

/// The rules of a node, changed step by step as the program does it.
struct Interpreted(Engine<Nftables>);

impl Subject for Interpreted {
    fn new(node_name: &str, config: ProxyConfig) -> Self {
        Self(Engine::new(Store::new(node_name), config, Nftables::offline(), &[]))
    }

    fn take(&mut self, changes: Vec<Change>) {
        changes.into_iter().for_each(|change| self.0.handle(change));
        self.0.settle();
    }

    fn ask(&self, packet: &Packet) -> Result<Outcome, String> {
        let kernel = Kernel::new(self.0.dataplane(), self.0.objects(), self.0.store().facts())?;
        kernel.outcome(packet)
    }
}

#[test]
fn under_nftables() {
    try_all::<Interpreted>(Mode::Nftables);
}
