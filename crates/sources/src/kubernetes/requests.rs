//! What the agent asks of the API server besides watching: Events, and taking a taint off its own Node.

use std::sync::Arc;

use tokio::sync::mpsc;

/// Requests that may wait; what comes on top of them is dropped.
const QUEUE: usize = 64;

/// What an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// The Node that this program runs on.
    Node,
    /// A Service.
    Service {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// Its uid, if it is known.
        uid: Option<Arc<str>>,
    },
}

/// One Event to be written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventRequest {
    /// What it is about.
    pub about: About,
    /// A word for programs, in CamelCase.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Whether it is a Warning; Normal otherwise.
    pub warning: bool,
}

/// One request that waits.
#[derive(Debug)]
pub(super) enum Request {
    Event(EventRequest),
    RemoveTaint(String),
}

/// Takes requests; they are handled by the thread that [`super::Kubernetes::run`] blocks. Copies are cheap.
#[derive(Clone, Debug)]
pub struct Requests {
    queue: mpsc::Sender<Request>,
}

impl Requests {
    pub(super) fn pair() -> (Self, mpsc::Receiver<Request>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        (Self { queue }, waiting)
    }

    /// Asks for an Event. Equal ones are merged, and few are written in a short time. Never waits; `false` when the queue
    /// is full or nobody handles it any more.
    pub fn event(&self, event: EventRequest) -> bool {
        self.queue.try_send(Request::Event(event)).is_ok()
    }

    /// Asks for every taint with this key to be taken off the own Node, as long as it takes. Never waits.
    pub fn remove_taint(&self, key: impl Into<String>) -> bool {
        self.queue.try_send(Request::RemoveTaint(key.into())).is_ok()
    }
}
