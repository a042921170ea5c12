//! What waits for the servers: the latest state of each Service.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use model::NamespacedName;
use tokio::sync::Notify;

use super::{Addresses, Wanted};

/// Says what is wanted, from any thread. Never waits for the servers.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Arc<Inbox>);

impl Handle {
    /// What this Service needs from now on; `None` if it needs no server any more, or is gone. What was said before
    /// about it and waits is forgotten. Saying the same again costs little and changes nothing.
    pub fn set(&self, service: NamespacedName, wanted: Option<Wanted>) {
        self.0.put(|waiting| {
            waiting.services.insert(service, wanted);
        });
    }

    /// Where all servers listen from now on. Listeners on addresses that stay are left alone.
    pub fn set_addresses(&self, addresses: Addresses) {
        self.0.put(|waiting| waiting.addresses = Some(addresses));
    }
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    pub(super) wake: Notify,
}

/// In the order of names, so that of two Services that want one port it is always the same that gets it.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) services: BTreeMap<NamespacedName, Option<Wanted>>,
    pub(super) addresses: Option<Addresses>,
}

impl Inbox {
    fn put(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    pub(super) fn take(&self) -> Waiting {
        mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
