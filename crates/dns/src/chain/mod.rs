//! The chain of plugins that a query goes through: a configuration, made ready for queries.
//!
//! ```text
//! query --> block of the longest zone --> local, any, chaos, rewrite, acl, autopath,
//!                                         hosts, k8s_external, kubernetes, cache + forward
//! reply <-- nsid, bufsize, dns64, rewrite of answers, loadbalance, minimal <--+
//! ```

pub(crate) mod acl;
mod compile;
mod groups;
pub(crate) mod hosts;
pub(crate) mod local;
mod pattern;
pub(crate) mod rewrite;
pub(crate) mod small;
mod view;

use std::net::IpAddr;
use std::time::Duration;

use dns_config::{Acl, Chaos, Dns64, Log};
use dns_forward::GroupHandle;
use dns_names::{External, View};
use dns_wire::{Name, NameRef};

pub(crate) use compile::Compiler;
pub use compile::files;

/// All server blocks, ready.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) blocks: Vec<Block>,
    /// Zone and the place of its block; the longest zones first.
    zones: Vec<(Name, usize)>,
    /// The addresses of this server: for NS records.
    pub(crate) own: Vec<IpAddr>,
    /// The longest `lameduck` of all blocks.
    pub(crate) lameduck: Duration,
}

/// One server block, ready.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its zones as text, for metrics.
    pub(crate) label: String,
    /// The place of its counters.
    pub(crate) zone_label: usize,
    pub(crate) local: bool,
    pub(crate) any: bool,
    pub(crate) chaos: Option<Chaos>,
    pub(crate) nsid: Option<Vec<u8>>,
    pub(crate) rewrite: Option<rewrite::Rewriter>,
    pub(crate) acl: Vec<Acl>,
    pub(crate) autopath: Option<Autopath>,
    pub(crate) hosts: Option<hosts::Table>,
    pub(crate) externals: Vec<External>,
    pub(crate) view: Option<View>,
    /// What `k8s_external` sees without `kubernetes`.
    pub(crate) bare: View,
    pub(crate) forwards: Vec<Forward>,
    pub(crate) dns64: Option<Dns64>,
    pub(crate) bufsize: u16,
    pub(crate) rotate: bool,
    pub(crate) minimal: bool,
    pub(crate) logs: Vec<Log>,
    /// Failures are logged.
    pub(crate) errors: bool,
}

/// One `forward`, ready.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) from: Vec<Name>,
    pub(crate) except: Vec<Name>,
    pub(crate) group: GroupHandle,
    pub(crate) next: Vec<u16>,
    pub(crate) next_on_nodata: bool,
}

/// `autopath`, ready.
#[derive(Debug)]
pub(crate) struct Autopath {
    pub(crate) zones: Vec<Name>,
    /// The search domains of a file.
    pub(crate) domains: Vec<Name>,
    /// They are the list of all clients; else those of the client's Pod come first.
    pub(crate) is_fixed: bool,
}

impl Chain {
    /// The block for a name: that of the longest zone.
    pub(crate) fn block(&self, name: NameRef<'_>) -> Option<usize> {
        self.zones.iter().find(|(zone, _)| name.ends_with(zone.as_ref())).map(|(_, block)| *block)
    }

    /// The zone that decided for a block.
    pub(crate) fn zone(&self, name: NameRef<'_>) -> Option<&Name> {
        self.zones.iter().find(|(zone, _)| name.ends_with(zone.as_ref())).map(|(zone, _)| zone)
    }
}

impl Block {
    /// The plugins that it has, by CoreDNS's names.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("local", self.local),
            ("any", self.any),
            ("chaos", self.chaos.is_some()),
            ("nsid", self.nsid.is_some()),
            ("rewrite", self.rewrite.is_some()),
            ("acl", !self.acl.is_empty()),
            ("autopath", self.autopath.is_some()),
            ("hosts", self.hosts.is_some()),
            ("k8s_external", !self.externals.is_empty()),
            ("kubernetes", self.view.is_some()),
            ("cache", self.forwards.iter().any(|forward| forward.group.has_cache())),
            ("forward", !self.forwards.is_empty()),
            ("dns64", self.dns64.is_some()),
            ("loadbalance", self.rotate),
            ("minimal", self.minimal),
            ("log", !self.logs.is_empty()),
            ("errors", self.errors),
        ];
        all.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name)
    }

    /// The places of the `forward`s for a name, the first one from place `from` on.
    pub(crate) fn forward(&self, name: NameRef<'_>, from: usize) -> Option<(usize, &Forward)> {
        let rest = self.forwards.iter().enumerate().skip(from);
        let mut fitting = rest.filter(|(_, forward)| {
            hosts::covers(&forward.from, name) && !hosts::covers(&forward.except, name)
        });
        fitting.next()
    }

    /// Whether queries of this name are completed by the client's search list.
    pub(crate) fn autopath(&self, name: NameRef<'_>) -> Option<&Autopath> {
        self.autopath.as_ref().filter(|autopath| hosts::covers(&autopath.zones, name))
    }
}
