//! Where changes come from: this crate turns what others say into [`model::Change`].
//!
//! ```text
//! manifest files --inotify--> manifests --text--> k8s::decode --+
//!                                                               +--> Change --> (the Store)
//! (a Kubernetes watch reads its events with the same k8s::decode)
//! ```
//!
//! Invariants:
//! * a source only converts; it decides nothing about traffic;
//! * a bad object becomes a `Problem` and hurts only itself; what worked before stays in force;
//! * a source says what changed, not what it read: an upsert is sent only when the object really differs;
//! * `Synced` comes once, after the whole first list;
//! * memory is bounded by the number of objects, not by the size of their texts.

mod addresses;
pub mod k8s;
mod manifests;
mod stop;

pub use addresses::{Addresses, AddressesError};
pub use manifests::{Manifests, ManifestsError};
pub use stop::{StopSignal, Stopper, stop_pair};
