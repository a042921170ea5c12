//! A log of the requests, so that tests can say what a client did and what it did not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::query::Query;

/// How many requests are remembered.
const MOST: usize = 200_000;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// `list`, `watch`, `get`, `create`, `update`, `patch`, `delete`, `deletecollection`; `GET` for what is no resource; empty
    /// for what is not possible.
    pub verb: String,
    /// The plural name; empty for what is no resource.
    pub resource: String,
    /// How it was done.
    pub mode: Mode,
    /// The path.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// `User-Agent`.
    pub agent: String,
    /// The HTTP version: 1 or 2.
    pub http: u8,
    /// The status of the answer; 0 if there was none.
    pub status: u16,
}

/// How a list or a watch was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A list from the watch cache: `resourceVersion=0`.
    CachedList,
    /// A list of the newest state.
    ConsistentList,
    /// A list of a version or not older than one.
    ListAtVersion,
    /// A page after the first.
    NextPage,
    /// A watch from a version.
    Watch,
    /// A watch without a version: everything first.
    WatchFromNothing,
    /// A watch that sends the state first: `sendInitialEvents=true`.
    WatchList,
    /// Neither list nor watch.
    Other,
}

impl Mode {
    pub(crate) fn of(verb: &str, query: &Query) -> Self {
        match (verb, query.get("resourceVersion")) {
            ("watch", _) if query.flag("sendInitialEvents") => Self::WatchList,
            ("watch", "" | "0") => Self::WatchFromNothing,
            ("watch", _) => Self::Watch,
            ("list", _) if !query.get("continue").is_empty() => Self::NextPage,
            ("list", "") => Self::ConsistentList,
            ("list", "0") => Self::CachedList,
            ("list", _) => Self::ListAtVersion,
            _ => Self::Other,
        }
    }
}

/// The log. Clones are the same log.
#[derive(Clone, Default)]
pub struct Requests(Arc<Log>);

#[derive(Default)]
struct Log {
    entries: Mutex<Vec<Request>>,
    bell: Condvar,
    connections: AtomicUsize,
    accepted: AtomicUsize,
}

impl Requests {
    pub(crate) fn push(&self, request: Request) {
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < MOST {
            entries.push(request);
        }
        self.0.bell.notify_all();
    }

    /// All requests, in the order of their answers. A list or a watch is here when its answer begins.
    pub fn all(&self) -> Vec<Request> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests fit.
    pub fn count(&self, fits: impl Fn(&Request) -> bool) -> usize {
        let entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|request| fits(request)).count()
    }

    /// How many requests with this verb and resource there were.
    pub fn of(&self, verb: &str, resource: &str) -> usize {
        self.count(|request| request.verb == verb && request.resource == resource)
    }

    /// How many requests for a resource there were in this mode.
    pub fn in_mode(&self, resource: &str, mode: Mode) -> usize {
        self.count(|request| request.resource == resource && request.mode == mode)
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until at least so many requests fit; false if the time is over first.
    pub fn wait(&self, at_least: usize, timeout: Duration, fits: impl Fn(&Request) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while entries.iter().filter(|request| fits(request)).count() < at_least {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            entries = self.0.bell.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Counts a connection as long as the guard lives.
    pub(crate) fn connected(&self) -> Connected {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Connected(self.clone())
    }
}

/// A connection that is open.
pub(crate) struct Connected(Requests);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
