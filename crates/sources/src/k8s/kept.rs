//! What is kept of objects beside what a proxy needs.

use model::Interner;

/// What is kept of objects for DNS. A proxy needs nothing of it; and names of pods and labels are most of what a cluster
/// says, so that what nobody asks for is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What every DNS server needs: hostnames of endpoints, names of ExternalName Services and of load balancers, labels of
    /// Namespaces. Without it nothing is kept, whatever the others say.
    pub dns: bool,
    /// Labels of Services, EndpointSlices and ServiceImports.
    pub labels: bool,
    /// Names of the Pods behind endpoints.
    pub pod_names: bool,
    /// Topology zones of endpoints.
    pub zones: bool,
}

impl Kept {
    /// Only what a proxy needs.
    pub const NOTHING: Self = Self { dns: false, labels: false, pod_names: false, zones: false };
    /// All that can be kept.
    pub const ALL: Self = Self { dns: true, labels: true, pod_names: true, zones: true };

    fn effective(self) -> Self {
        if self.dns { self } else { Self::NOTHING }
    }
}

/// What decoding has beside the text: what is to be kept, and the names that were seen, for sharing.
#[derive(Debug, Default)]
pub struct Decoder {
    pub(super) names: Interner,
    pub(super) kept: Kept,
}

impl Decoder {
    /// One that keeps this. The default keeps nothing but what a proxy needs.
    pub fn new(kept: Kept) -> Self {
        Self { names: Interner::default(), kept: kept.effective() }
    }
}
