//! The scenarios of the table, each a test by its name with a server of its own.

mod cache;
mod config;
mod forward;
mod fresh;
mod life;
mod pods;

use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::Trial;

use crate::place::Place;
use crate::table::Table;
use crate::trial;

/// One scenario.
pub(crate) struct Scenario {
    knows: Knows,
    id: &'static str,
    corefile: &'static str,
    run: fn(&mut Place) -> Result<()>,
}

/// What the server knows at first.
enum Knows {
    /// The fixtures.
    All,
    /// The fixtures, by a snapshot: there are no manifests yet.
    Snapshot,
    /// Nothing; there are no manifests yet.
    Nothing,
}

const ALL: &[&[Scenario]] = &[
    fresh::SCENARIOS,
    forward::SCENARIOS,
    cache::SCENARIOS,
    config::SCENARIOS,
    life::SCENARIOS,
    pods::SCENARIOS,
];

/// All of them.
pub(crate) fn trials(table: &Arc<Table>, obstacle: Option<&String>) -> Vec<Trial> {
    let scenarios = ALL.iter().copied().flatten();
    let one = |scenario: &'static Scenario| {
        let table = Arc::clone(table);
        trial(format!("scenarios::{}", scenario.id), obstacle.cloned(), move || scenario.play(&table))
    };
    scenarios.map(one).collect()
}

/// The scenarios that are played here.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    ALL.iter().copied().flatten().map(|scenario| scenario.id)
}

/// The Corefiles of all scenarios.
pub(crate) fn corefiles() -> Vec<&'static str> {
    ALL.iter().copied().flatten().map(|scenario| scenario.corefile).collect()
}

impl Scenario {
    fn play(&self, table: &Table) -> Result<()> {
        let mut place = match self.knows {
            Knows::All => Place::start(table, self.corefile),
            Knows::Snapshot => Place::unsynced(table, self.corefile, true),
            Knows::Nothing => Place::unsynced(table, self.corefile, false),
        }?;
        (self.run)(&mut place).with_context(|| place.evidence())?;
        place.alive()
    }
}

/// Cluster names with a cache in front, as most Corefiles have it.
const PLAIN: &str = ".:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . 198.18.0.53
    cache 30
}";
