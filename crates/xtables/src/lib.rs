//! The iptables tools, run rightly: which variant this node uses, what is programmed, and one atomic change.
//!
//! ```text
//!   detect() --> Variant --> Tools::find --> Tools --restore(text)--> iptables-{legacy,nft}-restore --noflush -w 5
//!                                             |
//!                                             +------save(table)----> iptables-{legacy,nft}-save --> SavedTable
//! ```
//!
//! Invariants:
//! * no policy: this crate knows texts, chains and rules, not Services;
//! * looking creates nothing: a table that the kernel does not have is not made by asking for it;
//! * a text goes over a pipe to one process, never rule by rule; a tool that hangs is stopped;
//! * an error says in one line what refused what: the lock's holder, the text's line, the missing program.

mod detect;
mod error;
mod exec;
mod find;
mod kernel;
mod lock;
mod lock_watch;
mod refusal;
mod saved;
mod tools;
mod variant;
mod words;

pub use detect::{Detected, detect};
pub use error::{RestoreError, ToolError};
pub use exec::LIMIT;
pub use kernel::legacy_tables;
pub use lock::WAIT_SECONDS;
pub use lock_watch::LockWatch;
pub use saved::{SavedChain, SavedRule, SavedTable};
pub use tools::{TABLES, Tools};
pub use variant::Variant;
pub use words::{quote, split};
