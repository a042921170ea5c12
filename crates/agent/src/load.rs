//! A store filled once from manifests, for the commands that need no kernel.

use anyhow::Result;
use model::{Change, Problem, Store, Touched};
use sources::Manifests;

use crate::cli::{MeaningArgs, OfflineArgs};

/// Reads everything. Problems are returned, not fatal: each hurts only its object.
pub(crate) fn load(args: &OfflineArgs) -> Result<(Store, Vec<Problem>)> {
    let mut store = store(&args.node.trim().to_lowercase(), &args.meaning);
    let mut touched = Touched::default();
    store.apply(Change::KernelAddresses(args.node_addresses.clone()), &mut touched);
    Manifests::open(&args.manifests)?.load(&mut |change| {
        store.apply(change, &mut touched);
        true
    })?;
    if store.facts().node.is_none() {
        eprintln!(
            "towpath: no Node object is named {:?}: its zone and addresses are not known",
            &**store.node_name()
        );
    }
    let problems = store.problems().cloned().collect();
    Ok((store, problems))
}

/// An empty store of this node.
pub(crate) fn store(node: &str, meaning: &MeaningArgs) -> Store {
    let mut store = Store::new(node);
    if !meaning.bind_address.is_unspecified() {
        store.set_bind_address(meaning.bind_address);
    }
    store
}
