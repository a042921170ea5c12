//! All objects, in memory: one counter of versions, one table for each kind.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::admission::{self, Allocators};
use crate::history::{Event, Table};
use crate::object::{Revision, key, meta};
use crate::options::Options;
use crate::resources::{RESOURCES, Resource};
use crate::status::ApiError;

/// The objects. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
    pub(crate) rules: Arc<StoreRules>,
}

/// What does not change while the store lives.
pub(crate) struct StoreRules {
    pub history: usize,
    pub queue: usize,
    pub bulky_managed_fields: bool,
    pub watcher_ids: AtomicU64,
}

pub(crate) struct State {
    pub version: u64,
    pub tables: Vec<Table>,
    pub allocators: Allocators,
}

impl State {
    /// The table of a kind.
    pub fn table(&mut self, resource: &'static Resource) -> &mut Table {
        &mut self.tables[resource.index()]
    }

    /// An object.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Revision>> {
        self.tables[resource.index()].objects.get(&key(namespace, name)).cloned()
    }
}

impl Store {
    /// An empty store.
    pub(crate) fn new(options: &Options) -> Self {
        let state = State {
            version: 1,
            tables: RESOURCES.iter().map(|_| Table::default()).collect(),
            allocators: Allocators::new(&options.service_cidrs),
        };
        let rules = StoreRules {
            history: options.history,
            queue: options.watch_queue,
            bulky_managed_fields: options.bulky_managed_fields,
            watcher_ids: AtomicU64::new(1),
        };
        Self { state: Arc::new(Mutex::new(state)), rules: Arc::new(rules) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates or replaces an object, with defaults as the API would set them; its status is kept as given.
    /// Says the version at which the object is now what was asked; an object that is so already does not change.
    pub fn apply(&self, object: Value) -> Result<u64, ApiError> {
        self.apply_all([object])
    }

    /// [`Store::apply`] for many objects at once, under one lock. Says the last version.
    pub fn apply_all(&self, objects: impl IntoIterator<Item = Value>) -> Result<u64, ApiError> {
        let mut state = self.lock();
        let mut version = state.version;
        for object in objects {
            let resource = kind_of(&object)?;
            version = self.apply_one(&mut state, resource, object)?.version;
        }
        Ok(version)
    }

    fn apply_one(
        &self,
        state: &mut State,
        resource: &'static Resource,
        mut object: Value,
    ) -> Result<Arc<Revision>, ApiError> {
        if resource.namespaced && meta(&object, "namespace").is_empty() {
            object["metadata"]["namespace"] = "default".into();
        }
        let old = state.get(resource, meta(&object, "namespace"), meta(&object, "name"));
        admission::prepare(self, state, resource, old.as_deref(), &mut object, "towpath-test")?;
        Ok(self.put(state, resource, old, &object))
    }

    /// Keeps a prepared object, unless it is what is there already.
    pub(crate) fn put(
        &self,
        state: &mut State,
        resource: &'static Resource,
        old: Option<Arc<Revision>>,
        object: &Value,
    ) -> Arc<Revision> {
        if let Some(old) = &old
            && Revision::new(resource, old.version, object).text() == old.text()
        {
            return old.clone();
        }
        let version = state.version + 1;
        state.version = version;
        let now = Arc::new(Revision::new(resource, version, object));
        let event = Event { version, before: old, after: Some(now.clone()) };
        state.table(resource).commit(event, self.rules.history);
        now
    }

    /// Keeps an object exactly as it is, with its own uid and times, as the version that it says, which must be
    /// later than all before; without one, as the next version.
    pub fn import(&self, object: Value) -> Result<u64, ApiError> {
        let resource = kind_of(&object)?;
        let mut state = self.lock();
        let version = meta(&object, "resourceVersion").parse().unwrap_or(state.version + 1);
        if version <= state.version {
            return Err(ApiError::bad_request(format!("version {version} is not after {}", state.version)));
        }
        state.version = version;
        state.allocators.remember(resource, &object);
        let now = Arc::new(Revision::new(resource, version, &object));
        let before = state.get(resource, &now.namespace, &now.name);
        state.table(resource).commit(Event { version, before, after: Some(now) }, self.rules.history);
        Ok(version)
    }

    /// Deletes an object; the namespace is empty for kinds without.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> Result<u64, ApiError> {
        let resource = served(plural)?;
        let mut state = self.lock();
        let old = state.get(resource, namespace, name).ok_or_else(|| ApiError::not_found(resource, name))?;
        Ok(self.remove(&mut state, old))
    }

    /// Removes an object; with a Namespace, everything in it.
    pub(crate) fn remove(&self, state: &mut State, old: Arc<Revision>) -> u64 {
        if old.resource.plural == "namespaces" {
            let within: Vec<_> =
                state.tables.iter().flat_map(|table| table.objects.values()).cloned().collect();
            for object in within.into_iter().filter(|object| object.namespace == old.name) {
                self.remove(state, object);
            }
        }
        state.allocators.forget(&old);
        let version = state.version + 1;
        state.version = version;
        let resource = old.resource;
        let event = Event { version, before: Some(old), after: None };
        state.table(resource).commit(event, self.rules.history);
        version
    }

    /// An object.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = Resource::named(plural)?;
        self.lock().get(resource, namespace, name).map(|object| object.value())
    }

    /// All objects of a kind.
    pub fn list(&self, plural: &str) -> Vec<Value> {
        let Some(resource) = Resource::named(plural) else { return Vec::new() };
        let objects: Vec<_> = self.lock().table(resource).objects.values().cloned().collect();
        objects.iter().map(|object| object.value()).collect()
    }

    /// How many objects of a kind there are.
    pub fn count(&self, plural: &str) -> usize {
        Resource::named(plural).map_or(0, |resource| self.lock().table(resource).objects.len())
    }

    /// The version of the last change of anything.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Lets versions go on after this one.
    pub fn advance_to(&self, version: u64) {
        let mut state = self.lock();
        state.version = state.version.max(version);
    }

    /// Forgets all history, as a compaction of etcd does: old watches and old pages get 410.
    pub fn compact(&self) {
        let mut state = self.lock();
        let version = state.version;
        state.tables.iter_mut().for_each(|table| table.compact(version));
    }
}

/// The kind of an object that is served.
fn kind_of(object: &Value) -> Result<&'static Resource, ApiError> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    Resource::of_kind(text("apiVersion"), text("kind")).ok_or_else(|| {
        ApiError::bad_request(format!("no kind {:?} in version {:?}", text("kind"), text("apiVersion")))
    })
}

/// A kind by its name in paths.
fn served(plural: &str) -> Result<&'static Resource, ApiError> {
    Resource::named(plural).ok_or_else(|| ApiError::new(404, "NotFound", format!("no resource {plural:?}")))
}
