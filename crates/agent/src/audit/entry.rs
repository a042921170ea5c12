//! One entry of the trail.

use std::time::{Duration, SystemTime};

use dataplane::Summary;
use model::{Cause, NamespacedName};

use super::{LINE, LINES};

/// Why there was a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Because {
    /// The first sync of this process.
    Start,
    /// Objects changed.
    Objects,
    /// Addresses of this node changed.
    Addresses,
    /// The settings changed.
    Settings,
    /// Another mode is in force.
    Mode,
    /// Another program had changed our rules.
    Repair,
    /// A sync had failed.
    Retry,
    /// Everything was compared with the kernel, and something differed.
    Comparison,
}

impl Because {
    /// One word, as JSON and text have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Objects => "objects",
            Self::Addresses => "addresses",
            Self::Settings => "settings",
            Self::Mode => "mode",
            Self::Repair => "repair",
            Self::Retry => "retry",
            Self::Comparison => "comparison",
        }
    }
}

/// One object that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Which, in which version.
    pub(crate) cause: Cause,
    /// From when the source had read it to the kernel's commit; to its refusal, where the sync failed.
    pub(crate) waited: Duration,
    /// From when the cause of a slice's change happened, by the clock of who wrote the slice.
    pub(crate) since_trigger: Option<Duration>,
}

/// What one sync did, or tried to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// 1, 2, 3 ... in this process.
    pub(crate) number: u64,
    /// When the kernel had taken or refused it.
    pub(crate) at: SystemTime,
    /// Sorted, each once.
    pub(crate) because: Vec<Because>,
    /// In the order in which they came.
    pub(crate) objects: Vec<Object>,
    /// Objects beyond those.
    pub(crate) more_objects: usize,
    /// Services that were resolved again.
    pub(crate) services: Vec<NamespacedName>,
    /// Services beyond those.
    pub(crate) more_services: usize,
    /// Kernel objects that were created.
    pub(crate) created: usize,
    /// Kernel objects that were something else before.
    pub(crate) updated: usize,
    /// Kernel objects that went.
    pub(crate) deleted: usize,
    /// Of these some, a line each: see [`Summary::lines`].
    pub(crate) lines: Vec<String>,
    /// How long the sync took.
    pub(crate) took: Duration,
    /// Everything was compared with the kernel.
    pub(crate) full: bool,
    /// Why the kernel did not take it.
    pub(crate) error: Option<String>,
    /// How often it failed like this.
    pub(crate) tries: u32,
}

impl Entry {
    /// Nothing happened.
    pub(super) fn new(at: SystemTime, took: Duration) -> Self {
        Self {
            number: 0,
            at,
            because: Vec::new(),
            objects: Vec::new(),
            more_objects: 0,
            services: Vec::new(),
            more_services: 0,
            created: 0,
            updated: 0,
            deleted: 0,
            lines: Vec::new(),
            took,
            full: false,
            error: None,
            tries: 1,
        }
    }

    /// Takes over what was written.
    pub(super) fn wrote(&mut self, plan: &Summary) {
        (self.created, self.updated, self.deleted) = (plan.created, plan.updated, plan.deleted);
        self.lines = plan.lines.iter().take(LINES).map(|line| shortened(line)).collect();
    }

    /// Number of kernel objects that changed.
    pub(crate) fn writes(&self) -> usize {
        self.created + self.updated + self.deleted
    }

    /// Whether it touched this Service, or the Service is one of the objects that changed.
    pub(crate) fn is_about(&self, service: &NamespacedName) -> bool {
        let is_it = |object: &Object| object.cause.kind == "Service" && object.cause.name == *service;
        self.services.contains(service) || self.objects.iter().any(is_it)
    }

    /// Memory, about. Names are shared with the store, and counted nevertheless: they may outlive their objects.
    pub(super) fn bytes(&self) -> usize {
        let of_name = |name: &NamespacedName| 32 + name.namespace.len() + name.name.len();
        let of_object = |object: &Object| {
            128 + of_name(&object.cause.name) + object.cause.version.as_ref().map_or(0, |v| v.len())
        };
        let objects: usize = self.objects.iter().map(of_object).sum();
        let services: usize = self.services.iter().map(of_name).sum();
        let lines: usize = self.lines.iter().map(|line| 24 + line.len()).sum();
        size_of::<Self>() + objects + services + lines + self.error.as_ref().map_or(0, String::len)
    }
}

/// The beginning of a text, if it is long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
