//! One table as the kernel has it, as much of it as is needed.

use std::mem;
use std::sync::Arc;

use netlink::nft::{
    Expr, Family, ForeignElement, ForeignRule, Step, foreign_elements, foreign_elements_at, foreign_rules,
    foreign_sets, table_handle,
};
use netlink::{NetlinkError, Socket};
use rustc_hash::FxHashMap;

/// Maps that say which frontends there are.
pub(super) const SERVICES: &str = "service-ips";
pub(super) const NODE_PORTS: &str = "service-nodeports";
pub(super) const IDLE_SERVICES: &str = "no-endpoint-services";
pub(super) const IDLE_NODE_PORTS: &str = "no-endpoint-nodeports";
pub(super) const FIREWALLS: &str = "firewall-ips";
const NAMED: [&str; 5] = [SERVICES, NODE_PORTS, IDLE_SERVICES, IDLE_NODE_PORTS, FIREWALLS];

/// So many keys are asked for one by one.
const FEW: u32 = 32;

/// Anonymous sets of one table that were read before: they never change, and their handles are never used again.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The table's handle.
    table: Option<u64>,
    sets: FxHashMap<u64, Arc<[ForeignElement]>>,
}

impl Known {
    /// What was known of this very table; from here on it is what the new reading finds.
    fn begin(&mut self, table: Option<u64>) -> FxHashMap<u64, Arc<[ForeignElement]>> {
        let before = mem::take(&mut self.sets);
        if mem::replace(&mut self.table, table) == table { before } else { FxHashMap::default() }
    }
}

/// Rules, and the elements of those sets that matter.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rules: Vec<ForeignRule>,
    elements: FxHashMap<String, Arc<[ForeignElement]>>,
    timeouts: FxHashMap<String, u64>,
}

impl Table {
    /// Reads a table, and only those anonymous sets that are not known; what is known is that of this reading afterwards.
    pub(super) fn read(
        socket: &mut Socket,
        family: Family,
        name: &str,
        known: &mut Known,
    ) -> Result<Self, NetlinkError> {
        let before = known.begin(table_handle(socket, family, name)?);
        let rules = foreign_rules(socket, family, name)?;
        let sets = foreign_sets(socket, family, name)?;
        let draws: FxHashMap<&str, Option<u32>> = rules.iter().flat_map(anonymous_sets).collect();
        let mut elements = FxHashMap::default();
        for set in &sets {
            let anonymous = draws.get(set.name.as_str());
            if anonymous.is_none() && !NAMED.contains(&set.name.as_str()) {
                continue;
            }
            let list = match anonymous.and_then(|_| before.get(&set.handle)) {
                Some(list) => Arc::clone(list),
                None => read_set(socket, family, name, &set.name, anonymous.copied().flatten())?.into(),
            };
            if anonymous.is_some() {
                known.sets.insert(set.handle, Arc::clone(&list));
            }
            elements.insert(set.name.clone(), list);
        }
        let timeouts = sets.into_iter().filter_map(|set| Some((set.name, set.timeout_ms?))).collect();
        Ok(Self { rules, elements, timeouts })
    }

    /// Elements of a set; none if there is no such set, or it is not one that matters.
    pub(super) fn elements(&self, set: &str) -> &[ForeignElement] {
        self.elements.get(set).map_or(&[], |list| list)
    }

    /// Seconds after which elements of a set expire.
    pub(super) fn seconds(&self, set: &str) -> Option<u32> {
        u32::try_from(self.timeouts.get(set)? / 1000).ok()
    }
}

/// Reads a set. The keys of a short map of random numbers are known, and asking for these is much cheaper: the kernel
/// looks through all sets of the table for every question. If one is not there, the map has changed since.
fn read_set(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
    draws: Option<u32>,
) -> Result<Vec<ForeignElement>, NetlinkError> {
    if let Some(draws) = draws.filter(|draws| *draws <= FEW) {
        let keys: Vec<Vec<u8>> = (0..draws).map(|key| key.to_ne_bytes().to_vec()).collect();
        if let Ok(found) = foreign_elements_at(socket, family, table, set, &keys) {
            return Ok(found);
        }
    }
    foreign_elements(socket, family, table, set)
}

/// Sets that belong to the rule alone (nft names them so), and how many random numbers are looked up there.
fn anonymous_sets(rule: &ForeignRule) -> impl Iterator<Item = (&str, Option<u32>)> {
    let mut draws = None;
    rule.steps.iter().filter_map(move |step| match step {
        Step::Expr(Expr::NumgenRandom { modulus, .. }) => {
            draws = Some(*modulus);
            None
        }
        Step::Expr(Expr::Lookup { set, .. }) if set.starts_with("__") => Some((set.as_str(), draws.take())),
        _ => None,
    })
}
