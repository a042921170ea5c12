//! One kind's objects, and the bounded history of what happened to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::feed::{Change, Feed, Message};
use crate::object::Revision;
use crate::selector::Selector;

/// Something that happened to one object.
#[derive(Debug)]
pub(crate) struct Event {
    pub version: u64,
    /// What the object was before.
    pub before: Option<Arc<Revision>>,
    /// What it is now; at a deletion `None`.
    pub after: Option<Arc<Revision>>,
}

impl Event {
    /// What a watcher with this selector sees of it.
    pub fn seen_by(&self, selector: &Selector) -> Option<(Change, Arc<Revision>)> {
        let was = self.before.as_ref().filter(|it| selector.matches(it));
        let is = self.after.as_ref().filter(|it| selector.matches(it));
        match (was, is) {
            (None, Some(now)) => Some((Change::Added, now.clone())),
            (Some(_), Some(now)) => Some((Change::Modified, now.clone())),
            (Some(gone), None) => Some((Change::Deleted, Arc::new(gone.at(self.version)))),
            (None, None) => None,
        }
    }

    fn key(&self) -> String {
        self.after.as_ref().or(self.before.as_ref()).map(|it| it.key()).unwrap_or_default()
    }
}

/// The objects of one kind.
#[derive(Default)]
pub(crate) struct Table {
    pub objects: BTreeMap<String, Arc<Revision>>,
    history: VecDeque<Arc<Event>>,
    /// Nothing is known of what happened up to here.
    pub forgotten: u64,
    /// Up to where the cache of a real server knows that it knows everything: the last event, or a later progress
    /// mark, which a consistent read or a bookmark brings.
    pub known: u64,
    feeds: Vec<Feed>,
}

impl Table {
    /// Keeps an object's new version, or its deletion, and tells the watchers.
    pub fn commit(&mut self, event: Event, keep: usize) {
        let key = event.key();
        match &event.after {
            Some(now) => self.objects.insert(key, now.clone()),
            None => self.objects.remove(&key),
        };
        self.known = event.version;
        let event = Arc::new(event);
        self.feeds.retain(|feed| feed.offer(&event));
        self.history.push_back(event);
        while self.history.len() > keep {
            self.forgotten = self.history.pop_front().map_or(self.forgotten, |it| it.version);
        }
    }

    /// Forgets the history.
    pub fn compact(&mut self, version: u64) {
        self.history.clear();
        self.forgotten = version;
        // A list never names a version that cannot be watched.
        self.known = self.known.max(version);
    }

    /// What happened after a version, in order.
    pub fn since(&self, version: u64) -> impl Iterator<Item = &Arc<Event>> {
        let start = self.history.partition_point(|event| event.version <= version);
        self.history.iter().skip(start)
    }

    /// The objects as they were at a version, if that is still known.
    pub fn at(&self, version: u64) -> Option<BTreeMap<String, Arc<Revision>>> {
        if version < self.forgotten {
            return None;
        }
        let mut objects = self.objects.clone();
        let later: Vec<_> = self.since(version).collect();
        for event in later.into_iter().rev() {
            match &event.before {
                Some(before) => objects.insert(event.key(), before.clone()),
                None => objects.remove(&event.key()),
            };
        }
        Some(objects)
    }

    /// Adds a watcher.
    pub fn join(&mut self, feed: Feed) {
        self.feeds.retain(Feed::is_open);
        self.feeds.push(feed);
    }

    /// How many watchers there are.
    pub fn watchers(&self) -> usize {
        self.feeds.iter().filter(|feed| feed.is_open()).count()
    }

    /// Sends something to all watchers, or to one.
    pub fn tell(&mut self, only: Option<u64>, message: &Message) {
        self.feeds.retain(|feed| only.is_some_and(|id| id != feed.id) || feed.send(message.clone()));
    }
}
