//! `towpath dns`: names of manifests, without a kernel.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use config::{KubeProxyFlags, TowpathFlags};
use dns::{Options, Server};
use dns_config::SystemEnv;
use dns_forward::Forwarder;
use dns_names::Names;
use model::{Change, Store, Touched};
use nix::sys::signal::{SigSet, Signal};
use sources::{Kept, Manifests, StopSignal, snapshot, stop_pair};

use super::Shared;
use super::configuration::{Origin, Reading};
use super::files::Followed;
use super::http::{Endpoints, everywhere};
use crate::cli::{DnsArgs, DnsWorld};
use crate::dns_feed::{DnsFeed, News};
use crate::{logging, settings, signals};

/// How long queries that wait for upstreams are waited for at the end.
const DRAIN: Duration = Duration::from_secs(3);
/// How soon manifests that are not there are looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Answers until SIGTERM or SIGINT.
pub(super) fn run(args: &DnsArgs) -> Result<()> {
    signals::hold()?;
    let log = logging::start(&settings::load(&KubeProxyFlags::default(), &TowpathFlags::default(), None)?)?;
    let names = Shared::new(RwLock::new(Names::new()));
    if let Some(path) = &args.snapshot_path {
        preload(&names, path, &args.world.node, Kept::ALL)?;
    }
    let origin = origin(&args.world, &args.listen);
    let Reading { config, notes } = origin.read()?;
    notes.iter().for_each(|note| tracing::warn!("DNS: {note}"));
    let options = options(&args.world, args.listen.clone());
    let forwarder = Forwarder::start()?;
    let (server, notes) = Server::start(options, Arc::clone(&names), forwarder, &config, &SystemEnv)?;
    notes.iter().for_each(|note| tracing::warn!("DNS: {note}"));
    tell(&server.addresses())?;
    let server = Arc::new(RwLock::new(server));
    let endpoints = Endpoints::start(Arc::clone(&server))?;
    endpoints.set(&config, &everywhere());
    let (stopper, stop) = stop_pair()?;
    let source = Source::open(args, &names)?;
    let source = thread::Builder::new().name("manifests".into()).spawn(move || source.run(&stop))?;
    if !args.once {
        let follow = Follow { origin, server: Arc::clone(&server), endpoints, files: Followed::new() };
        thread::Builder::new().name("dns-config".into()).spawn(move || follow.run(config))?;
    }
    let signal = wait_for_a_signal()?;
    let server = server.read().unwrap_or_else(PoisonError::into_inner);
    if signal == Signal::SIGTERM {
        // Whoever sends queries here has to notice first.
        thread::sleep(server.lameduck());
    }
    server.drain(DRAIN);
    stopper.stop();
    let _ = source.join();
    log.flush();
    Ok(())
}

/// Where this command's configuration is.
pub(super) fn origin(world: &DnsWorld, listen: &[SocketAddr]) -> Origin {
    Origin {
        corefile: world.dns_corefile.clone().unwrap_or_default(),
        stub_domains: world.dns_stub_domains.clone().unwrap_or_default(),
        domain: world.dns_cluster_domain.clone(),
        local: listen.iter().map(SocketAddr::ip).collect(),
        cluster: Vec::new(),
    }
}

fn options(world: &DnsWorld, listen: Vec<SocketAddr>) -> Options {
    let own: Vec<IpAddr> = world.own_addresses.clone();
    Options { own, node: world.node.clone(), ..Options::new(listen) }
}

/// Says where it listens, for whoever has asked for any port.
fn tell(addresses: &[SocketAddr]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    addresses.iter().try_for_each(|address| writeln!(out, "answering DNS on {address}"))?;
    out.flush().context("standard output")
}

fn wait_for_a_signal() -> Result<Signal> {
    let set: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    set.wait().context("waiting for a signal")
}

/// Fills the names with what a snapshot says: answers of yesterday, until the sources have delivered.
pub(super) fn preload(names: &Shared, path: &Path, node: &str, kept: Kept) -> Result<()> {
    let saved = snapshot::read(path, node, kept)?;
    let (mut store, mut touched) = (Store::new(node), Touched::default());
    saved.changes.into_iter().for_each(|change| store.apply(change, &mut touched));
    let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
    News::of(&store).updates.into_iter().for_each(|update| names.apply(update));
    names.apply(dns_names::Update::Stale(true));
    Ok(())
}

