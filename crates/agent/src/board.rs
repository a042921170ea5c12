//! What the sync thread tells the pages: small, always current, never the engine itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Problem, Store};
use nftables::{Key, Value};

use crate::health::Health;
use crate::metrics::Metrics;

/// The board. One for the process.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    pub(crate) metrics: Metrics,
}

/// What is written on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) health: Health,
    pub(crate) last_error: Option<String>,
}

impl Board {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), metrics: Metrics::new() })
    }

    /// The state, for a moment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of all that the engine knows, for pages that show much.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) store: Store,
    pub(crate) objects: Vec<(Key, Value)>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) synced: bool,
}
