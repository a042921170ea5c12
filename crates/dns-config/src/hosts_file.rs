//! Files in the form of hosts(5).

use std::net::IpAddr;

use dns_wire::Name;

use crate::text::{address_without_scope, lower_name};

/// One line of a hosts file: an address and its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address; the scope of `fe80::1%lo0` is left out.
    pub address: IpAddr,
    /// In lower case, at least one. The first is the canonical one; each may begin with `*`.
    pub names: Vec<Name>,
}

impl HostsEntry {
    /// Reads one line without its comment. `None`: no address at its beginning, or no name after it.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let address = address_without_scope(fields.next()?)?;
        let names: Vec<Name> = fields.filter_map(lower_name).collect();
        (!names.is_empty()).then_some(Self { address, names })
    }
}

/// A hosts file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostsFile {
    /// The lines that could be read, in order.
    pub entries: Vec<HostsEntry>,
    /// The numbers (from 1) of lines that say nothing that can be read. CoreDNS leaves them out too.
    pub skipped: Vec<u32>,
}

impl HostsFile {
    /// Reads the text of a hosts file. A bad line costs only itself.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut file = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            match HostsEntry::read(line) {
                Some(entry) => file.entries.push(entry),
                None if line.is_empty() => {}
                None => file.skipped.push(number),
            }
        }
        file
    }
}
