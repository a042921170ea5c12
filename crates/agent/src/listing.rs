//! The list of Services for pages: written by the sync thread after each sync, at the cost of what it touched, and read in
//! parts, so that a reader of a long list never keeps the writer waiting.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{NamespacedName, Store};
use page::{Catalogue, Entry, ListView, Marks, Search};
use resolve::LocalView;

/// Services that are read at a time.
const PART: usize = 512;

/// The list. One for the process.
#[derive(Debug, Default)]
pub(crate) struct Listing(Mutex<Catalogue>);

impl Listing {
    /// Takes in what a sync resolved.
    pub(crate) fn take_in(&self, store: &Store, services: &[(NamespacedName, LocalView)]) {
        let mut catalogue = self.lock();
        for (name, view) in services {
            let known = store.entry(name);
            let service = known.and_then(|entry| entry.service.clone());
            let entry = service.map(|service| Entry {
                service,
                slices: known.iter().flat_map(|entry| entry.slices.values().cloned()).collect(),
                usable: u32::try_from(view.usable).unwrap_or(u32::MAX),
                known: u32::try_from(view.known).unwrap_or(u32::MAX),
            });
            catalogue.set(name.clone(), entry);
        }
    }

    /// The part that is asked for.
    pub(crate) fn list(&self, search: &Search, marks: &Marks) -> ListView {
        page::list(search, marks, |after| self.lock().after(after, PART))
    }

    /// Endpoints in the slices of all Services.
    pub(crate) fn endpoints(&self) -> usize {
        self.lock().endpoints()
    }

    /// Whether there is such a Service.
    pub(crate) fn has(&self, name: &NamespacedName) -> bool {
        self.lock().has(name)
    }

    fn lock(&self) -> MutexGuard<'_, Catalogue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
