//! What a virtual server should be, in eight bytes: enough to see that somebody else has changed it.

use std::hash::{Hash, Hasher};

use model::EndpointAddr;
use rustc_hash::FxHasher;

use crate::objects::Choice;

/// The sum over a virtual server's choice and its real servers that get new connections. Order does not matter, and
/// each part can be added or taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Takes in a real server.
    pub fn add(&mut self, endpoint: EndpointAddr, weight: u32) {
        self.0 = self.0.wrapping_add(hash((endpoint, weight)));
    }

    /// Takes a real server away.
    pub fn remove(&mut self, endpoint: EndpointAddr, weight: u32) {
        self.0 = self.0.wrapping_sub(hash((endpoint, weight)));
    }

    /// Takes in how it chooses.
    pub fn add_choice(&mut self, choice: &Choice) {
        self.0 = self.0.wrapping_add(hash(choice));
    }

    /// Takes that away.
    pub fn remove_choice(&mut self, choice: &Choice) {
        self.0 = self.0.wrapping_sub(hash(choice));
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
