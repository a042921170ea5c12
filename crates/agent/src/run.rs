//! `towpath run`: start order and shutdown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use admin::service_health::{Addresses as HealthAddresses, Handle, ServiceHealth, Wanted};
use anyhow::{Context, Result, ensure};
use config::{KubeProxyFlags, LiveChanges, Settings};
use dataplane::Start;
use model::{IpFamily, Store};
use netlink::{Socket, conntrack};
use resolve::{NodePortScope, ProxyConfig};
use sources::kubernetes::Stats;
use sources::{Addresses, FileWatch, stop_pair};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::ask::Asker;
use crate::board::Board;
use crate::cli::RunArgs;
use crate::compare::Comparer;
use crate::connections::FlowDesk;
use crate::debug::{DebugPages, HealthPages, Large, LastTold};
use crate::dns::{Dns, Prepared};
use crate::driver::Driver;
use crate::events::Events;
use crate::janitor::Janitor;
use crate::logging::Log;
use crate::metrics::RepairedLabel;
use crate::opened::Opened;
use crate::options::{late, proxy_config, warnings};
use crate::reload::{Apply, Reload};
use crate::repair::Reporter;
use crate::self_probe::{Canary, Prober, Shared};
use crate::serve::{HealthOwner, Listeners, until_stopped};
use crate::source::Objects;
use crate::sync::{Followers, HealthFollower, Message, NodeFollower, QUEUE, SyncLoop};
use crate::{cleanup, dns, duties, logging, modes, settings, shadow, signals, snapshot, source};

/// How long the process may take to end.
const LAST_CALL: Duration = Duration::from_secs(5);

/// Runs the agent until SIGTERM or SIGINT. Rules stay when it ends.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    // Before the file is read, so that no change falls between the two.
    let watch =
        args.proxy.config.as_ref().map(FileWatch::open).transpose().context("--config: cannot follow it")?;
    let settings = settings::load_once(&args.proxy, &args.towpath)?;
    if let Some(path) = &args.proxy.write_config_to {
        std::fs::write(path, settings.proxy.to_yaml())
            .with_context(|| format!("--write-config-to {}", path.display()))?;
        settings.warnings.iter().for_each(|warning| eprintln!("towpath: {warning}"));
        return Ok(());
    }
    if args.proxy.cleanup == Some(true) {
        return cleanup::everything();
    }
    if args.proxy.init_only == Some(true) {
        begin(&settings)?.flush();
        return Ok(());
    }
    if args.shadow {
        return shadow::run(args, settings);
    }
    signals::hold()?;
    // What cannot be is refused in one line, before anything is done.
    let agent = Agent::prepare(args, settings)?;
    let log = begin(&agent.settings)?;
    let result = agent.run(args, watch, log.clone());
    log.flush();
    result
}

/// Starts the log, and does what the node needs beside rules.
fn begin(settings: &Settings) -> Result<Log> {
    let log = logging::start(settings).context("cannot start the log")?;
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    duties::perform(settings);
    Ok(log)
}

/// Everything that is opened before anything starts to work.
struct Agent {
    settings: Settings,
    config: ProxyConfig,
    objects: Objects,
    addresses: Addresses,
    engine: Box<dyn Driver>,
    dns: Option<Prepared>,
    /// Why the mode is what it is.
    why: String,
}

impl Agent {
    fn prepare(args: &RunArgs, settings: Settings) -> Result<Self> {
        let modes::Chosen { opened, why } = modes::choose(&settings)?;
        let config = proxy_config(&settings, opened.place().mode());
        let node = settings::node_name(&settings)?;
        let needs = dns::needs(&settings);
        let objects = Objects::open(&settings, &args.proxy, &node, needs)?;
        let addresses = Addresses::open()?;
        let start = Start::new(Store::new(node.as_str()), &[objects.name(), Addresses::NAME]);
        let mut engine = opened.engine(start, config.clone());
        engine.set_bind_address(settings.proxy.primary_ip());
        // Without names the rules are as good as ever.
        let dns = Prepared::new(&settings, &node, needs).unwrap_or_else(|error| {
            tracing::error!("DNS is not served until towpath is started anew: {error:#}");
            None
        });
        Ok(Self { settings, config, objects, addresses, engine, dns, why })
    }

