//! `towpath run --shadow`: what a running kube-proxy has programmed, compared with what towpath would do. Writes nothing.
//!
//! ```text
//! sources --Change--> Store --resolve--> Expected --+
//!                                                   +-- compare --> differences that last --> log, /debug/shadow, metric
//! kernel --read as kube-proxy writes it--> Programmed
//! ```
//!
//! kube-proxy and towpath hear of a change at different moments, so a difference counts only when it lasts.

mod report;
mod watcher;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use admin::service_health::ServiceHealth;
use anyhow::{Result, ensure};
use config::Settings;
use model::Store;
use sources::{Addresses, stop_pair};
use tokio::sync::mpsc::unbounded_channel;

use crate::board::Board;
use crate::cli::RunArgs;
use crate::debug::HealthPages;
use crate::events::Events;
use crate::run::end_soon;
use crate::serve::{HealthOwner, Listeners, until_stopped};
use crate::source::Objects;
use crate::sync::{Message, QUEUE};
use crate::{logging, modes, options, settings, signals, source};
use report::{Report, ShadowPages};
use watcher::Watcher;

/// Compares until SIGTERM or SIGINT.
pub(crate) fn run(args: &RunArgs, settings: Settings) -> Result<()> {
    signals::hold()?;
    let settings = without_traces(args, settings);
    let node = settings::node_name(&settings)?;
    let objects = Objects::open(&settings, &args.proxy, &node, None)?;
    let addresses = Addresses::open()?;
    let log = logging::start(&settings)?;
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    tracing::info!(
        node,
        version = env!("CARGO_PKG_VERSION"),
        "comparing with kube-proxy; nothing is written"
    );
    let mode = modes::offline(&settings);
    let board = Board::new(options::late(&settings.proxy, mode), objects.stats(), None);
    let report = Arc::new(Mutex::new(Report::default()));
    let (to_sync, inbox) = sync_channel(QUEUE);
    let sources = [objects.name(), Addresses::NAME];
    let watcher = Watcher::new(
        settings.clone(),
        Store::new(node),
        &sources,
        inbox,
        Arc::clone(&board),
        Arc::clone(&report),
    );
    let watcher = thread::Builder::new().name("shadow".into()).spawn(move || watcher.run())?;
    let (stopper, stop) = stop_pair()?;
    let sources = source::start(objects, addresses, &to_sync, &stop)?;
    let (_restart, restarts) = unbounded_channel();
    let events = Events::default();
    let owner = HealthOwner { board: Arc::clone(&board), events: events.clone() };
    let (_health, service_health) = ServiceHealth::new(Arc::new(owner));
    let listeners = Listeners {
        health: Arc::new(HealthPages { board: Arc::clone(&board) }),
        debug: Arc::new(ShadowPages { board, report }),
        service_health,
        events,
    };
    let threads: Vec<_> = sources.iter().chain([&watcher]).collect();
    let result = until_stopped(&settings, listeners, restarts, &threads);
    // A tool that hangs while kube-proxy's rules are read is not waited for.
    end_soon(result.is_ok());
    stopper.stop();
    let _ = to_sync.send(Message::Stop);
    sources.into_iter().for_each(|thread| drop(thread.join()));
    let panicked = watcher.join().is_err();
    log.flush();
    ensure!(!panicked, "the thread that compares failed");
    result
}

/// Beside a kube-proxy, whose ports these are: addresses are listened on only if flags name them. Nothing is kept on
/// disk, and nothing is said to the API server.
fn without_traces(args: &RunArgs, mut settings: Settings) -> Settings {
    settings.towpath.snapshot.enabled = false;
    settings.towpath.events = false;
    settings.towpath.startup_taint.clear();
    // Not those of the file, which are kube-proxy's own.
    let given = |flag: &Option<String>| flag.clone().unwrap_or_default();
    settings.proxy.healthz_bind_address = given(&args.proxy.healthz_bind_address);
    settings.proxy.metrics_bind_address = given(&args.proxy.metrics_bind_address);
    settings
}
