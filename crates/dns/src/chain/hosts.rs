//! `hosts`: names of a file and of the Corefile itself.

use std::net::IpAddr;

use dns_config::{Env, Hosts, HostsEntry, HostsFile};
use dns_wire::{Data, MAX_NAME, Name, NameRef, Reply, Section, rcode, rtype};
use rustc_hash::FxHashMap;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The reply is written.
    Answered,
    /// Not a name of this table.
    Pass,
}

/// Both directions, ready to be asked.
#[derive(Debug)]
pub(crate) struct Table {
    settings: Hosts,
    /// By lower-case name.
    addresses: FxHashMap<Box<[u8]>, Vec<IpAddr>>,
    names: FxHashMap<IpAddr, Vec<Name>>,
}

impl Table {
    /// Reads the file, if it is there, and the entries of the Corefile; those win for the same name.
    pub(crate) fn read(settings: &Hosts, env: &dyn Env) -> Self {
        let file = env.file(&settings.file).map(|text| HostsFile::read(&text)).unwrap_or_default();
        let mut table =
            Self { settings: settings.clone(), addresses: FxHashMap::default(), names: FxHashMap::default() };
        settings.inline.iter().for_each(|entry| table.add(entry));
        let inline: Vec<Box<[u8]>> = table.addresses.keys().cloned().collect();
        file.entries.iter().for_each(|entry| table.add_unless(entry, &inline));
        table
    }

    fn add(&mut self, entry: &HostsEntry) {
        self.add_unless(entry, &[]);
    }

    fn add_unless(&mut self, entry: &HostsEntry, taken: &[Box<[u8]>]) {
        for name in &entry.names {
            let key: Box<[u8]> = name.wire().to_ascii_lowercase().into();
            if taken.contains(&key) {
                continue;
            }
            push_new(self.addresses.entry(key).or_default(), entry.address);
            push_new(self.names.entry(entry.address).or_default(), name.clone());
        }
    }

    /// Answers, if the table has the name.
    pub(crate) fn answer(&self, name: NameRef<'_>, qtype: u16, reply: &mut Reply<'_>) -> Found {
        let is_covered = covers(&self.settings.zones, name);
        // As in CoreDNS: reverse zones need not be listed, and addresses that it does not have are left to others.
        let is_pointer = qtype == rtype::PTR || name.reverse_address().is_some();
        if !is_covered && qtype != rtype::PTR {
            return Found::Pass;
        }
        let pointers = if self.settings.no_reverse { None } else { self.pointers(name) };
        let addresses = if is_covered { self.addresses(name) } else { None };
        match (pointers, addresses) {
            (Some(names), _) => self.write_names(name, qtype, names, reply),
            (None, Some(addresses)) => self.write_addresses(name, qtype, addresses, reply),
            (None, None) if is_pointer => Found::Pass,
            (None, None) => self.missing(name, rcode::NXDOMAIN, reply),
        }
    }

    fn addresses(&self, name: NameRef<'_>) -> Option<&[IpAddr]> {
        let mut buffer = [0; MAX_NAME];
        let lower = name.lower_into(&mut buffer);
        if let Some(found) = self.addresses.get(lower) {
            return Some(found);
        }
        let mut at = name.parent();
        while let Some(parent) = at {
            let wild: Vec<u8> = [&b"\x01*"[..], &parent.wire().to_ascii_lowercase()].concat();
            if let Some(found) = self.addresses.get(wild.as_slice()) {
                return Some(found);
            }
            at = parent.parent();
        }
        None
    }

    fn pointers(&self, name: NameRef<'_>) -> Option<&[Name]> {
        let address = name.reverse_address()?;
        self.names.get(&address).map(Vec::as_slice)
    }

    fn write_names(&self, name: NameRef<'_>, qtype: u16, names: &[Name], reply: &mut Reply<'_>) -> Found {
        if qtype != rtype::PTR {
            return self.missing(name, rcode::NOERROR, reply);
        }
        reply.set_authoritative(true);
        for target in names {
            reply.push(Section::Answer, name, qtype, self.settings.ttl, Data::Name(target.as_ref()));
        }
        Found::Answered
    }

    fn write_addresses(&self, name: NameRef<'_>, qtype: u16, all: &[IpAddr], reply: &mut Reply<'_>) -> Found {
        let fitting = all.iter().map(|address| Data::address(*address)).filter(|(kind, _)| *kind == qtype);
        let mut wrote = false;
        for (kind, data) in fitting {
            reply.set_authoritative(true);
            reply.push(Section::Answer, name, kind, self.settings.ttl, data);
            wrote = true;
        }
        let is_address = matches!(qtype, rtype::A | rtype::AAAA);
        match (wrote, is_address) {
            (true, _) => Found::Answered,
            (false, true) => self.no_data(reply),
            (false, false) if self.settings.fallthrough_unsupported => Found::Pass,
            (false, false) => self.missing(name, rcode::NOERROR, reply),
        }
    }

    fn no_data(&self, reply: &mut Reply<'_>) -> Found {
        reply.set_authoritative(true);
        Found::Answered
    }

    fn missing(&self, name: NameRef<'_>, code: u16, reply: &mut Reply<'_>) -> Found {
        if code == rcode::NXDOMAIN && covers(&self.settings.fallthrough, name) {
            return Found::Pass;
        }
        reply.set_authoritative(true);
        reply.set_rcode(code);
        Found::Answered
    }
}

/// Whether a name is in one of the zones.
pub(crate) fn covers(zones: &[Name], name: NameRef<'_>) -> bool {
    zones.iter().any(|zone| name.ends_with(zone.as_ref()))
}

fn push_new<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}
