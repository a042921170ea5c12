//! What an engine begins with.

use model::{NamespacedName, Problem, Store};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::FlowCheck;

/// All that an engine begins with, beside its settings and its dataplane: what is known, and what is owed.
/// [`crate::Engine::handover`] makes one for an engine of another dataplane.
#[derive(Clone, Debug)]
pub struct Start {
    pub(crate) store: Store,
    /// Sources that have not delivered their first list.
    pub(crate) waiting_for: FxHashSet<&'static str>,
    pub(crate) open_batches: usize,
    /// Services to report beside those of the store.
    pub(crate) owed: Vec<NamespacedName>,
    /// Flows to look at once the kernel has the rules.
    pub(crate) due: Vec<FlowCheck>,
    pub(crate) conflicts: FxHashMap<NamespacedName, Vec<Problem>>,
}

impl Start {
    /// A first engine: it programs nothing before every source in `sources` has said [`model::Change::Synced`].
    pub fn new(store: Store, sources: &[&'static str]) -> Self {
        Self {
            store,
            waiting_for: sources.iter().copied().collect(),
            open_batches: 0,
            owed: Vec::new(),
            due: Vec::new(),
            conflicts: FxHashMap::default(),
        }
    }
}
