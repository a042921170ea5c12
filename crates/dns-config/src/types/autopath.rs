//! `autopath`.

use std::path::PathBuf;

use dns_wire::Name;

/// `autopath [ZONES...] RESOLV-CONF|@kubernetes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autopath {
    /// The zones in which questions are completed; default: those of the block.
    pub zones: Vec<Name>,
    /// Where the search path comes from.
    pub source: AutopathSource,
}

/// Where the search path of a client comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutopathSource {
    /// `@kubernetes`: from the pod that has the source address.
    Kubernetes,
    /// The `search` line of a file in the form of resolv.conf, the same for all.
    File(PathBuf),
}
