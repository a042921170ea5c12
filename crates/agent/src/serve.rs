//! The listeners: health for load balancers and kubelets, metrics and debug pages, the servers of `healthCheckNodePort`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use admin::Pages;
use admin::service_health::{Failure, Owner, ServiceHealth};
use anyhow::{Result, anyhow, bail};
use config::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::board::Board;
use crate::events::Events;
use crate::signals;

/// How soon a listener that could not be bound is tried again, as kube-proxy does it.
const BIND_AGAIN: Duration = Duration::from_secs(5);
/// How long an Event may take to be posted before the process ends because of what it says.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Pages that take long are made by so many threads.
const PAGES_AT_ONCE: usize = 8;

/// What is served where.
pub(crate) struct Listeners {
    pub(crate) health: Arc<dyn Pages>,
    pub(crate) debug: Arc<dyn Pages>,
    pub(crate) service_health: ServiceHealth,
    pub(crate) events: Events,
}

/// Serves until told to stop: by a signal, by the thread that follows the configuration, by a thread that ended.
pub(crate) fn until_stopped(
    settings: &Settings,
    listeners: Listeners,
    mut restart: UnboundedReceiver<String>,
    threads: &[&JoinHandle<()>],
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(PAGES_AT_ONCE)
        // However many pages are asked for, a sync goes before them.
        .on_thread_start(|| {
            netlink::stand_back();
        })
        .build()?;
    let Listeners { health, debug, service_health, events } = listeners;
    let result = runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        signals::release()?;
        let bind = |name, reason, address| Bind {
            name,
            reason,
            address,
            hard: settings.proxy.bind_address_hard_fail,
            events: events.clone(),
        };
        let health_at =
            bind("healthz", "FailedToStartProxierHealthcheck", settings.proxy.healthz_address());
        let debug_at = bind("metrics", "FailedToStartMetricServer", settings.proxy.metrics_address());
        let pages = async { tokio::try_join!(listen(health_at, health), listen(debug_at, debug)) };
        tokio::select! {
            _ = term.recv() => Ok(()),
            _ = int.recv() => Ok(()),
            Some(fields) = restart.recv() => {
                tracing::info!("the configuration changed in {fields}, which needs a new process: leaving, to be started anew");
                Ok(())
            }
            name = ended(threads) => {
                bail!("the {name} thread ended; leaving, so that towpath is started anew; the rules stay")
            }
            () = service_health.run() => bail!("the servers of healthCheckNodePort ended"),
            result = pages => result.map(|_| ()),
        }
    });
    // A page that is being made is not waited for.
    runtime.shutdown_background();
    result
}

/// One address to listen on.
struct Bind {
    name: &'static str,
    /// The reason of the Event when it cannot be bound and that ends the process.
    reason: &'static str,
    /// Without one, it is not served.
    address: Option<SocketAddr>,
    hard: bool,
    events: Events,
}

/// Serves one address for ever; without an address, waits for ever.
async fn listen(at: Bind, pages: Arc<dyn Pages>) -> Result<()> {
    let Some(address) = at.address else { return std::future::pending().await };
    loop {
        match admin::bind(address).await {
            Ok(listener) => admin::serve(listener, Arc::clone(&pages)).await,
            Err(error) => {
                let message = format!("{}: cannot bind {address}: {error}", at.name);
                if at.hard {
                    at.events.cannot_bind(at.reason, message.clone());
                    tokio::time::sleep(LAST_WORDS).await;
                    return Err(anyhow!("{message} (bindAddressHardFail is set)"));
                }
                tracing::error!("{message}; trying again in 5 s");
            }
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

/// Answers for the proxy to the servers of `healthCheckNodePort`.
pub(crate) struct HealthOwner {
    pub(crate) board: Arc<Board>,
    pub(crate) events: Events,
}

impl Owner for HealthOwner {
    fn is_healthy(&self) -> bool {
        self.board.state().health.is_current()
    }

    fn failed(&self, failure: &Failure) {
        self.events.no_health_server(failure);
    }
}
