//! What DNS is told, and when: an answer changes only after the kernel has the rules for the change.
//!
//! ```text
//! Change --note--> noted --fold_end--+-- no rules belong to it --> told at once
//!                                    +-- rules belong to it --> waiting --committed--> told
//! ```
//!
//! * Nothing is told before the first sync has succeeded; then everything, and [`Update::Synced`].
//! * Headless and ExternalName Services, and those without a VIP or of another proxy, have no rules: they wait for no
//!   sync, nor for `minSyncPeriod`. Namespaces, Pods and ServiceImports have none either.
//! * What happens within a batch is told at its end, in one piece.
//! * Only names are kept, of what changed since it was told: at most as many as there are Services, and as DNS knows.
//! * Nothing walks over all Services, except the first time.

use std::sync::Arc;

use dns_names::Update;
use model::{Change, NamespacedName, Service, ServiceEntry, Store};
use rustc_hash::{FxHashMap, FxHashSet};
use sources::kubernetes::Stats;

use crate::metrics::now_seconds;
use crate::self_probe::is_canary;

/// Takes what is new; called on the sync thread, so it must not block.
pub(crate) type Tell = Box<dyn FnMut(News) + Send>;

/// What is new.
#[derive(Default)]
pub(crate) struct News {
    /// For [`dns_names::Names::apply`], in this order.
    pub(crate) updates: Vec<Update>,
    /// For each headless Service among them whose slices say when their cause happened: how long ago that is, in seconds.
    pub(crate) delays: Vec<f64>,
}

/// Follows the changes of the store.
pub(crate) struct DnsFeed {
    tell: Tell,
    /// Says whether the state is a snapshot's.
    is_stale: Box<dyn FnMut() -> bool + Send>,
    stale: bool,
    /// Everything was told once.
    begun: bool,
    open_batches: u32,
    /// When the cause of the next slice's change happened, in milliseconds since 1970.
    cause: Option<u64>,
    /// Services that changed since the last fold ended.
    noted: FxHashMap<NamespacedName, Noted>,
    /// Services that wait for the kernel.
    waiting: FxHashMap<NamespacedName, Noted>,
    others: Others,
}

/// How a Service was when it was noted first: as DNS knows it, if it was not waiting then.
#[derive(Clone, Copy, Debug)]
struct Noted {
    was: Was,
    cause: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Was {
    /// DNS does not know it.
    Absent,
    /// Without rules.
    Free,
    /// With rules.
    Bound,
}

impl Was {
    fn of(service: Option<&Arc<Service>>) -> Self {
        match service {
            None => Self::Absent,
            Some(service) if service.is_proxied() => Self::Bound,
            Some(_) => Self::Free,
        }
    }
}

/// What no rules belong to.
#[derive(Default)]
struct Others {
    imports: FxHashSet<NamespacedName>,
    namespaces: FxHashSet<Arc<str>>,
    pods: FxHashSet<NamespacedName>,
}

impl DnsFeed {
    /// Tells nothing yet. `source`: the API server's counters, if the state comes from one.
    pub(crate) fn new(tell: Tell, source: Option<Arc<Stats>>) -> Self {
        Self {
            tell,
            is_stale: Box::new(move || source.as_ref().is_some_and(|source| source.snapshot().is_some())),
            stale: false,
            begun: false,
            open_batches: 0,
            cause: None,
            noted: FxHashMap::default(),
            waiting: FxHashMap::default(),
            others: Others::default(),
        }
    }

    /// Takes note of a change, before the store has it.
    pub(crate) fn note(&mut self, store: &Store, change: &Change) {
        match change {
            Change::BatchBegins => self.open_batches += 1,
            Change::BatchEnds => self.open_batches = self.open_batches.saturating_sub(1),
            _ if !self.begun => {}
            Change::Trigger { at_ms, .. } => self.cause = Some(*at_ms),
            Change::Service(service) => self.note_service(store, &service.name, None),
            Change::ServiceGone(name) => self.note_service(store, name, None),
            Change::Slice(slice) => {
                let cause = self.cause.take();
                self.note_owners(store, &slice.name);
                self.note_service(store, &slice.service, cause);
            }
            Change::ImportSlice(slice) => {
                let cause = self.cause.take();
                self.note_owners(store, &slice.slice.name);
                if slice.for_service {
                    self.note_service(store, &slice.slice.service, cause);
                }
                self.others.imports.insert(slice.import.clone());
            }
            Change::SliceGone(name) => self.note_owners(store, name),
            Change::ServiceImport(import) => drop(self.others.imports.insert(import.name.clone())),
            Change::ServiceImportGone(name) => drop(self.others.imports.insert(name.clone())),
            Change::Namespace(one) => drop(self.others.namespaces.insert(Arc::clone(&one.name))),
            Change::NamespaceGone(name) => drop(self.others.namespaces.insert(Arc::clone(name))),
            Change::Pod(pod) => drop(self.others.pods.insert(pod.name.clone())),
            Change::PodGone(name) => drop(self.others.pods.insert(name.clone())),
            _ => {}
        }
    }

    /// What the slice of this name has belonged to up to now.
    fn note_owners(&mut self, store: &Store, slice: &NamespacedName) {
        if let Some(owner) = store.slice_owner(slice) {
            self.note_service(store, owner, None);
        }
        self.others.imports.extend(store.import_slice_owner(slice).cloned());
    }

