//! What a status says.

use serde::{Deserialize, Serialize};

use crate::board::State;
use crate::connection_table::ConnectionTable;
use crate::dns::DnsSummary;

/// How the agent on a node is doing.
// The fields are a contract: scripts read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusView {
    /// The agent's version.
    pub(crate) version: String,
    /// The node; empty while it is not known.
    pub(crate) node: String,
    /// The mode that is in force: nftables, iptables or ipvs.
    pub(crate) mode: String,
    /// The same in words, in mode iptables with the variant.
    pub(crate) place: String,
    /// Why it is this mode.
    pub(crate) why: String,
    /// When the agent started, in UTC (RFC 3339).
    pub(crate) started: String,
    /// For how long it has run.
    pub(crate) uptime_seconds: u64,
    /// Rules are programmed, and follow what changes.
    pub(crate) healthy: bool,
    /// Why it is not healthy; empty where it is.
    pub(crate) reasons: Vec<String>,
    /// Load balancers may send traffic here: the Node object is there, and the node is not about to go.
    pub(crate) node_eligible: bool,
    /// Its rules.
    pub(crate) rules: RulesStatus,
    /// The kernel's table of connections; null while there is none.
    #[serde(default)]
    pub(crate) connection_table: Option<ConnectionTable>,
    /// What cannot be honoured.
    pub(crate) problems: ProblemsView,
    /// The API server; null where the objects come from manifests.
    pub(crate) api: Option<ApiView>,
    /// DNS on the node; null where it is off.
    pub(crate) dns: Option<DnsSummary>,
}

/// How the rules are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RulesStatus {
    /// The first sync has succeeded.
    pub(crate) ready: bool,
    /// All that is known is programmed.
    pub(crate) synced: bool,
    /// The last sync that succeeded; null before the first.
    pub(crate) last_sync: Option<LastSyncView>,
    /// Changes of Services that wait for the next sync.
    pub(crate) pending_service_changes: i64,
    /// Changes of EndpointSlices that wait for the next sync.
    pub(crate) pending_endpoint_changes: i64,
    /// Services that are known.
    pub(crate) services: usize,
    /// Endpoints in their slices.
    pub(crate) endpoints: usize,
    /// Kernel objects that they became.
    pub(crate) objects: usize,
    /// Objects that others had changed and that were repaired, since the agent started.
    pub(crate) repaired_objects: u64,
    /// How often that was.
    pub(crate) repairs: u64,
    /// When it was last, in UTC (RFC 3339).
    pub(crate) last_repair_at: Option<String>,
    /// What it was then, and whose doing where that is known, in a sentence.
    pub(crate) last_repair: Option<String>,
    /// What should be gone and is not, a line each.
    pub(crate) leftovers: Vec<String>,
    /// Why the mode is not the one that was asked for.
    pub(crate) move_error: Option<String>,
    /// Why the configuration file, as it is now, is not in force.
    pub(crate) config_error: Option<String>,
}

/// A sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastSyncView {
    /// When it ended, in UTC (RFC 3339).
    pub(crate) at: String,
    /// How long ago that was.
    pub(crate) seconds_ago: u64,
    /// How long it took, in microseconds.
    pub(crate) took_microseconds: u64,
    /// Objects that it wrote.
    pub(crate) writes: usize,
    /// Services that it looked at.
    pub(crate) services: usize,
    /// It compared everything with the kernel.
    pub(crate) full: bool,
}

/// What cannot be honoured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ProblemsView {
    /// How many there are.
    pub(crate) count: usize,
    /// The first 5 of them.
    pub(crate) first: Vec<String>,
}

/// How the API server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiView {
    /// Kinds of objects that are watched.
    pub(crate) kinds: usize,
    /// Of how many of them a watch is open.
    pub(crate) connected: usize,
    /// How long ago the last event or bookmark came; null before the first.
    pub(crate) last_event_seconds_ago: Option<u64>,
    /// Requests and streams that failed since the agent started.
    pub(crate) errors: u64,
    /// The objects are those of the snapshot of this time (RFC 3339), since the API server was away at the start.
    pub(crate) snapshot: Option<String>,
}

impl StatusView {
    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// Why the agent is not healthy. `answers`: the sync thread does.
pub(crate) fn reasons(state: &State, answers: bool) -> Vec<String> {
    let mut all = Vec::new();
    if !answers {
        all.push("the sync thread does not answer; see the log".into());
    } else if !state.synced_once {
        all.push("the first sync has not succeeded yet".into());
    }
    if answers && !state.health.is_current() {
        all.push("a change has waited too long to be programmed".into());
    }
    all.extend(state.health.probe().map(|why| format!("the self-probe fails: {why}")));
    all.extend(state.last_error.iter().map(|error| format!("the last sync failed: {error}")));
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::Health;

    #[test]
    fn schema_of_status() {
        testkit::schema::current::<StatusView>("status").unwrap();
    }

    #[test]
    fn what_is_not_healthy() {
        let state = |synced_once, error: Option<&str>, late| State {
            synced_once,
            last_error: error.map(str::to_owned),
            health: Health::new(Duration::from_secs(late)),
            ..State::default()
        };
        let mut probed = state(true, None, 60);
        probed.health.set_probe(Some("IPv4: no answer".into()));
        for (state, answers, expected) in [
            (state(true, None, 60), true, &[][..]),
            (state(true, None, 60), false, &["does not answer"]),
            (state(false, None, 60), true, &["first sync"]),
            (state(true, None, 0), true, &["too long"]),
            (state(true, Some("no room"), 60), true, &["the last sync failed: no room"]),
            (state(false, Some("no room"), 60), true, &["first sync", "no room"]),
            (probed, true, &["the self-probe fails: IPv4: no answer"]),
        ] {
            let found = reasons(&state, answers);
            assert_eq!(found.len(), expected.len(), "{found:?} is not {expected:?}");
            assert!(found.iter().zip(expected).all(|(line, part)| line.contains(part)), "{found:?}");
        }
    }
}
