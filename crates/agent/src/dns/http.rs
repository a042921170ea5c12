//! `/health`, `/ready` and `/metrics` where a Corefile wants them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use admin::{Page, PageRequest, Pages};
use anyhow::Result;
use dns::Server;
use dns_config::{Config, HttpAddress};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::{OPENMETRICS, PLAIN, plain};

/// How soon an address that could not be bound is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The endpoints of the server. They end with the value.
pub(super) struct Endpoints {
    wanted: watch::Sender<BTreeSet<SocketAddr>>,
}

impl Endpoints {
    /// Starts the thread; nothing is served yet.
    pub(super) fn start(server: Arc<RwLock<Server>>) -> Result<Self> {
        let (wanted, news) = watch::channel(BTreeSet::new());
        let pages: Arc<dyn Pages> = Arc::new(DnsPages::new(server));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = move || runtime.block_on(serve(news, pages));
        thread::Builder::new().name("dns-http".into()).spawn(serve)?;
        Ok(Self { wanted })
    }

    /// Serves what a configuration names from now on. `here`: in the place of "all addresses".
    pub(super) fn set(&self, config: &Config, here: &[IpAddr]) {
        let wanted = config.blocks.iter().flat_map(|block| {
            let health = block.health.map(|health| health.address);
            let ready = block.ready.map(|ready| ready.address);
            [health, ready, block.prometheus.map(|prometheus| prometheus.address)]
        });
        let addresses = wanted.flatten().flat_map(|address| places(address, here)).collect();
        self.wanted.send_if_modified(|now| std::mem::replace(now, addresses) != *now);
    }
}

fn places(address: HttpAddress, here: &[IpAddr]) -> Vec<SocketAddr> {
    let hosts = address.host.map_or_else(|| here.to_vec(), |host| vec![host]);
    hosts.into_iter().map(|host| SocketAddr::new(host, address.port)).collect()
}

/// Every address of the host, of both families; of one where the host has no IPv6.
pub(super) fn everywhere() -> Vec<IpAddr> {
    let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    // A socket of `::` takes IPv4 too, unless the host says otherwise (net.ipv6.bindv6only).
    let only = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
    match std::net::TcpListener::bind(both) {
        Ok(_) if only.is_ok_and(|only| only.trim() == "0") => vec![both.ip()],
        Ok(_) => vec![Ipv4Addr::UNSPECIFIED.into(), both.ip()],
        Err(_) => vec![Ipv4Addr::UNSPECIFIED.into()],
    }
}

async fn serve(mut news: watch::Receiver<BTreeSet<SocketAddr>>, pages: Arc<dyn Pages>) {
    loop {
        let wanted = news.borrow_and_update().clone();
        let mut serving = JoinSet::new();
        wanted.into_iter().for_each(|address| drop(serving.spawn(listen(address, Arc::clone(&pages)))));
        if news.changed().await.is_err() {
            return;
        }
    }
}

async fn listen(address: SocketAddr, pages: Arc<dyn Pages>) {
    loop {
        match admin::bind(address).await {
            Ok(listener) => admin::serve(listener, Arc::clone(&pages)).await,
            Err(error) => tracing::error!("DNS: cannot bind {address} (HTTP): {error}; trying again in 5 s"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

struct DnsPages {
    server: Arc<RwLock<Server>>,
    registry: Registry,
}

impl DnsPages {
    fn new(server: Arc<RwLock<Server>>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(server.read().unwrap_or_else(PoisonError::into_inner).metrics());
        Self { server, registry }
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Pages for DnsPages {
    fn get(&self, path: &str, _: &str) -> Page {
        let state = self.server.read().unwrap_or_else(PoisonError::into_inner).state();
        match path {
            "/health" if state.draining => Page::text(503, "draining"),
            "/health" => Page::text(200, "OK"),
            "/ready" if state.is_ready() => Page::text(200, "OK"),
            "/ready" => Page::text(503, "kubernetes"),
            "/metrics" => Page { content_type: PLAIN, ..Page::text(200, plain(&self.metrics())) },
            _ => Page::not_found(),
        }
    }

    fn get_with(&self, request: &PageRequest) -> Page {
        if request.path == "/metrics" && admin::wants_openmetrics(request.accept.as_deref()) {
            return Page { content_type: OPENMETRICS, ..Page::text(200, self.metrics()) };
        }
        self.get(&request.path, &request.query)
    }

    fn is_quick(&self, _: &str) -> bool {
        true
    }
}
