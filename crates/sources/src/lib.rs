//! Where changes come from: this crate turns what others say into [`model::Change`].
//!
//! ```text
//! manifest files --inotify--> manifests --text---> k8s::decode --+
//! API server ------watch----> kubernetes --text--> k8s::decode --+--> Change --> (the Store)
//!                                  ^                                                |
//!                                  +---- snapshot (the last known good state) <-----+
//! ```
//!
//! Invariants:
//! * a source only converts; it decides nothing about traffic;
//! * a bad object becomes a `Problem` and hurts only itself; what worked before stays in force;
//! * a source says what changed, not what it read: an upsert is sent only when the object really differs;
//! * `Synced` comes once, after the whole first list;
//! * memory is bounded by the number of objects, not by the size of their texts.

mod addresses;
mod file_watch;
pub mod k8s;
pub mod kubernetes;
mod manifests;
pub mod snapshot;
mod stop;

pub use addresses::{Addresses, AddressesError, NOT_THE_NODES};
pub use file_watch::FileWatch;
pub use k8s::Kept;
pub use kubernetes::{Kubernetes, KubernetesError};
pub use manifests::{Manifests, ManifestsError};
pub use stop::{StopSignal, Stopper, stop_pair};
