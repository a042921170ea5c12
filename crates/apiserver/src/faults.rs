//! What can go wrong on request: rules for requests, things put into streams that are open, and the state of all
//! connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::feed::Message;
use crate::inject::Injection;
use crate::rules::{Fault, Rule};
use crate::store::Store;

/// The state of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LinkState {
    /// Nothing is read or sent; new connections are accepted and ignored.
    pub frozen: bool,
    /// Nobody listens.
    pub refusing: bool,
    /// Counts what was done to all connections of a time.
    pub epoch: u64,
    /// Connections older than this are to be dropped.
    pub dropped_before: u64,
    /// Connections older than this are frozen.
    pub stranded_before: u64,
}

/// The switches. Clones are the same switches.
#[derive(Clone)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Rule>>>,
    pub(crate) links: Arc<watch::Sender<LinkState>>,
    /// What the listeners do; to wait for them.
    pub(crate) listening: Arc<ListenerState>,
    store: Store,
}

/// Whether the listeners listen, and a bell for those who wait for it.
#[derive(Default)]
pub(crate) struct ListenerState {
    pub open: Mutex<bool>,
    pub bell: std::sync::Condvar,
}

impl ListenerState {
    pub fn set(&self, open: bool) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
        self.bell.notify_all();
    }

    fn wait(&self, wanted: bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while *open != wanted {
            open = self.bell.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Faults {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            rules: Arc::default(),
            links: Arc::new(watch::Sender::new(LinkState::default())),
            listening: Arc::default(),
            store: store.clone(),
        }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. Earlier rules come first.
    pub fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Takes all rules away, thaws, and listens again.
    pub fn clear(&self) {
        self.remove_rules();
        self.freeze(false);
        self.refuse(false);
    }

    /// Takes all rules away.
    pub fn remove_rules(&self) {
        self.rules().clear();
    }

    /// The rules that are in force.
    pub fn current(&self) -> Vec<Rule> {
        self.rules().clone()
    }

    /// A black hole: connections stay as they are, new ones are accepted, nothing is read, nothing is sent. `false` lets
    /// stranded connections go on, too.
    pub fn freeze(&self, frozen: bool) {
        self.links.send_modify(|state| {
            state.frozen = frozen;
            if !frozen {
                state.stranded_before = 0;
            }
        });
    }

    /// Closes the listeners and drops all connections, so that new ones are refused; or listens again on the same
    /// ports. Returns when it is so.
    pub fn refuse(&self, refusing: bool) {
        self.start_refusing(refusing);
        self.listening.wait(!refusing);
    }

    /// [`Faults::refuse`] for those who cannot wait.
    pub(crate) fn start_refusing(&self, refusing: bool) {
        self.links.send_modify(|state| state.refusing = refusing);
        if refusing {
            self.drop_connections();
        }
    }

    /// Drops all connections that there are.
    pub fn drop_connections(&self) {
        self.links.send_modify(|state| {
            state.epoch += 1;
            state.dropped_before = state.epoch;
        });
    }

    /// Freezes all connections that there are; new ones work. So it looks when a gateway has forgotten them.
    pub fn strand_connections(&self) {
        self.links.send_modify(|state| {
            state.epoch += 1;
            state.stranded_before = state.epoch;
        });
    }

    /// Puts something into all open watches of a resource, or of all; says into how many.
    pub fn inject(&self, resource: Option<&str>, injection: &Injection) -> usize {
        self.store.tell(resource, |resource, table| injection.message(resource, table))
    }

    /// Ends all open watches of a resource, or of all, as the server does when their time is over.
    pub fn end_watches(&self, resource: Option<&str>) -> usize {
        self.store.tell(resource, |_, _| Message::End)
    }

    /// Forgets all history: old watches and old pages get 410.
    pub fn compact(&self) {
        self.store.compact();
    }

    /// The fault of the first rule that fits; it is used up by this.
    pub(crate) fn take(&self, resource: &str, verb: &str, watch_list: bool) -> Option<Fault> {
        let mut rules = self.rules();
        let index = rules.iter().position(|rule| rule.fits(resource, verb, watch_list))?;
        let fault = rules[index].fault.clone();
        if let Some(times) = &mut rules[index].times {
            *times -= 1;
            if *times == 0 {
                rules.remove(index);
            }
        }
        Some(fault)
    }
}