    fn note_service(&mut self, store: &Store, name: &NamespacedName, cause: Option<u64>) {
        if let Some(noted) = self.noted.get_mut(name) {
            noted.cause = earlier(noted.cause, cause);
            return;
        }
        let was = Was::of(store.entry(name).and_then(|entry| entry.service.as_ref()));
        self.noted.insert(name.clone(), Noted { was, cause });
    }

    /// The changes that came together are in the store: tells what waits for no rules.
    pub(crate) fn fold_end(&mut self, store: &Store) {
        if !self.begun || self.open_batches > 0 {
            return;
        }
        let mut news = News::default();
        for (name, noted) in std::mem::take(&mut self.noted) {
            self.sort(store, name, noted, &mut news);
        }
        self.others.tell(store, &mut news);
        self.tell_stale(&mut news);
        self.send(news);
    }

    /// Tells of a Service now, or lets it wait.
    fn sort(&mut self, store: &Store, name: NamespacedName, noted: Noted, news: &mut News) {
        let earlier = self.waiting.remove(&name);
        let noted = earlier.map_or(noted, |earlier| earlier.and(noted));
        let entry = store.entry(&name);
        match (noted.was, Was::of(entry.and_then(|entry| entry.service.as_ref()))) {
            // It came and went, or only slices speak of it: DNS never heard of it.
            (Was::Absent, Was::Absent) => {}
            (_, Was::Free) | (Was::Free, Was::Absent) => news.add(name, entry, noted.cause),
            (_, Was::Bound) | (Was::Bound, Was::Absent) => drop(self.waiting.insert(name, noted)),
        }
    }

    /// A sync has succeeded, and nothing is left to do: the kernel has all rules of the store. The first time, tells
    /// everything; else what waited.
    pub(crate) fn committed(&mut self, store: &Store) {
        if self.open_batches > 0 {
            return;
        }
        self.fold_end(store);
        let mut news = News::default();
        if self.begun {
            for (name, noted) in std::mem::take(&mut self.waiting) {
                news.add(name.clone(), store.entry(&name), noted.cause);
            }
        } else {
            self.begun = true;
            news.add_all(store);
        }
        self.tell_stale(&mut news);
        self.send(news);
    }

    /// Names are those of the last run until nothing waits for the kernel any more.
    fn tell_stale(&mut self, news: &mut News) {
        let stale = (self.is_stale)();
        if !stale && !self.waiting.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.stale, stale) != stale {
            news.updates.push(Update::Stale(stale));
        }
    }

    fn send(&mut self, news: News) {
        if !news.updates.is_empty() {
            (self.tell)(news);
        }
    }
}

impl Noted {
    /// What is known of one that waits, and has changed again.
    fn and(self, later: Self) -> Self {
        Self { was: self.was, cause: earlier(self.cause, later.cause) }
    }
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

impl Others {
    fn tell(&mut self, store: &Store, news: &mut News) {
        let updates = &mut news.updates;
        for name in self.namespaces.drain() {
            let now = store.namespace(&name).cloned();
            updates.push(Update::Namespace(name, now));
        }
        for name in self.pods.drain() {
            updates.push(store.pod(&name).cloned().map_or(Update::PodGone(name), Update::Pod));
        }
        for name in self.imports.drain() {
            let now = store.import(&name).filter(|entry| entry.import.is_some()).cloned();
            updates.push(Update::Import(name, now));
        }
    }
}

impl News {
    /// Everything that a store has; it need not be all there is.
    pub(crate) fn of(store: &Store) -> Self {
        let mut news = Self::default();
        news.add_all(store);
        news.updates.retain(|update| !matches!(update, Update::Synced));
        news
    }

    /// The same, and that it is all there is.
    pub(crate) fn synced(mut self) -> Self {
        self.updates.push(Update::Synced);
        self
    }

    fn add(&mut self, name: NamespacedName, entry: Option<&Arc<ServiceEntry>>, cause: Option<u64>) {
        let entry = entry.filter(|entry| entry.service.is_some()).cloned();
        let headless = entry.as_ref().and_then(|entry| entry.service.as_ref()).is_some_and(|s| s.headless);
        if let Some(at_ms) = cause.filter(|_| headless) {
            self.delays.push((now_seconds() - at_ms as f64 / 1000.0).max(0.0));
        }
        self.updates.push(Update::Service(name, entry));
    }

    fn add_all(&mut self, store: &Store) {
        let updates = &mut self.updates;
        let namespaces = store.namespaces();
        updates.extend(namespaces.map(|one| Update::Namespace(Arc::clone(&one.name), Some(Arc::clone(one)))));
        updates.extend(store.pods().map(|pod| Update::Pod(Arc::clone(pod))));
        let imports = store.imports();
        updates.extend(imports.map(|(name, entry)| Update::Import(name.clone(), Some(Arc::clone(entry)))));
        let services = store.entries().filter(|(name, _)| !is_canary(name));
        updates.extend(services.map(|(name, entry)| Update::Service(name.clone(), Some(Arc::clone(entry)))));
        updates.push(Update::Synced);
    }
}

#[cfg(test)]
#[path = "dns_feed_tests.rs"]
mod tests;
