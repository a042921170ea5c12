//! The bounded queue between the store and one watcher.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::history::Event;
use crate::object::Revision;
use crate::selector::Selector;

/// What a watch event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// As it stands in the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// What a watcher gets.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Event(Change, Arc<Revision>),
    /// A version up to which everything was sent.
    Bookmark(u64),
    /// Sent as it is.
    Raw(Bytes),
    /// Sent as it is, then the connection breaks.
    Break(Bytes),
    /// The server ends the stream.
    End,
}

/// The store's end of the queue.
pub(crate) struct Feed {
    pub id: u64,
    selector: Selector,
    /// Only what happens after this version.
    after: u64,
    queue: Sender<Message>,
}

impl Feed {
    /// A queue for `capacity` messages.
    pub fn new(id: u64, selector: Selector, after: u64, capacity: usize) -> (Self, Receiver<Message>) {
        let (queue, receiver) = channel(capacity);
        (Self { id, selector, after, queue }, receiver)
    }

    /// Queues an event if the watcher asked for it; false if the watcher is gone or too slow.
    pub fn offer(&self, event: &Event) -> bool {
        if event.version <= self.after {
            return self.is_open();
        }
        match event.seen_by(&self.selector) {
            Some((change, object)) => self.send(Message::Event(change, object)),
            None => self.is_open(),
        }
    }

    /// Queues a message; false if the watcher is gone or too slow.
    pub fn send(&self, message: Message) -> bool {
        self.queue.try_send(message).is_ok()
    }

    /// Whether the watcher is still there.
    pub fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }
}
