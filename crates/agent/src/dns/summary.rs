//! How DNS on the node is doing, in a few fields.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::is_synced;
use super::node::{Dns, intercepted, lock};

/// Troubles that are told; further ones are only in `/debug/dns`.
const TROUBLES: usize = 5;

/// How DNS on the node is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct DnsSummary {
    /// All names of the cluster are known.
    pub(crate) complete: bool,
    /// The names are those of the last run, since the sources have not told yet.
    pub(crate) stale: bool,
    /// Services that have names.
    pub(crate) services: usize,
    /// Where it answers, each as `IP:PORT` or `[IPV6]:PORT`.
    pub(crate) listening: Vec<String>,
    /// Addresses of the cluster's DNS Service whose queries it gets now, each as `IP/PROTOCOL`.
    pub(crate) intercepted: Vec<String>,
    /// What is not as it should be, at most 5 lines: the configuration, the node, probes.
    pub(crate) troubles: Vec<String>,
}

impl Dns {
    /// How it is doing. Asks the kernel what is intercepted.
    pub(crate) fn summary(&self) -> DnsSummary {
        let state = lock(&self.state).clone();
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner).stats();
        let errors =
            state.config_error.into_iter().map(|error| format!("configuration not in force: {error}"));
        let troubles = errors.chain(state.troubles).chain(state.probes);
        DnsSummary {
            complete: is_synced(&self.names),
            stale: self.server().state().stale,
            services: names.services,
            listening: self.server().addresses().iter().map(ToString::to_string).collect(),
            intercepted: intercepted()
                .into_iter()
                .map(|(vip, protocol)| format!("{vip}/{protocol}"))
                .collect(),
            troubles: troubles.take(TROUBLES).collect(),
        }
    }
}
