//! One allocation for each distinct name: node and zone names repeat in every endpoint.

use std::sync::Arc;

use rustc_hash::FxHashSet;

/// Hands out shared copies of equal strings. Never holds more than [`Interner::LIMIT`] of them: a source of
/// ever-changing names costs sharing, not memory.
#[derive(Debug, Default)]
pub struct Interner {
    known: FxHashSet<Arc<str>>,
}

impl Interner {
    /// Names held before the table is emptied and filled anew.
    pub const LIMIT: usize = 65_536;

    /// The shared copy of `text`.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(found) = self.known.get(text) {
            return Arc::clone(found);
        }
        if self.known.len() >= Self::LIMIT {
            self.known.clear();
        }
        let made: Arc<str> = text.into();
        self.known.insert(Arc::clone(&made));
        made
    }
}
