//! What all kinds share: where changes go, and whether the whole first list is there.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use model::{Change, Problem};
use tokio::sync::Notify;

use super::book::Book;
use super::problems::about;
use super::stats::Stats;
use super::trouble::Trouble;
use super::watched::TARGETS;
use super::{Kubernetes, Limits};
use crate::k8s::{Decoder, Kept};

/// Shared by all that runs on the one thread of the source; nothing here is held across a wait.
pub(super) struct Hub<'a> {
    sink: RefCell<&'a mut dyn FnMut(Change) -> bool>,
    refused: Cell<bool>,
    end: Notify,
    pub(super) books: [RefCell<Book>; TARGETS.len()],
    pub(super) decoder: RefCell<Decoder>,
    pub(super) stats: Arc<Stats>,
    pub(super) limits: Limits,
    /// Kinds that are watched.
    pub(super) followed: [bool; TARGETS.len()],
    /// Kinds whose first list is not there, and not known to be absent either.
    awaited: Cell<[bool; TARGETS.len()]>,
    synced: Cell<bool>,
    /// A Problem about the snapshot is in force.
    snapshot_told: Cell<bool>,
    /// What keeps every request from the server.
    pub(super) link_trouble: RefCell<Trouble>,
    /// When the last byte of a list or of first events came.
    received: Cell<Option<Instant>>,
    /// The same for the list of each kind that is on its way now.
    arriving: Cell<[Option<Instant>; TARGETS.len()]>,
}

impl<'a> Hub<'a> {
    /// One for these kinds, of whose objects this is kept. `causes`: whether it is told which object a change is about.
    pub(super) fn new(
        sink: &'a mut dyn FnMut(Change) -> bool,
        followed: [bool; TARGETS.len()],
        kept: Kept,
        causes: bool,
        stats: Arc<Stats>,
        limits: Limits,
    ) -> Self {
        Self {
            sink: RefCell::new(sink),
            refused: Cell::new(false),
            end: Notify::new(),
            books: TARGETS.map(|target| RefCell::new(Book::new(target.kind, causes))),
            decoder: RefCell::new(Decoder::new(kept)),
            stats,
            link_trouble: RefCell::new(Trouble::new("connection to the API server".into(), limits.say_again)),
            limits,
            followed,
            awaited: Cell::new(followed),
            synced: Cell::new(false),
            snapshot_told: Cell::new(false),
            received: Cell::new(None),
            arriving: Cell::new([None; TARGETS.len()]),
        }
    }

    /// Sends a change. Once nobody wants them any more, [`Self::ended`] is ready.
    pub(super) fn send(&self, change: Change) {
        // The first list is one cause, which everybody knows.
        if matches!(change, Change::Cause(_)) && !self.synced.get() {
            return;
        }
        if !self.refused.get() && !(self.sink.borrow_mut())(change) {
            self.refused.set(true);
            self.end.notify_one();
        }
    }

    /// Waits until nobody wants changes any more.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// The first list of a kind is there, or known to be absent.
    pub(super) fn listed(&self, index: usize) {
        let mut awaited = self.awaited.get();
        awaited[index] = false;
        self.awaited.set(awaited);
        if !awaited.contains(&true) {
            self.sync();
            if self.stats.snapshot().is_some() {
                tracing::info!("kubernetes: the state is the API server's again, no longer the snapshot's");
                self.stats.set_snapshot(None);
            }
            if self.snapshot_told.take() {
                self.send(Change::ProblemSolved(about("snapshot")));
            }
        }
    }

    /// The kinds whose first list is not there yet.
    pub(super) fn awaited(&self) -> impl Iterator<Item = usize> {
        self.awaited.get().into_iter().enumerate().filter_map(|(index, awaited)| awaited.then_some(index))
    }

    /// Says [`Change::Synced`], once.
    pub(super) fn sync(&self) {
        if !self.synced.replace(true) {
            self.send(Change::Synced(Kubernetes::NAME));
        }
    }

    /// Tells something about the snapshot, to be taken back once the API server has told everything.
    pub(super) fn tell_of_snapshot(&self, message: String) {
        self.snapshot_told.set(true);
        self.send(Change::Problem(Problem { subject: about("snapshot"), field: String::new(), message }));
    }

    /// Whether that was said.
    pub(super) fn is_synced(&self) -> bool {
        self.synced.get()
    }

    /// Whether a kind without which nothing works is not listed yet.
    pub(super) fn awaits_required(&self) -> bool {
        let awaited = self.awaited.get();
        TARGETS.iter().zip(awaited).any(|(target, awaited)| target.watched.required && awaited)
    }

    /// Bytes of a body came; `is_list`: of a list or of first events.
    pub(super) fn receive(&self, index: usize, bytes: usize, is_list: bool) {
        self.stats.kind(index).bytes.fetch_add(bytes as u64, Relaxed);
        if is_list {
            self.received.set(Some(Instant::now()));
            self.arrives(index, Some(Instant::now()));
        }
    }

    /// The request of a kind is over: what came of a list that failed is no progress.
    pub(super) fn request_ended(&self, index: usize) {
        self.arrives(index, None);
    }

    fn arrives(&self, index: usize, at: Option<Instant>) {
        let mut arriving = self.arriving.get();
        arriving[index] = at;
        self.arriving.set(arriving);
    }

    /// Whether the list of a kind that is on its way has got on within this time.
    pub(super) fn gets_on(&self, index: usize, time: Duration) -> bool {
        self.arriving.get()[index].is_some_and(|at| at.elapsed() < time)
    }

    /// Whether a list has got on within this time.
    pub(super) fn has_received_within(&self, time: Duration) -> bool {
        self.received.get().is_some_and(|at| at.elapsed() < time)
    }

    /// Counts what is known of a kind.
    pub(super) fn count(&self, index: usize) {
        let (book, stats) = (self.books[index].borrow(), self.stats.kind(index));
        stats.objects.store(book.len() as u64, Relaxed);
        stats.problems.store(book.problems() as u64, Relaxed);
    }
}
