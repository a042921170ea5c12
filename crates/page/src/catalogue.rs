//! The list of Services, kept up to date by what each sync says of those it resolved: a change costs what it touches.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use model::{NamespacedName, Service, Slice};

/// What the list knows of one Service. The Service is the store's own, shared and not copied.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The Service.
    pub service: Arc<Service>,
    /// Its slices, which are the store's own too.
    pub slices: Arc<[Arc<Slice>]>,
    /// Endpoints to which some traffic of this node goes.
    pub usable: u32,
    /// Endpoints that its slices name.
    pub known: u32,
}

/// Every Service by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<NamespacedName, Entry>,
    /// In all their slices.
    endpoints: usize,
}

impl Catalogue {
    /// Takes in what one Service is now; `None`: it is gone.
    pub fn set(&mut self, name: NamespacedName, entry: Option<Entry>) {
        let count = |entry: &Entry| entry.slices.iter().map(|slice| slice.endpoints.len()).sum::<usize>();
        let added = entry.as_ref().map_or(0, count);
        let before = match entry {
            Some(entry) => self.entries.insert(name, entry),
            None => self.entries.remove(&name),
        };
        self.endpoints = self.endpoints + added - before.as_ref().map_or(0, count);
    }

    /// Endpoints in the slices of all of them.
    pub fn endpoints(&self) -> usize {
        self.endpoints
    }

    /// Whether there is such a Service.
    pub fn has(&self, name: &NamespacedName) -> bool {
        self.entries.contains_key(name)
    }

    /// Number of Services.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// At most `count` of them in the order of their names, those after the given one: so a long list is read in parts,
    /// and whoever writes it never waits for long.
    pub fn after(&self, name: Option<&NamespacedName>, count: usize) -> Vec<Entry> {
        let from = name.map_or(Unbounded, Excluded);
        self.entries.range((from, Unbounded)).take(count).map(|(_, entry)| entry.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_one_another() {
        let mut catalogue = Catalogue::default();
        let name = |n: usize| NamespacedName::new("ns", format!("s{n:02}"));
        for n in [3, 1, 4, 0, 2] {
            let service = Arc::new(Service { name: name(n), ..Service::default() });
            catalogue.set(name(n), Some(Entry { service, slices: Arc::default(), usable: 0, known: 0 }));
        }
        catalogue.set(name(2), None);
        catalogue.set(name(9), None);
        let mut seen = Vec::new();
        loop {
            let part = catalogue.after(seen.last(), 3);
            if part.is_empty() {
                break;
            }
            seen.extend(part.into_iter().map(|entry| entry.service.name.clone()));
        }
        assert_eq!(seen, [0, 1, 3, 4].map(name));
        assert_eq!((catalogue.len(), catalogue.is_empty()), (4, false));
        assert_eq!((catalogue.has(&name(1)), catalogue.has(&name(2))), (true, false));
    }
}
