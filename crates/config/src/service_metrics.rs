//! `serviceMetrics`: connections and bytes of each Service as metrics.

use serde::{Deserialize, Serialize};

use crate::problem::Problems;

/// The most Services or endpoints that may have metrics of their own.
const MOST: u32 = 100_000;

/// `serviceMetrics`: connections and bytes by Service and endpoint. Off unless `enabled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceMetricsConfiguration {
    /// Whether they are counted. Default false. Sets the sysctl `nf_conntrack_acct`, so that bytes are.
    pub enabled: bool,
    /// Services with metrics of their own, 0 to 100,000; the rest together. Default 100.
    pub max_services: u32,
    /// Endpoints with metrics of their own, of all Services together, 0 to 100,000; the rest together. Default 1000.
    pub max_endpoints: u32,
}

impl Default for ServiceMetricsConfiguration {
    fn default() -> Self {
        Self { enabled: false, max_services: 100, max_endpoints: 1000 }
    }
}

impl ServiceMetricsConfiguration {
    pub(crate) fn validate(&self, problems: &mut Problems) {
        for (field, value) in [
            ("serviceMetrics.maxServices", self.max_services),
            ("serviceMetrics.maxEndpoints", self.max_endpoints),
        ] {
            if value > MOST {
                problems.add(field, value, "is too large: write 0 to 100000");
            }
        }
    }
}
