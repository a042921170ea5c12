//! `hosts`.

use std::path::PathBuf;
use std::time::Duration;

use dns_wire::Name;

use crate::hosts_file::HostsEntry;

/// `hosts [FILE [ZONES...]] { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The file, in the form of hosts(5); it may be missing. Default `/etc/hosts`.
    pub file: PathBuf,
    /// Names below these are answered; default: the zones of the block.
    pub zones: Vec<Name>,
    /// Entries in the Corefile itself; they win over the file.
    pub inline: Vec<HostsEntry>,
    /// `ttl`: seconds, 1 to 65535. Default 3600.
    pub ttl: u32,
    /// `no_reverse`: no PTR.
    pub no_reverse: bool,
    /// `reload`: how often the file is looked at, 0: never. Default 5 s. (We follow the file at once, unless it is 0.)
    pub reload: Duration,
    /// `fallthrough [ZONES...]`: names that are not there go on to the next plugin. Empty: none do. Without zones: the root.
    pub fallthrough: Vec<Name>,
    /// `fallthrough_unsupported`: so do other types than A and AAAA of names that are there. Needs `fallthrough`.
    pub fallthrough_unsupported: bool,
}

impl Hosts {
    /// With CoreDNS's defaults.
    #[must_use]
    pub fn new(zones: Vec<Name>) -> Self {
        Self {
            file: PathBuf::from("/etc/hosts"),
            zones,
            inline: Vec::new(),
            ttl: 3600,
            no_reverse: false,
            reload: Duration::from_secs(5),
            fallthrough: Vec::new(),
            fallthrough_unsupported: false,
        }
    }
}
