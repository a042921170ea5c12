//! The store's side of lists and watches: snapshots, subscriptions, and what all watchers are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::Receiver;

use crate::feed::{Change, Feed, Message};
use crate::history::Table;
use crate::object::Revision;
use crate::resources::{RESOURCES, Resource};
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Store;

/// A watch that has begun: what to send first, then the queue.
pub(crate) struct Subscription {
    pub id: u64,
    pub first: Vec<(Change, Arc<Revision>)>,
    /// The version that the first part stands for.
    pub version: u64,
    pub queue: Receiver<Message>,
}

impl Store {
    /// Sends a bookmark to all watchers of a kind that take bookmarks.
    pub fn bookmark(&self, plural: &str) {
        if let Some(resource) = Resource::named(plural) {
            self.bookmark_for(resource, None);
        }
    }

    /// Queues a bookmark behind all that was queued before, for all watchers or for one.
    pub(crate) fn bookmark_for(&self, resource: &'static Resource, only: Option<u64>) {
        let mut state = self.lock();
        let version = state.version;
        let table = state.table(resource);
        table.known = version;
        table.tell(only, &Message::Bookmark(version));
    }

    /// Sends something else to all watchers of a kind, or of all kinds; says to how many.
    pub(crate) fn tell(
        &self,
        plural: Option<&str>,
        message: impl Fn(&'static Resource, &Table) -> Message,
    ) -> usize {
        let mut state = self.lock();
        let mut told = 0;
        for (resource, table) in RESOURCES.iter().zip(&mut state.tables) {
            if plural.is_none_or(|plural| plural == resource.plural) {
                told += table.watchers();
                let message = message(resource, table);
                table.tell(None, &message);
            }
        }
        told
    }

    /// How many watches of a kind are open.
    pub fn watchers(&self, plural: &str) -> usize {
        Resource::named(plural).map_or(0, |resource| self.lock().table(resource).watchers())
    }

    /// Begins a watch. From `Some(version)` come the events after it; with `None` first come all objects there are.
    pub(crate) fn watch(
        &self,
        resource: &'static Resource,
        selector: &Selector,
        from: Option<u64>,
    ) -> Result<Subscription, ApiError> {
        let id = self.rules.watcher_ids.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        let version = state.version;
        let table = state.table(resource);
        let first = match from {
            Some(from) if from < table.forgotten => return Err(ApiError::too_old(from, table.forgotten)),
            Some(from) => table.since(from).filter_map(|event| event.seen_by(selector)).collect(),
            None => {
                table.known = version;
                let objects = table.objects.values().filter(|object| selector.matches(object));
                objects.map(|object| (Change::Added, object.clone())).collect()
            }
        };
        let (feed, queue) = Feed::new(id, selector.clone(), from.unwrap_or(0).max(version), self.rules.queue);
        table.join(feed);
        Ok(Subscription { id, first, version: version.max(from.unwrap_or(0)), queue })
    }

    /// The objects of a kind at a version, or now, and the version.
    pub(crate) fn snapshot(
        &self,
        resource: &'static Resource,
        version: Option<u64>,
    ) -> Option<BTreeMap<String, Arc<Revision>>> {
        let mut state = self.lock();
        let current = state.version;
        state.table(resource).at(version.unwrap_or(current))
    }
}
