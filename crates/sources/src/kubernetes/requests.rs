//! What the agent asks of the API server besides watching: Events, and taking a taint off its own Node.

use std::sync::Arc;

use tokio::sync::mpsc;

/// Events that may wait; what comes on top of them is dropped.
const QUEUE: usize = 64;
/// Taints that may wait. There are as many as the agent knows keys: one.
const TAINTS: usize = 8;

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

/// What waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) events: mpsc::Receiver<EventRequest>,
    /// The keys of taints. On their own: they wait for no Event.
    pub(super) taints: mpsc::Receiver<String>,
}

/// Takes requests; they are handled by the thread that [`super::Kubernetes::run`] blocks. Copies are cheap.
#[derive(Clone, Debug)]
pub struct Requests {
    events: mpsc::Sender<EventRequest>,
    taints: mpsc::Sender<String>,
}

impl Requests {
    pub(super) fn pair() -> (Self, Waiting) {
        let ((events, waiting_events), (taints, waiting_taints)) =
            (mpsc::channel(QUEUE), mpsc::channel(TAINTS));
        (Self { events, taints }, Waiting { events: waiting_events, taints: waiting_taints })
    }

    /// Asks for an Event. Equal ones are merged, and few are written in a short time. Never waits; `false` when the queue
    /// is full or nobody handles it any more.
    pub fn event(&self, event: EventRequest) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Asks for every taint with this key to be taken off the own Node, as long as it takes. Never waits, and is not held
    /// up by Events.
    pub fn remove_taint(&self, key: impl Into<String>) -> bool {
        self.taints.try_send(key.into()).is_ok()
    }
}
