//! The self-probe (opt-in): the agent connects to itself through a frontend of its own, so that "healthy" means that packets
//! really flow.
//!
//! ```text
//! Canary (sync thread): a Service and its slices, by what is known of the node --> Store -> resolve -> dataplane, as any other
//! Prober (own thread):  connect to the frontend --kernel--> own server on the node's own address --> outcome
//! Judge:                three failures in a row --> /healthz and /readyz, log, Event, metric
//! ```
//!
//! What cannot be tried (no route, no address of ours) says nothing about the rules, and counts for nothing.

mod canary;
mod judge;
mod prober;
mod server;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use canary::{Canary, is_canary, is_canarys};
pub(crate) use judge::Outcome;
pub(crate) use prober::Prober;

/// One family's way through the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The address that the rules lead to [`Self::own`].
    pub(crate) frontend: IpAddr,
    /// An address of this node.
    pub(crate) own: IpAddr,
}

/// Where the canary is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// At most one of each family.
    pub(crate) paths: Vec<Path>,
    /// All addresses of this node: nobody else is answered.
    pub(crate) own: Vec<IpAddr>,
}

/// The place, as the sync thread tells it to the prober.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Place>>);

impl Shared {
    fn get(&self) -> Place {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, place: Place) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}
