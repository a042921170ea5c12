//! What is known of the objects of one kind: enough to send only what changed. The objects themselves are not kept.
//!
//! ```text
//! first list   --> each object at once             (nothing is programmed before Synced)
//! later list   --> what differs, held back --commit--> one batch, with what is gone; --abort--> nothing
//! event        --> the object, if it differs
//! ```
//!
//! A bad object is a Problem, and what was known of it stays in force. An object whose very name cannot be read might be
//! any: after a list with such a one, nothing counts as gone.

use std::sync::Arc;
use std::time::Instant;

use model::{Cause, Change, IpFamily, NamespacedName};
use rustc_hash::FxHashMap;

use super::problems::Problems;
use crate::k8s::{Kind, ObjectKey, fingerprint};

/// Takes changes.
pub(super) type Out<'a> = dyn FnMut(Change) + 'a;

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) kind: Kind,
    pub(super) known: FxHashMap<NamespacedName, Known>,
    /// Names a list: what it has seen bears its number.
    pub(super) round: u32,
    pub(super) listing: Option<Listing>,
    /// A list has been taken over wholly.
    complete: bool,
    pub(super) problems: Problems,
    /// Whether a [`Change::Cause`] is sent before each change.
    causes: bool,
}

/// What comes with an object, and is no part of its state.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside {
    /// When the cause of this version of a slice happened.
    pub(super) trigger: Option<u64>,
    /// The object's version.
    pub(super) version: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) print: u64,
    pub(super) round: u32,
}

/// A list on its way.
#[derive(Debug, Default)]
pub(super) struct Listing {
    held: FxHashMap<NamespacedName, Held>,
    /// It has an object whose name cannot be read.
    pub(super) nameless: bool,
}

#[derive(Debug)]
struct Held {
    print: u64,
    change: Change,
    aside: Aside,
}

impl Book {
    /// An empty one. `causes`: whether a [`Change::Cause`] is sent before each change.
    pub(super) fn new(kind: Kind, causes: bool) -> Self {
        Self {
            kind,
            known: FxHashMap::default(),
            round: 0,
            listing: None,
            complete: false,
            problems: Problems::default(),
            causes,
        }
    }

    /// How many objects are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether a list has been taken over.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// How many objects have Problems.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// A list begins; one that had begun is dropped.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.listing = Some(Listing::default());
    }

    /// The list that had begun changes nothing.
    pub(super) fn abort(&mut self) {
        self.listing = None;
    }

    /// The list is complete: sends what it changes, as one batch, and returns whether anything did.
    pub(super) fn commit(&mut self, out: &mut Out<'_>) -> bool {
        let Some(Listing { held, nameless }) = self.listing.take() else { return false };
        let (round, first) = (self.round, !self.complete);
        let gone: Vec<NamespacedName> = self
            .known
            .iter()
            .filter(|(name, known)| !nameless && known.round != round && !held.contains_key(*name))
            .map(|(name, _)| name.clone())
            .collect();
        let changed = !held.is_empty() || !gone.is_empty();
        if changed {
            out(Change::BatchBegins);
        }
        for name in gone {
            self.known.remove(&name);
            self.tell_cause(&name, None, true, out);
            out(ObjectKey { kind: self.kind, name }.gone());
        }
        for (name, Held { print, change, aside: Aside { trigger, version } }) in held {
            self.tell_cause(&name, version, false, out);
            self.known.insert(name, Known { print, round });
            send(change, trigger.filter(|_| !first), out);
        }
        if changed {
            out(Change::BatchEnds);
        }
        self.problems.end_of_list(self.kind, round, nameless, out);
        self.complete = true;
        changed
    }

    /// An object of a snapshot, unless something newer is known of it.
    pub(super) fn seed(&mut self, name: &NamespacedName, change: Change, out: &mut Out<'_>) {
        if !self.complete && !self.known.contains_key(name) {
            // Of no round: a list that is on its way must not take it as seen.
            let round = self.round.wrapping_sub(1);
            self.known.insert(name.clone(), Known { print: fingerprint(&change), round });
            out(change);
        }
    }

    pub(super) fn take(
        &mut self,
        name: NamespacedName,
        change: Change,
        aside: Aside,
        at_once: bool,
        out: &mut Out<'_>,
    ) {
        let (print, round) = (fingerprint(&change), self.round);
        let known = self.known.get_mut(&name);
        let same = known.as_ref().is_some_and(|known| known.print == print);
        if let Some(known) = known {
            known.round = round;
        }
        match &mut self.listing {
            Some(listing) if !at_once && same => {
                listing.held.remove(&name);
            }
            Some(listing) if !at_once => {
                listing.held.insert(name, Held { print, change, aside });
            }
            _ if same => {}
            listing => {
                let trigger = aside.trigger.filter(|_| listing.is_none() && self.complete);
                self.tell_cause(&name, aside.version, false, out);
                self.known.insert(name, Known { print, round });
                send(change, trigger, out);
            }
        }
    }

    /// `version`: that of the object's last state, if it is known.
    pub(super) fn remove(
        &mut self,
        key: &ObjectKey,
        version: Option<Box<str>>,
        at_once: bool,
        out: &mut Out<'_>,
    ) {
        match &mut self.listing {
            Some(listing) if !at_once => {
                listing.held.remove(&key.name);
                if let Some(known) = self.known.get_mut(&key.name) {
                    known.round = self.round.wrapping_sub(1);
                }
            }
            _ => {
                if self.known.remove(&key.name).is_some() {
                    self.tell_cause(&key.name, version, true, out);
                    out(key.gone());
                }
            }
        }
    }

    fn tell_cause(&self, name: &NamespacedName, version: Option<Box<str>>, gone: bool, out: &mut Out<'_>) {
        if self.causes {
            let (kind, name, received) = (self.kind.as_str(), name.clone(), Instant::now());
            out(Change::Cause(Box::new(Cause { kind, name, version, gone, received })));
        }
    }
}

fn send(change: Change, trigger: Option<u64>, out: &mut Out<'_>) {
    let family: Option<IpFamily> = match &change {
        Change::Slice(slice) => Some(slice.family),
        Change::ImportSlice(slice) => Some(slice.slice.family),
        _ => None,
    };
    if let (Some(family), Some(at_ms)) = (family, trigger) {
        out(Change::Trigger { family, at_ms });
    }
    out(change);
}

/// The name of an object, by the change that brings it.
pub(super) fn name_of(change: &Change) -> Option<(Kind, NamespacedName)> {
    let plain = |name: &Arc<str>| NamespacedName::new("", Arc::clone(name));
    Some(match change {
        Change::Service(service) => (Kind::Service, service.name.clone()),
        Change::Slice(slice) => (Kind::EndpointSlice, slice.name.clone()),
        Change::Node(node) => (Kind::Node, plain(&node.name)),
        Change::ServiceCidr { name, .. } => (Kind::ServiceCidr, plain(name)),
        Change::Namespace(namespace) => (Kind::Namespace, plain(&namespace.name)),
        Change::ImportSlice(slice) => (Kind::EndpointSlice, slice.slice.name.clone()),
        Change::ServiceImport(import) => (Kind::ServiceImport, import.name.clone()),
        Change::Pod(pod) => (Kind::Pod, pod.name.clone()),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
