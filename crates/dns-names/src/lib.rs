//! The names of the cluster: an index over the model, and the answers that it gives.
//!
//! ```text
//! agent --Update--> Names --+-- answer(View, Ask)       --records--> dns_wire::Reply
//!                           |-- external(External, ..)  --records--> dns_wire::Reply
//!                           |-- explain(View, name)     --> which object, which rule, in words
//!                           `-- pod_at(ip), SearchList  --> which names a pod's search path tries
//! ```
//!
//! A question is answered in two steps: `locate` finds what a name stands for, `answer` writes the records. `explain` shares the first
//! step, so it cannot say anything else than the server does.
//!
//! Invariants:
//! * pure: no I/O, and no clock but for the serial of the zone;
//! * [`Names::apply`] costs what the change touches: of a Service with many slices, the slices that are not the same any more;
//! * Services, slices and pods are shared with the store, never copied; the index holds hashes and addresses;
//! * an answer with records of ours is found and written without allocation;
//! * names are compared label by label as octets: a dot inside a label is no label break;
//! * an address or name that two slices have is one record.

#![forbid(unsafe_code)]

mod answer;
mod explain;
mod external;
mod index;
mod label;
mod locate;
mod object;
mod path;
mod pods;
mod record;
mod search;
mod selector;
mod set;
mod update;
mod verdict;
mod view;

pub use explain::Explanation;
pub use index::Names;
pub use search::{Candidate, Candidates, MAX_SEARCH, SearchList};
pub use selector::{Selector, SelectorError};
pub use update::{Stats, Update};
pub use verdict::{Ask, Chase, Link, MAX_CHAIN, Verdict};
pub use view::{External, PodNames, View};
