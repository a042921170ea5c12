//! Chains that have to go and cannot, as a rule of somebody else leads to them. They stay, empty.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::names::Place;
use crate::objects::{Entry, Key, Value};
use crate::shadow::KeyStep;

/// The chains, as far as this process knows.
#[derive(Clone, Debug, Default)]
pub struct Stuck(FxHashSet<Place>);

impl Stuck {
    /// Whether a chain is one of them.
    pub fn contains(&self, place: &Place) -> bool {
        self.0.contains(place)
    }

    /// A chain could not be deleted. Whether that is news.
    pub fn insert(&mut self, place: Place) -> bool {
        self.0.insert(place)
    }

    /// A plan is about to be written: chains that it makes are ordinary ones again.
    pub fn want(&mut self, steps: &[KeyStep]) {
        if self.0.is_empty() {
            return;
        }
        let made = steps.iter().filter(|(_, step)| !matches!(step, dataplane::Step::Delete(_)));
        made.for_each(|(key, _)| _ = self.0.remove(&key.place));
    }

    /// Tries to delete them again; those that are gone now are forgotten.
    pub fn retry(&mut self, delete: impl Fn(&Place) -> bool) {
        self.0.retain(|place| !delete(place));
    }

    /// Takes those that are still empty out of what was observed: there is nothing to be done about them.
    pub fn leave_out(&self, objects: &mut FxHashMap<Key, Value>) {
        if self.0.is_empty() {
            return;
        }
        let has_rules = |key: &Key, rules: &Value| key.entry != Entry::Head && !rules.is_empty();
        let used = objects.iter().filter(|(key, rules)| self.contains(&key.place) && has_rules(key, rules));
        let used: FxHashSet<Place> = used.map(|(key, _)| key.place.clone()).collect();
        objects.retain(|key, _| !self.contains(&key.place) || used.contains(&key.place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{ChainId, Table, Tree};
    use dataplane::Step;
    use model::IpFamily;
    use std::sync::Arc;

    fn key(name: &str, entry: Entry) -> Key {
        Key::new(IpFamily::V4, ChainId::parse(Table::Nat, name), entry)
    }

    #[test]
    fn empty_ones_are_not_seen_and_others_are() {
        let mut stuck = Stuck::default();
        let objects = [
            (key("TOWPATH-VIP-1", Entry::Head), ""),
            (key("TOWPATH-VIP-2", Entry::Head), ""),
            (key("TOWPATH-VIP-2", Entry::Digit(1)), "-j TOWPATH-VIP-12"),
            (key("TOWPATH-A", Entry::Whole), ""),
            (key("TOWPATH-B", Entry::Whole), "-j RETURN"),
            (key("TOWPATH-C", Entry::Whole), ""),
        ];
        for name in ["TOWPATH-VIP-1", "TOWPATH-VIP-2", "TOWPATH-A", "TOWPATH-B"] {
            let place = key(name, Entry::Head).place;
            assert!(stuck.insert(place.clone()) && !stuck.insert(place));
        }
        let mut objects = objects.into_iter().map(|(key, rules)| (key, Arc::from(rules))).collect();
        stuck.leave_out(&mut objects);
        let mut left: Vec<String> = objects.keys().map(|key| key.place.chain.to_string()).collect();
        left.sort();
        assert_eq!(left, ["TOWPATH-B", "TOWPATH-C", "TOWPATH-VIP-2", "TOWPATH-VIP-2"]);
    }

    #[test]
    fn a_chain_that_is_made_again_is_not_deleted_again() {
        let mut stuck = Stuck::default();
        let key = Key::new(IpFamily::V4, ChainId::Root(Tree::Idle), Entry::Head);
        stuck.insert(key.place.clone());
        stuck.want(&[(key.clone(), Step::Delete(Arc::from("")))]);
        assert!(stuck.contains(&key.place));
        stuck.want(&[(key.clone(), Step::Create(Arc::from("")))]);
        stuck.retry(|_| panic!("it is wanted"));
    }
}
