//! What an operator wants to know first of a node.

use serde::Serialize;

use crate::ListView;

/// Problems that the overview shows; it counts all.
pub const PROBLEMS: usize = 100;

/// The state of a node's proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The node's name.
    pub node: String,
    /// The program's version.
    pub version: &'static str,
    /// Where its rules are, with the variant where there are several: `mode iptables (nft variant)`.
    pub place: String,
    /// All that is known is programmed.
    pub synced: bool,
    /// Services that it knows.
    pub services: usize,
    /// Objects that the kernel should have.
    pub objects: u64,
    /// Objects written since the program started.
    pub writes: u64,
    /// The last sync, if there was one.
    pub last_sync: Option<SyncView>,
    /// Objects that others had changed and that were repaired, since the program started.
    pub repaired: u64,
    /// The last such repair, in a sentence.
    pub last_repair: Option<String>,
    /// Whatever else is not as it should be, each a sentence.
    pub troubles: Vec<String>,
    /// Problems of single objects.
    pub problems: ProblemsView,
    /// Pages beside this one: path and title.
    pub links: Vec<Link>,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Link {
    /// Its path.
    pub path: &'static str,
    /// What it shows, in a word or two.
    pub title: &'static str,
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SyncView {
    /// When it ended, as RFC 3339 writes it.
    pub at: String,
    /// Seconds since then.
    pub seconds_ago: u64,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// Objects that it wrote.
    pub writes: usize,
    /// Services that it looked at.
    pub services: usize,
    /// It compared everything with the kernel.
    pub full: bool,
}

/// Problems, counted and partly shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProblemsView {
    /// How many there are.
    pub total: usize,
    /// At most [`PROBLEMS`] of them.
    pub shown: Vec<String>,
}

/// The page `/debug/rules` as JSON, where a part of the list is asked for.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Front {
    /// The state.
    pub overview: Overview,
    /// The list.
    pub list: ListView,
}
