//! What the server counts, by CoreDNS's names.

mod collect;
mod counters;
mod forward;

pub(crate) use collect::Metrics;
pub(crate) use counters::{Counters, Observed, Plugin, ZONES, add};
