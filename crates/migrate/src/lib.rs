//! What changes for a cluster when towpath takes kube-proxy's place: read from its configuration and its Services.
//!
//! ```text
//! KubeProxyConfiguration --+
//! Store (Services, CIDRs) -+--> View --RULES, those for (from, to)--> Findings --> Report --> text, JSON
//! towpath's mode ----------+
//! ```
//!
//! A rule is one line of a table with two dimensions: the modes of kube-proxy that it is about, and the modes of towpath. Its
//! texts are constant; what it is about on this cluster are the subjects, which a small function finds.
//!
//! Invariants:
//! * pure: nothing is read, asked or changed; the same input gives the same text, byte for byte;
//! * the ids are stable, and each is explained in `docs/migrate-from-kube-proxy.md` (a test compares);
//! * for one pair of modes, no id is found twice;
//! * what cannot be told from the input is never guessed: [`Report`] says what was not looked at.

mod check;
mod report;
mod rules;
mod text;
mod view;

pub use check::{check, ids};
pub use report::{Finding, FromMode, Report, SCHEMA, Severity};
