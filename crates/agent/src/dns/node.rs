//! DNS in `towpath run`: what the rest of the agent has of it. [`super::keeper`] does the work.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};

use anyhow::Result;
use config::{DnsConfiguration, Settings};
use dns::{Options, Server};
use dns_config::{Config, SystemEnv};
use dns_forward::Forwarder;
use dns_names::{Names, Update};
use dns_node::{DnsNode, Wanted};
use model::NamespacedName;
use prometheus_client::collector::Collector;
use sources::Kept;
use sources::kubernetes::Stats;

use super::configuration::Origin;
use super::files::Followed;
use super::keeper::Keeper;
use super::standalone::{preload, take};
use super::watched::Watched;
use super::{Shared, is_synced};
use crate::board::Board;
use crate::dns_feed::{DnsFeed, News};
use crate::repair::Reporter;
use crate::source::DnsNeeds;

/// DNS on this node.
pub(crate) struct Dns {
    pub(super) settings: DnsConfiguration,
    /// What the sources were opened for.
    pub(super) needs: DnsNeeds,
    pub(super) names: Shared,
    pub(super) server: Arc<RwLock<Server>>,
    pub(super) watched: Mutex<Watched>,
    pub(super) state: Mutex<State>,
    /// The node's primary address of each family.
    pub(super) primaries: Mutex<Vec<IpAddr>>,
    pub(super) ends: AtomicBool,
    wake: SyncSender<()>,
}

/// What the pages show.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Why the configuration, as it is now, is not in force.
    pub(super) config_error: Option<String>,
    /// Why the node is not as it should be, a line each.
    pub(super) troubles: Vec<String>,
    /// What the operator should know of the configuration.
    pub(super) notes: Vec<String>,
    /// What is wanted of the node.
    pub(super) wanted: Wanted,
    /// Probes that fail, a line each.
    pub(super) probes: Vec<String>,
}

/// DNS that does not work yet.
pub(crate) struct Prepared {
    pub(crate) dns: Arc<Dns>,
    files: Followed,
}

/// Removes what an earlier run with DNS has left in the kernel; true: there was something.
pub(crate) fn remove() -> Result<bool> {
    Ok(DnsNode::open()?.cleanup()?)
}

