//! A store filled once from manifests, for the commands that need no kernel.

use anyhow::Result;
use model::{Change, Problem, Store, Touched};
use sources::Manifests;

use crate::cli::OfflineArgs;

/// Reads everything. Problems are returned, not fatal: each hurts only its object.
pub(crate) fn load(args: &OfflineArgs) -> Result<(Store, Vec<Problem>)> {
    let mut store = Store::new(args.node.trim().to_lowercase());
    let mut touched = Touched::default();
    store.apply(Change::KernelAddresses(args.node_addresses.clone()), &mut touched);
    let bind = args.meaning.bind_address;
    Manifests::open(&args.manifests)?.load(&mut |change| {
        store.apply(with_bind_address(change, bind), &mut touched);
        true
    })?;
    let problems = store.problems().cloned().collect();
    Ok((store, problems))
}

/// `--bind-address` goes before the Node's own addresses of its family.
pub(crate) fn with_bind_address(change: Change, bind: std::net::IpAddr) -> Change {
    match change {
        Change::Node(mut node) if !bind.is_unspecified() => {
            node.addresses.retain(|ip| *ip != bind);
            node.addresses.insert(0, bind);
            Change::Node(node)
        }
        other => other,
    }
}
