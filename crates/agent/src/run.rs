//! `towpath run`: start order and shutdown.

use std::net::SocketAddr;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use admin::Pages;
use anyhow::{Context, Result, bail, ensure};
use dataplane::Engine;
use model::{Change, Store};
use netlink::{Socket, conntrack};
use nftables::Nftables;
use resolve::{Mode, ProxyConfig};
use sources::{Addresses, Manifests, StopSignal, stop_pair};
use tokio::signal::unix::{SignalKind, signal};

use crate::board::Board;
use crate::cli::RunArgs;
use crate::load::store;
use crate::options::{proxy_config, warnings};
use crate::pages::{DebugPages, HealthPages};
use crate::sync::{Message, QUEUE, SyncLoop};

/// How soon a listener that could not be bound is tried again, as kube-proxy does it.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// Runs the agent until SIGTERM or SIGINT. Rules stay when it ends.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    start_logging(args);
    let config = proxy_config(&args.meaning)?;
    ensure!(
        config.mode == Mode::Nftables,
        "--proxy-mode: mode {} is not built yet, only nftables",
        config.mode.as_str()
    );
    let path = args.manifests.as_deref().context("--source manifests needs --manifests PATH")?;
    let node = node_name(&args.hostname_override)?;
    let manifests = Manifests::open(path)?;
    let addresses = Addresses::open()?;
    let engine = engine(store(&node, &args.meaning), config.clone())?;
    warnings(&config).iter().for_each(|warning| tracing::warn!("{warning}"));
    tracing::info!(node, mode = config.mode.as_str(), version = env!("CARGO_PKG_VERSION"), "starting");
    let board = Board::new();
    let (to_sync, inbox) = sync_channel(QUEUE);
    let sync = SyncLoop::new(engine, conntrack_socket(), Arc::clone(&board), inbox);
    let sync = thread::Builder::new().name("sync".into()).spawn(move || sync.run())?;
    let (stopper, stop) = stop_pair()?;
    let sources = start_sources(manifests, addresses, &to_sync, &stop)?;
    let threads: Vec<&JoinHandle<()>> = sources.iter().chain([&sync]).collect();
    let result = serve_until_stopped(args, &board, config, &to_sync, &threads);
    stopper.stop();
    let _ = to_sync.send(Message::Stop);
    sources.into_iter().for_each(|source| drop(source.join()));
    let panicked = sync.join().is_err();
    ensure!(!panicked, "the sync thread failed; the kernel keeps its last state");
    tracing::info!("stopped; the rules stay (towpath cleanup removes them)");
    result
}

fn start_logging(args: &RunArgs) {
    let level = match args.verbosity {
        0..=2 => "info",
        3 | 4 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("TOWPATH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if args.logging_format == "json" { builder.json().init() } else { builder.with_ansi(false).init() }
}

/// As kube-proxy: trimmed and in lower case; it must equal the Node object's name, or nothing is local.
fn node_name(wanted: &str) -> Result<String> {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the host's name");
    let name = if wanted.is_empty() { host()? } else { wanted.to_owned() };
    let name = name.trim().to_lowercase();
    ensure!(!name.is_empty(), "--hostname-override: the node's name is empty");
    Ok(name)
}

/// Opens the dataplane and asks the kernel for everything that it needs, before anything is programmed.
fn engine(store: Store, config: ProxyConfig) -> Result<Engine<Nftables>> {
    let nftables = Nftables::open().context("cannot talk to nf_tables (CONFIG_NF_TABLES)")?;
    let mut socket = Socket::open(netlink::nft::NETLINK_NETFILTER)?;
    let missing = nftables::probe(&mut socket);
    if let Some(first) = missing.first() {
        bail!("{first}");
    }
    Ok(Engine::new(store, config, nftables, &[Manifests::NAME, Addresses::NAME]))
}

fn conntrack_socket() -> Option<Socket> {
    let opened = conntrack::open();
    if let Err(error) = &opened {
        tracing::warn!(%error, "no conntrack: stale UDP flows end by their timeouts only (CONFIG_NF_CT_NETLINK)");
    }
    opened.ok()
}

fn start_sources(
    mut manifests: Manifests,
    mut addresses: Addresses,
    sync: &SyncSender<Message>,
    stop: &StopSignal,
) -> Result<Vec<JoinHandle<()>>> {
    let (to_sync, signal) = (sync.clone(), stop.clone());
    let files = thread::Builder::new().name("manifests".into()).spawn(move || {
        let mut sink = |change| to_sync.send(Message::Change(change)).is_ok();
        let result = manifests.load(&mut sink).and_then(|()| manifests.run(&signal, &mut sink));
        report("manifests", result.err().map(|e| e.to_string()));
    })?;
    let (to_sync, signal) = (sync.clone(), stop.clone());
    let links = thread::Builder::new().name("addresses".into()).spawn(move || {
        let mut sink = |change: Change| to_sync.send(Message::Change(change)).is_ok();
        let result = addresses.load(&mut sink).and_then(|()| addresses.run(&signal, &mut sink));
        report("addresses", result.err().map(|e| e.to_string()));
    })?;
    Ok(vec![files, links])
}

fn report(source: &str, error: Option<String>) {
    if let Some(error) = error {
        tracing::error!(source, "{error}");
    }
}

fn serve_until_stopped(
    args: &RunArgs,
    board: &Arc<Board>,
    config: ProxyConfig,
    sync: &SyncSender<Message>,
    threads: &[&JoinHandle<()>],
) -> Result<()> {
    let debug = DebugPages { board: Arc::clone(board), config, sync: sync.clone(), turn: Mutex::new(()) };
    let health = HealthPages { board: Arc::clone(board) };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
    let result = runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let hard = args.bind_address_hard_fail;
        let listeners = async {
            tokio::try_join!(
                listen("--healthz-bind-address", args.healthz_bind_address.0, Arc::new(health), hard),
                listen("--metrics-bind-address", args.metrics_bind_address.0, Arc::new(debug), hard),
            )
        };
        tokio::select! {
            _ = term.recv() => Ok(()),
            _ = int.recv() => Ok(()),
            name = ended(threads) => {
                bail!("the {name} thread ended; leaving, so that towpath is started anew; the rules stay")
            }
            result = listeners => result.map(|_| ()),
        }
    });
    // A page that is being made is not waited for.
    runtime.shutdown_background();
    result
}

/// Serves one address for ever; without an address, waits for ever.
async fn listen(flag: &str, address: Option<SocketAddr>, pages: Arc<dyn Pages>, hard: bool) -> Result<()> {
    let Some(address) = address else { return std::future::pending().await };
    loop {
        match admin::bind(address).await {
            Ok(listener) => admin::serve(listener, Arc::clone(&pages)).await,
            Err(error) if hard => {
                return Err(error).with_context(|| format!("{flag}: cannot bind {address}"));
            }
            Err(error) => tracing::error!("{flag}: cannot bind {address}: {error}; trying again in 5 s"),
        }
        tokio::time::sleep(BIND_AGAIN).await;
    }
}

/// Waits until one of the threads has ended; its name. A source that does not follow changes any more must not look
/// healthy.
async fn ended(threads: &[&JoinHandle<()>]) -> String {
    loop {
        if let Some(thread) = threads.iter().find(|thread| thread.is_finished()) {
            return thread.thread().name().unwrap_or_default().to_owned();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
