//! A plan: what has to change in the kernel.

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<V> {
    /// It does not exist yet.
    Create(V),
    /// It exists and is something else.
    Update {
        /// What it is.
        old: V,
        /// What it shall be.
        new: V,
    },
    /// It shall not exist any more.
    Delete(V),
}

/// Changes in no particular order; each key at most once. An empty plan means that nothing differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K, V> {
    /// The changes.
    pub steps: Vec<(K, Step<V>)>,
}

impl<K, V> Default for Plan<K, V> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<K, V> Plan<K, V> {
    /// Whether nothing has to change.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Number of objects that change.
    pub fn len(&self) -> usize {
        self.steps.len()
    }
}
