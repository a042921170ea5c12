//! ServiceImports and the slices that belong to them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{Change, ImportEntry, ImportSlice, NamespacedName, ServiceImport};

/// Every ServiceImport, and what slices say of names that have none yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Imports {
    entries: FxHashMap<NamespacedName, Arc<ImportEntry>>,
    /// The import that a slice belongs to, by the slice's name.
    owners: FxHashMap<NamespacedName, NamespacedName>,
}

impl Imports {
    pub(super) fn get(&self, name: &NamespacedName) -> Option<&Arc<ImportEntry>> {
        self.entries.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NamespacedName, &Arc<ImportEntry>)> {
        self.entries.iter().filter(|(_, entry)| entry.import.is_some())
    }

    pub(super) fn owner(&self, slice: &NamespacedName) -> Option<&NamespacedName> {
        self.owners.get(slice)
    }

    /// The changes that lead here from nothing.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let entries = self.entries.values();
        let imports =
            entries.clone().filter_map(|e| Some(Change::ServiceImport(Arc::clone(e.import.as_ref()?))));
        imports.chain(entries.flat_map(|e| e.slices.values().map(|s| Change::ImportSlice(Arc::clone(s)))))
    }

    pub(super) fn set(&mut self, import: Arc<ServiceImport>) {
        let entry = self.entries.entry(import.name.clone()).or_default();
        Arc::make_mut(entry).import = Some(import);
    }

    pub(super) fn remove(&mut self, name: &NamespacedName) {
        self.edit(name, |entry| entry.import = None);
    }

    pub(super) fn set_slice(&mut self, slice: Arc<ImportSlice>) {
        let name = &slice.slice.name;
        if self.owners.get(name).is_some_and(|owner| *owner != slice.import) {
            self.remove_slice(&name.clone());
        }
        self.owners.insert(slice.slice.name.clone(), slice.import.clone());
        let entry = self.entries.entry(slice.import.clone()).or_default();
        Arc::make_mut(entry).slices.insert(Arc::clone(&slice.slice.name.name), slice);
    }

    pub(super) fn remove_slice(&mut self, name: &NamespacedName) {
        // Most clusters have none.
        if self.owners.is_empty() {
            return;
        }
        if let Some(owner) = self.owners.remove(name) {
            self.edit(&owner, |entry| drop(entry.slices.remove(&name.name)));
        }
    }

    /// Changes an entry, and forgets it once it is empty.
    fn edit(&mut self, name: &NamespacedName, edit: impl FnOnce(&mut ImportEntry)) {
        let Some(shared) = self.entries.get_mut(name) else { return };
        let entry = Arc::make_mut(shared);
        edit(entry);
        if entry.import.is_none() && entry.slices.is_empty() {
            self.entries.remove(name);
        }
    }
}
