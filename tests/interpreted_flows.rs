//! Every flow of `cases/flows.yaml` through the rules, and in mode ipvs the virtual servers, that would go to the kernel, run
//! by an interpreter.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the laws use all of it")]
mod interpreter;
mod outcome;
mod tables;

use dataplane::Engine;
use interpreter::{Kernel, Lowered};
use ipvs::Ipvs;
use model::{Change, Store};
use nftables::Nftables;
use outcome::Outcome;
use resolve::{Packet, ProxyConfig};
use tables::{Subject, try_all};
use testkit::cases::Mode;

/// What a node has, changed step by step as the program does it.
struct Interpreted<D: Lowered>(Engine<D>);

impl<D: Lowered> Subject for Interpreted<D> {
    fn new(node_name: &str, config: ProxyConfig) -> Self {
        Self(Engine::new(Store::new(node_name), config, D::offline(), &[]))
    }

    fn take(&mut self, changes: Vec<Change>) {
        changes.into_iter().for_each(|change| self.0.handle(change));
        self.0.settle();
    }

    fn ask(&self, packet: &Packet) -> Result<Outcome, String> {
        Kernel::of::<D>(&self.0)?.outcome(packet)
    }
}

#[test]
fn under_nftables() {
    try_all::<Interpreted<Nftables>>(Mode::Nftables);
}

#[test]
fn under_ipvs() {
    try_all::<Interpreted<Ipvs>>(Mode::Ipvs);
}