/// Updates that are put into the index while nobody reads it: some tens of microseconds.
const AT_ONCE: usize = 64;

/// Puts what is new into the index: what came together is seen together, unless it is much. The first time, an index that a snapshot has filled is replaced as a whole.
pub(super) fn take(names: &Shared, news: News, first: bool) {
    if first {
        let mut fresh = Names::new();
        news.updates.into_iter().for_each(|update| fresh.apply(update));
        *names.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        return;
    }
    let mut updates = news.updates.into_iter().peekable();
    while updates.peek().is_some() {
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        updates.by_ref().take(AT_ONCE).for_each(|update| names.apply(update));
    }
}

/// Manifests to names.
struct Source {
    manifests: Option<Manifests>,
    path: std::path::PathBuf,
    follows: bool,
    store: Store,
    feed: DnsFeed,
}

impl Source {
    fn open(args: &DnsArgs, names: &Shared) -> Result<Self> {
        let path = args.world.manifests.clone().unwrap_or_default();
        let manifests = match Manifests::open(&path) {
            Ok(manifests) => Some(manifests.keeping(Kept::ALL)),
            // The snapshot answers meanwhile.
            Err(error) if args.snapshot_path.is_some() => {
                tracing::error!("{error}; trying again");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let (names, mut first) = (Arc::clone(names), true);
        let tell = move |news: News| take(&names, news, std::mem::take(&mut first));
        let feed = DnsFeed::new(Box::new(tell), None);
        Ok(Self { manifests, path, follows: !args.once, store: Store::new(args.world.node.as_str()), feed })
    }

    fn run(self, stop: &StopSignal) {
        let Self { manifests, path, follows, mut store, mut feed } = self;
        let mut touched = Touched::default();
        let mut sink = |change: Change| {
            problem(&change);
            feed.note(&store, &change);
            let is_synced = matches!(change, Change::Synced(_));
            let ends = matches!(change, Change::BatchEnds) || is_synced;
            store.apply(change, &mut touched);
            touched = Touched::default();
            if ends {
                feed.committed(&store);
            }
            true
        };
        let Some(mut manifests) = manifests.or_else(|| wait_for(&path, stop)) else { return };
        let result = manifests.load(&mut sink);
        let result = result.and_then(|()| if follows { manifests.run(stop, &mut sink) } else { Ok(()) });
        if let Err(error) = result {
            tracing::error!("{error}; the names stay as they are");
        }
    }
}

fn problem(change: &Change) {
    if let Change::Problem(problem) = change {
        tracing::warn!("{problem}");
    }
}

/// Manifests that are not there yet; `None`: it is told to stop.
fn wait_for(path: &Path, stop: &StopSignal) -> Option<Manifests> {
    loop {
        if stop.is_stopped(AGAIN) {
            return None;
        }
        if let Ok(manifests) = Manifests::open(path) {
            return Some(manifests.keeping(Kept::ALL));
        }
    }
}

/// Reads the configuration again when it changes.
struct Follow {
    origin: Origin,
    server: Arc<RwLock<Server>>,
    endpoints: Endpoints,
    files: Followed,
}

impl Follow {
    fn run(mut self, config: dns_config::Config) {
        self.files.follow(&self.origin.files(Some(&config)));
        while self.files.changed(None) {
            match self.origin.read() {
                Ok(Reading { config, notes }) => {
                    self.files.follow(&self.origin.files(Some(&config)));
                    let server = self.server.read().unwrap_or_else(PoisonError::into_inner);
                    let more = server.reconfigure(&config, &SystemEnv);
                    drop(server);
                    self.endpoints.set(&config, &everywhere());
                    notes.iter().chain(&more).for_each(|note| tracing::warn!("DNS: {note}"));
                    tracing::info!("DNS: the configuration was read again");
                }
                Err(error) => {
                    self.server.read().unwrap_or_else(PoisonError::into_inner).note_refused();
                    tracing::error!("DNS: {error:#}; the configuration of before stays in force");
                }
            }
        }
    }
}