    fn run(self, args: &RunArgs, watch: Option<FileWatch>, log: Log) -> Result<()> {
        let Self { settings, config, objects, addresses, engine, dns: prepared, why } = self;
        warnings(&config).iter().for_each(|warning| tracing::warn!("{warning}"));
        let (node, mode) = (engine.store().node_name(), config.mode.as_str());
        tracing::info!(node = &**node, mode, why, version = env!("CARGO_PKG_VERSION"), "starting");
        let requests = objects.requests();
        let events = Events(requests.clone().filter(|_| settings.towpath.events));
        let late = late(&settings.proxy, config.mode);
        let board = Board::new(late, objects.stats(), prepared.as_ref().map(Prepared::metrics));
        let dns = prepared.as_ref().map(|prepared| Arc::clone(&prepared.dns));
        board.set_mode(config.mode, late);
        board.trail.keep(settings.towpath.audit_entries as usize);
        board.state().why.clone_from(&why);
        let owner = HealthOwner { board: Arc::clone(&board), events: events.clone() };
        let (health, service_health) = ServiceHealth::new(Arc::new(owner));
        let (to_sync, inbox) = sync_channel(QUEUE);
        let probe = settings.towpath.self_probe.clone();
        let place = Shared::default();
        let followers = Followers {
            health: health_follower(health.clone()),
            node: node_follower(health, dns.clone()),
            first_sync: Some(first_sync(&settings, requests)),
            dns: dns.as_ref().map(|dns| dns.feed(Arc::clone(&board), objects.stats())),
            events: events.clone(),
            canary: probe.enabled.then(|| Canary::new(probe.clone(), place.clone())),
        };
        let janitor = Janitor::start(Arc::clone(&board), &settings)?;
        let sync = SyncLoop::new(engine, janitor, conntrack_socket(), Arc::clone(&board), inbox, followers);
        let sync = thread::Builder::new().name("sync".into()).spawn(move || sync.run())?;
        let of_dns = Reporter::new(RepairedLabel::DNS, Arc::clone(&board), events.clone());
        let keeper = keep_dns(prepared, of_dns);
        let (stopper, stop) = stop_pair()?;
        let prober = || Prober {
            settings: probe.clone(),
            shared: place,
            board: Arc::clone(&board),
            events: events.clone(),
        };
        let prober = probe.enabled.then(|| prober().start(&stop)).transpose()?;
        let api = objects.stats();
        let status_api = api.clone();
        let sources = source::start(objects, addresses, &to_sync, &stop)?;
        let writer = snapshot_writer(&settings, api, &to_sync, &board)?;
        let (restart, restarts) = unbounded_channel();
        let shared = Arc::new(Mutex::new(settings.clone()));
        let follower = watch.map(|watch| {
            let apply = Live {
                sync: to_sync.clone(),
                log,
                restart,
                settings: Arc::clone(&shared),
                flags: args.proxy.clone(),
                opened: None,
            };
            let (proxy, towpath) = (args.proxy.clone(), args.towpath.clone());
            let (current, board) = (settings.clone(), Arc::clone(&board));
            Reload { watch, proxy, towpath, current, board, apply }.start(stop.clone())
        });
        let follower = follower.transpose()?;
        events.starting();
        let asker = Arc::new(Asker::new(to_sync.clone()));
        board.traffic.start(&settings.towpath.service_metrics, Arc::clone(&asker), Arc::clone(&board))?;
        let debug = DebugPages {
            flows: Arc::new(FlowDesk::new(Arc::clone(&asker), Arc::clone(&board))),
            board: Arc::clone(&board),
            settings: shared,
            sync: to_sync.clone(),
            comparer: Comparer::new(Arc::clone(&asker)),
            asker,
            dns: dns.clone(),
            api: status_api,
            large: Large::default(),
            last_told: LastTold::default(),
        };
        let listeners = Listeners {
            health: Arc::new(HealthPages { board }),
            debug: Arc::new(debug),
            service_health,
            events,
        };
        let threads: Vec<_> = sources.iter().chain([&sync]).collect();
        let result = until_stopped(&settings, listeners, restarts, &threads);
        end_soon(result.is_ok());
        if let Some(dns) = dns {
            dns.end();
        }
        stopper.stop();
        if let Some(writer) = writer {
            writer.finish();
        }
        let _ = to_sync.send(Message::Stop);
        sources
            .into_iter()
            .chain(follower)
            .chain(keeper)
            .chain(prober)
            .for_each(|thread| drop(thread.join()));
        let panicked = sync.join().is_err();
        ensure!(!panicked, "the sync thread failed; the kernel keeps its last state");
        tracing::info!("stopped; the rules stay (towpath cleanup removes them)");
        result
    }
}

/// Has DNS work; where it is off or cannot, what an earlier run has left of it goes.
fn keep_dns(prepared: Option<Prepared>, reporter: Reporter) -> Option<JoinHandle<()>> {
    match prepared.map(|prepared| prepared.start(reporter)) {
        Some(Ok(thread)) => return Some(thread),
        Some(Err(error)) => tracing::error!("DNS is not served until towpath is started anew: {error:#}"),
        None => {}
    }
    match dns::remove() {
        Ok(true) => tracing::info!("DNS is off: what an earlier run had for it is removed"),
        Ok(false) => {}
        // A kernel without nf_tables has nothing of it.
        Err(error) => tracing::debug!("DNS is off; what an earlier run has left is not known: {error:#}"),
    }
    None
}