pub(super) fn origin(dns: &DnsConfiguration) -> Origin {
    Origin {
        corefile: dns.corefile.clone(),
        stub_domains: dns.stub_domains.clone(),
        domain: dns.cluster_domain.clone(),
        local: dns.listen.clone(),
        cluster: Vec::new(),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Prepared {
    /// The server, without an address and a configuration yet; `None`: DNS is off. `needs`: what the sources were opened for.
    pub(crate) fn new(settings: &Settings, node: &str, needs: Option<DnsNeeds>) -> Result<Option<Self>> {
        let dns = &settings.towpath.dns;
        let Some(needs) = needs else { return Ok(None) };
        let names = Shared::new(RwLock::new(Names::new()));
        recall(&names, settings, node, needs.kept);
        let mut options = Options { node: node.to_owned(), ..Options::new(Vec::new()) };
        // A VIP is none of the node's addresses: only a route leads here.
        options.listen.free_bind = true;
        let forwarder = Forwarder::start()?;
        let nothing = Config::default();
        let (server, _) = Server::start(options, Arc::clone(&names), forwarder, &nothing, &SystemEnv)?;
        let (namespace, name) = dns.service_name().unwrap_or_default();
        let files = Followed::new();
        let dns = Dns {
            settings: dns.clone(),
            needs,
            names,
            server: Arc::new(RwLock::new(server)),
            watched: Mutex::new(Watched::new(NamespacedName::new(namespace, name))),
            state: Mutex::default(),
            primaries: Mutex::default(),
            ends: AtomicBool::new(false),
            wake: files.waker(),
        };
        Ok(Some(Self { dns: Arc::new(dns), files }))
    }

    /// Its figures, by CoreDNS's names.
    pub(crate) fn metrics(&self) -> Box<dyn Collector> {
        self.dns.server().metrics()
    }

    /// Begins to work; `reporter` is told of repairs. The thread ends after [`Dns::end`].
    pub(crate) fn start(self, reporter: Reporter) -> Result<JoinHandle<()>> {
        let keeper = Keeper::new(self.dns, self.files, reporter)?;
        Ok(thread::Builder::new().name("dns-node".into()).spawn(move || keeper.run())?)
    }
}

/// Fills the names with those of the last run, if they are on disk: after a restart without an API server they are better
/// than none.
fn recall(names: &Shared, settings: &Settings, node: &str, kept: Kept) {
    let snapshot = &settings.towpath.snapshot;
    if !snapshot.enabled || !snapshot.path.exists() {
        return;
    }
    match preload(names, &snapshot.path, node, kept) {
        Ok(()) => tracing::info!("DNS: names of the last run are answered until the sources have told"),
        Err(error) => tracing::warn!("DNS: {error}"),
    }
}

impl Dns {
    /// What the sync thread tells it with.
    pub(crate) fn feed(self: &Arc<Self>, board: Arc<Board>, source: Option<Arc<Stats>>) -> DnsFeed {
        let (this, mut first) = (Arc::clone(self), true);
        let tell = move |news: News| {
            let delays = &board.metrics.dns_programming;
            news.delays.iter().for_each(|delay| delays.observe(*delay));
            let wakes = this.look(&news.updates);
            take(&this.names, news, std::mem::take(&mut first));
            if wakes {
                this.wake();
            }
        };
        DnsFeed::new(Box::new(tell), source)
    }

    /// Whether what is new means something to the node.
    fn look(&self, updates: &[Update]) -> bool {
        let mut watched = lock(&self.watched);
        // Each is looked at, whatever came of those before.
        let begins = |update: &Update| matches!(update, Update::Synced | Update::Stale(_));
        updates.iter().filter(|update| watched.look(update) || begins(update)).count() > 0
    }

    /// Hears which addresses the node has.
    pub(crate) fn set_primaries(&self, addresses: Vec<IpAddr>) {
        if std::mem::replace(&mut *lock(&self.primaries), addresses.clone()) != addresses {
            self.wake();
        }
    }

    /// The server, for a moment. Writing is for [`super::keeper`], when it listens elsewhere.
    pub(super) fn server(&self) -> RwLockReadGuard<'_, Server> {
        self.server.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // One that waits already is enough.
        let _ = self.wake.try_send(());
    }

    /// Has it end: the way of packets first, then the server.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// The way of one name through the server.
    pub(crate) fn explain(&self, name: &str, rtype: &str, from: IpAddr) -> String {
        self.server().explain(name, rtype, from)
    }

    /// How it is doing.
    pub(crate) fn describe(&self) -> String {
        let (state, server) = (lock(&self.state).clone(), self.server().state());
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner).stats();
        let mut out = String::new();
        let known = if is_synced(&self.names) { "complete" } else { "not complete yet" };
        let stale = if server.stale { ", of the last run" } else { "" };
        let _ = writeln!(
            out,
            "names: {known}{stale}; {} Services, {} endpoints",
            names.services, names.endpoints
        );
        let _ = writeln!(
            out,
            "waiting for upstreams: {}; TCP connections: {}",
            server.pending, server.connections
        );
        let addresses = self.server().addresses();
        let list = |of: &[SocketAddr]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let _ = writeln!(out, "answered at: {}", list(&addresses));
        let want = state.wanted.intercept.iter().map(ToString::to_string).collect::<Vec<_>>();
        let _ = writeln!(
            out,
            "to be intercepted: {}; pods that opt out: {}",
            want.join(" "),
            state.wanted.opted_out.len()
        );
        let intercepted = intercepted().into_iter().map(|(vip, protocol)| format!("{vip}/{protocol}"));
        let _ = writeln!(out, "intercepted: {}", intercepted.collect::<Vec<_>>().join(" "));
        let errors = state.config_error.iter().map(|error| format!("configuration not in force: {error}"));
        let notes = state.notes.iter().map(|note| format!("configuration: {note}"));
        let troubles = state.troubles.into_iter().chain(state.probes);
        errors.chain(troubles).chain(notes).for_each(|line| out += &format!("{line}\n"));
        out
    }
}

/// What the kernel has intercepted now.
pub(super) fn intercepted() -> BTreeSet<(IpAddr, model::Protocol)> {
    DnsNode::open().and_then(|mut node| node.alive()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_addresses_of_our_link_are_none_of_the_nodes() {
        assert!(sources::NOT_THE_NODES.contains(&dns_node::LINK));
    }
}
