//! The desired state of the kernel: who asks for which object.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::{Plan, Step};

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    owners: u32,
}

/// Counts owners per key, and remembers what changed since the last plan.
#[derive(Clone, Debug)]
pub struct Ledger<O, K, V> {
    entries: FxHashMap<K, Entry<V>>,
    owned: FxHashMap<O, Box<[K]>>,
    /// What each changed key was when the last plan was taken.
    before: FxHashMap<K, Option<V>>,
    tracking: bool,
}

impl<O, K, V> Default for Ledger<O, K, V> {
    fn default() -> Self {
        Self {
            entries: FxHashMap::default(),
            owned: FxHashMap::default(),
            before: FxHashMap::default(),
            tracking: true,
        }
    }
}

impl<O: Eq + Hash, K: Clone + Eq + Hash, V: Clone + Eq> Ledger<O, K, V> {
    /// Number of objects.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What an object shall be.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The keys that an owner asks for.
    pub fn owned(&self, owner: &O) -> &[K] {
        self.owned.get(owner).map_or(&[], |keys| keys)
    }

    /// Every object, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// With tracking off, changes are not remembered: for a load that a full [`Ledger::diff`] follows.
    pub fn set_tracking(&mut self, tracking: bool) {
        self.tracking = tracking;
        self.before.clear();
    }

    /// Replaces all that one owner asks for. A key given twice counts once; the later value holds.
    pub fn replace(&mut self, owner: O, objects: Vec<(K, V)>) {
        let mut keys = Vec::with_capacity(objects.len());
        for (key, value) in objects {
            self.hold(&key, value);
            keys.push(key);
        }
        let old = if keys.is_empty() {
            self.owned.remove(&owner)
        } else {
            self.owned.insert(owner, keys.into_boxed_slice())
        };
        for key in old.iter().flat_map(|keys| keys.iter()) {
            self.release(key);
        }
    }

    /// What has to change since the last plan was taken; the changes are then taken as done.
    pub fn take_plan(&mut self) -> Plan<K, V> {
        let before = std::mem::take(&mut self.before);
        let steps = before.into_iter().filter_map(|(key, old)| {
            let new = self.entries.get(&key).map(|entry| entry.value.clone());
            step(old, new).map(|step| (key, step))
        });
        Plan { steps: steps.collect() }
    }

    /// What has to change for `observed` to become this state.
    pub fn diff(&self, observed: &FxHashMap<K, V>) -> Plan<K, V> {
        let wanted = self.entries.iter().filter_map(|(key, entry)| {
            let old = observed.get(key);
            if old == Some(&entry.value) {
                return None;
            }
            step(old.cloned(), Some(entry.value.clone())).map(|step| (key.clone(), step))
        });
        let extra = observed.iter().filter(|(key, _)| !self.entries.contains_key(key));
        let extra = extra.map(|(key, old)| (key.clone(), Step::Delete(old.clone())));
        Plan { steps: wanted.chain(extra).collect() }
    }

    fn hold(&mut self, key: &K, value: V) {
        match self.entries.get_mut(key) {
            Some(entry) => {
                entry.owners += 1;
                if entry.value != value {
                    let old = std::mem::replace(&mut entry.value, value);
                    self.remember(key, Some(old));
                }
            }
            None => {
                self.entries.insert(key.clone(), Entry { value, owners: 1 });
                self.remember(key, None);
            }
        }
    }

    fn release(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.owners -= 1;
        if entry.owners == 0 {
            let old = self.entries.remove(key).map(|entry| entry.value);
            self.remember(key, old);
        }
    }

    fn remember(&mut self, key: &K, old: Option<V>) {
        if self.tracking {
            self.before.entry(key.clone()).or_insert(old);
        }
    }
}

fn step<V: Eq>(old: Option<V>, new: Option<V>) -> Option<Step<V>> {
    match (old, new) {
        (None, Some(new)) => Some(Step::Create(new)),
        (Some(old), None) => Some(Step::Delete(old)),
        (Some(old), Some(new)) if old != new => Some(Step::Update { old, new }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Ledger<&'static str, u8, char>;

    #[test]
    fn a_shared_key_goes_with_its_last_owner() {
        let mut ledger = Small::default();
        ledger.replace("a", vec![(1, 'x'), (2, 'y')]);
        ledger.replace("b", vec![(1, 'x')]);
        assert_eq!(ledger.take_plan().len(), 2);
        ledger.replace("a", vec![]);
        assert_eq!(ledger.take_plan().steps, [(2, Step::Delete('y'))]);
        ledger.replace("b", vec![]);
        assert_eq!(ledger.take_plan().steps, [(1, Step::Delete('x'))]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_change_that_is_taken_back_is_no_change() {
        let mut ledger = Small::default();
        ledger.replace("a", vec![(1, 'x')]);
        ledger.take_plan();
        ledger.replace("a", vec![(1, 'z'), (2, 'z')]);
        ledger.replace("a", vec![(1, 'x')]);
        assert!(ledger.take_plan().is_empty());
    }

    #[test]
    fn a_diff_against_nothing_is_everything_and_against_itself_nothing() {
        let mut ledger = Small::default();
        ledger.replace("a", vec![(1, 'x'), (2, 'y')]);
        assert_eq!(ledger.diff(&FxHashMap::default()).len(), 2);
        let same: FxHashMap<u8, char> = ledger.iter().map(|(k, v)| (*k, *v)).collect();
        assert!(ledger.diff(&same).is_empty());
        let other = FxHashMap::from_iter([(2, 'n'), (3, 'n')]);
        let mut steps = ledger.diff(&other).steps;
        steps.sort_by_key(|(key, _)| *key);
        let update = Step::Update { old: 'n', new: 'y' };
        assert_eq!(steps, [(1, Step::Create('x')), (2, update), (3, Step::Delete('n'))]);
    }
}