fn conntrack_socket() -> Option<Socket> {
    let opened = conntrack::open();
    if let Err(error) = &opened {
        tracing::warn!(%error, "no conntrack: stale UDP flows end by their timeouts only (CONFIG_NF_CT_NETLINK)");
    }
    opened.ok()
}

/// Whatever still hangs then (a plugin, a disk, a log that nobody reads) is not waited for: the rules stay in any case.
pub(crate) fn end_soon(in_order: bool) {
    thread::spawn(move || {
        thread::sleep(LAST_CALL);
        std::process::exit(i32::from(!in_order));
    });
}

/// Only what an API server says is worth keeping: files are there already.
fn snapshot_writer(
    settings: &Settings,
    api: Option<Arc<Stats>>,
    sync: &SyncSender<Message>,
    board: &Arc<Board>,
) -> Result<Option<snapshot::Writer>> {
    let wanted = &settings.towpath.snapshot;
    let Some(api) = api.filter(|_| wanted.enabled) else { return Ok(None) };
    snapshot::prepare(&wanted.path);
    snapshot::Writer::start(wanted.path.clone(), sync.clone(), Arc::clone(board), api).map(Some)
}

/// Tells the server of a health check what it is to answer. kube-proxy has a server for each family; here one server
/// answers both, with the larger count.
fn health_follower(handle: Handle) -> HealthFollower {
    Box::new(move |news| {
        let wanted = news.check.map(|check| Wanted {
            port: check.port,
            endpoints: check.endpoints.into_iter().flatten().max().unwrap_or(0),
        });
        handle.set(news.service, wanted);
    })
}

/// Tells the servers of health checks where to listen: where NodePorts answer.
fn node_follower(handle: Handle, dns: Option<Arc<Dns>>) -> NodeFollower {
    Box::new(move |config, facts| {
        if let Some(dns) = &dns {
            dns.set_primaries(IpFamily::ALL.iter().filter_map(|family| facts.primary(*family)).collect());
        }
        let of_family = |family| match NodePortScope::new(config, facts, family) {
            NodePortScope::All if family == IpFamily::V4 => vec![IpAddr::from(Ipv4Addr::UNSPECIFIED)],
            NodePortScope::All => vec![IpAddr::from(Ipv6Addr::UNSPECIFIED)],
            NodePortScope::Only(list) => list,
        };
        handle.set_addresses(HealthAddresses::These(IpFamily::ALL.into_iter().flat_map(of_family).collect()));
    })
}

fn first_sync(
    settings: &Settings,
    requests: Option<sources::kubernetes::Requests>,
) -> Box<dyn FnOnce() + Send> {
    let settings = settings.clone();
    Box::new(move || {
        // The first rules have loaded the module, if it was not there at the start of the node.
        duties::conntrack_again(&settings);
        let taint = &settings.towpath.startup_taint;
        if let Some(requests) = requests.filter(|_| !taint.is_empty()) {
            requests.remove_taint(taint.clone());
        }
    })
}

/// Takes over a changed configuration.
struct Live {
    sync: SyncSender<Message>,
    log: Log,
    restart: UnboundedSender<String>,
    settings: Arc<Mutex<Settings>>,
    flags: KubeProxyFlags,
    /// The dataplane of the mode that the new settings name, if it is another one.
    opened: Option<Opened>,
}

impl Apply for Live {
    fn check(&mut self, settings: &Settings, changes: &LiveChanges) -> Result<()> {
        self.opened = None;
        let restarts = !changes.restart.is_empty();
        if restarts {
            Objects::open(settings, &self.flags, &settings::node_name(settings)?, dns::needs(settings))?;
        }
        if restarts || changes.live.iter().any(|field| field == "mode") {
            let modes::Chosen { opened, why } = modes::choose(settings)?;
            tracing::info!("mode: {why}");
            self.opened = Some(opened);
        } else if changes.live.iter().any(|field| field == "ipvs.scheduler") {
            // Whether the kernel has it.
            modes::choose(settings)?;
        }
        Ok(())
    }

    fn live(&mut self, settings: &Settings, changes: &LiveChanges) {
        let changed = |section: &str| changes.live.iter().any(|field| field.starts_with(section));
        tracing::info!("the configuration changed in {}; it is applied", changes.live.join(", "));
        self.log.apply(settings);
        if changed("conntrack") {
            duties::conntrack(settings);
        }
        if changed("oomScoreAdj") {
            duties::oom_score(settings);
        }
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings.clone();
        let message = self.message(settings);
        let _ = self.sync.send(message);
    }

    fn restart(&mut self, fields: &[String]) {
        let _ = self.restart.send(fields.join(", "));
    }
}

impl Live {
    fn message(&mut self, settings: &Settings) -> Message {
        let settings = Box::new(settings.clone());
        match self.opened.take() {
            Some(opened) => Message::Mode(opened, settings),
            None => Message::Settings(settings),
        }
    }
}
