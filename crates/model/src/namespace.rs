//! A Namespace.

use std::sync::Arc;

use crate::Labels;

/// A Namespace, as far as DNS needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: Arc<str>,
    /// `metadata.labels`, if they are kept.
    pub labels: Labels,
}

impl Namespace {
    /// A Namespace without labels.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), labels: Labels::default() }
    }
}
