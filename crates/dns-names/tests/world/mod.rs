//! The fixtures as the program meets them: manifests, read by `sources` into a Store, and from there into the index.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod made;
pub mod message;

use std::path::PathBuf;
use std::sync::Arc;

use model::{Change, NamespacedName, Store, Touched};
use sources::{Kept, Manifests};
use towpath_dns_names::{Names, Update};

/// `tests/cases/dns/<name>` of the workspace.
pub fn table_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/dns").join(name)
}

/// All that the fixtures say. Those that no API server takes are missing: the source refuses them.
pub fn fixtures() -> Store {
    let mut store = Store::new("node-a");
    let mut manifests = Manifests::open(table_path("fixtures.yaml")).unwrap().keeping(Kept::ALL);
    let mut problems = Vec::new();
    let mut sink = |change: Change| {
        if let Change::Problem(problem) = &change {
            problems.push(problem.to_string());
        }
        store.apply(change, &mut Touched::default());
        true
    };
    manifests.load(&mut sink).unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
    store
}

/// An index of all that a store holds.
pub fn index(store: &Store, synced: bool) -> Names {
    let mut names = Names::new();
    for (name, entry) in store.entries() {
        names.apply(Update::Service(name.clone(), Some(Arc::clone(entry))));
    }
    for (name, entry) in store.imports() {
        names.apply(Update::Import(name.clone(), Some(Arc::clone(entry))));
    }
    for namespace in store.namespaces() {
        names.apply(Update::Namespace(Arc::clone(&namespace.name), Some(Arc::clone(namespace))));
    }
    store.pods().for_each(|pod| names.apply(Update::Pod(Arc::clone(pod))));
    if synced {
        names.apply(Update::Synced);
    }
    names
}

/// The update for one Service as the store has it.
pub fn service_update(store: &Store, name: &NamespacedName) -> Update {
    Update::Service(name.clone(), store.entry(name).cloned())
}
