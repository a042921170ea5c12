//! What a sync tells of itself.

use model::{NamespacedName, Problem};
use resolve::LocalView;

use crate::{DrainCheck, DrainNews, FlowCheck, Summary};

/// What one sync did.
#[derive(Debug, Default)]
pub struct SyncReport {
    /// Objects created, updated or deleted in the kernel.
    pub writes: usize,
    /// Services that were resolved again, each with what it has on this node now (nothing, if it is gone).
    pub services: Vec<(NamespacedName, LocalView)>,
    /// What was written.
    pub plan: Summary,
    /// Conntrack flows to look at.
    pub flows: Vec<FlowCheck>,
    /// What became of endpoints of Services with a drain deadline.
    pub drains: Vec<DrainNews>,
    /// Services with a drain deadline: of the first sync only, since endpoints may have gone before it.
    pub drain_checks: Vec<DrainCheck>,
    /// Problems that appeared or changed.
    pub problems: Vec<Problem>,
    /// The list of contested frontends changed, or that of what the kernel refused.
    pub conflicts_changed: bool,
    /// What is known of the node changed, or the settings did.
    pub node_changed: bool,
    /// It compared everything with the kernel.
    pub full: Option<FullReport>,
}

/// What a full comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FullReport {
    /// Objects of ours that the kernel had.
    pub observed: usize,
    /// Objects that differed from what this process had made of them: what repairs them.
    pub drift: Summary,
}
