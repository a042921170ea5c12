//! Slices as they are held, and their ready endpoints.

use std::sync::Arc;

use model::{Endpoint, ImportSlice, Slice};

/// A slice, shared with the store.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Local(Arc<Slice>),
    Imported(Arc<ImportSlice>),
}

impl Held {
    pub fn slice(&self) -> &Slice {
        match self {
            Self::Local(slice) => slice,
            Self::Imported(import) => &import.slice,
        }
    }

    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Local(_) => None,
            Self::Imported(import) => Some(&import.cluster),
        }
    }

    /// Where it is in memory: the same slice as long as it is held.
    pub fn identity(&self) -> usize {
        match self {
            Self::Local(slice) => Arc::as_ptr(slice).addr(),
            Self::Imported(import) => Arc::as_ptr(import).addr(),
        }
    }
}

/// A slice in its slot.
#[derive(Debug)]
pub(super) struct Slot {
    pub held: Held,
    /// How many of its endpoints are ready.
    pub ready: usize,
}

/// The endpoints that are in the indexes: the ready ones. Neither serving nor terminating counts.
pub(super) fn indexed(slice: &Slice) -> impl Iterator<Item = (usize, &Endpoint)> {
    slice.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.conditions.ready)
}
