//! Keeps the node as DNS needs it, and the server as its configuration says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dns_config::{Config, SystemEnv};
use dns_node::{DnsNode, PORT, Prober, Wanted};
use dns_wire::{Name, class, rtype};
use resolve::Mode;

use super::configuration::{Origin, Reading};
use super::files::Followed;
use super::http::Endpoints;
use super::is_synced;
use super::needs::lacking;
use super::node::{Dns, State, lock, origin};
use crate::board::Board;

/// How often the node is compared with what it should be, and what failed is tried again.
const LOOK: Duration = Duration::from_secs(5);
/// How long queries that wait are waited for at the end.
const DRAIN: Duration = Duration::from_secs(2);
/// What is asked of our own server, below the cluster's domain: it is known at all times.
const PROBE: &str = "dns-version";

pub(super) struct Keeper {
    dns: Arc<Dns>,
    board: Arc<Board>,
    files: Followed,
    endpoints: Endpoints,
    origin: Origin,
    config: Config,
    node: DnsNode,
    prober: Prober,
}

impl Keeper {
    pub(super) fn new(dns: Arc<Dns>, files: Followed, board: Arc<Board>) -> Result<Self> {
        let endpoints = Endpoints::start(Arc::clone(&dns.server))?;
        let origin = origin(&dns.settings);
        let (node, prober) = (DnsNode::open()?, Prober::start(&probe(&dns.settings.cluster_domain)?)?);
        Ok(Self { dns, board, files, endpoints, origin, config: Config::default(), node, prober })
    }

    /// Works until told to end.
    pub(super) fn run(mut self) {
        self.files.follow(&self.origin.files(None));
        self.configure();
        while !self.dns.ends.load(Ordering::SeqCst) {
            self.look();
            if self.files.changed(Some(Instant::now() + LOOK)) && !self.dns.ends.load(Ordering::SeqCst) {
                self.configure();
            }
        }
        self.end();
    }

    /// Reads the configuration anew. One that cannot be read leaves the one before in force.
    fn configure(&mut self) {
        self.origin.cluster = lock(&self.dns.watched).vips();
        match self.origin.read() {
            Ok(reading) => self.take(reading),
            Err(error) => {
                let error = format!("{error:#}");
                if lock(&self.dns.state).config_error.as_ref() != Some(&error) {
                    tracing::error!("DNS: {error}; the configuration of before stays in force");
                }
                lock(&self.dns.state).config_error = Some(error);
            }
        }
    }

    fn take(&mut self, reading: Reading) {
        let Reading { config, mut notes } = reading;
        self.files.follow(&self.origin.files(Some(&config)));
        notes.extend(lock(&self.dns.server).reconfigure(&config, &SystemEnv));
        notes.extend(lacking(&config, self.dns.needs));
        self.config = config;
        let mut state = lock(&self.dns.state);
        if state.notes != notes {
            notes.iter().for_each(|note| tracing::warn!("DNS: {note}"));
        }
        (state.notes, state.config_error) = (notes, None);
    }

    /// Makes the node what it should be, and listens there.
    fn look(&mut self) {
        let wanted = self.wanted();
        let mut troubles = Vec::new();
        match self.node.apply(&wanted) {
            Ok(true) => tracing::info!(?wanted, "DNS: the node was changed"),
            Ok(false) => {}
            Err(error) => troubles.push(format!("{error}")),
        }
        troubles.extend(self.listen(&wanted));
        self.endpoints.set(&self.config, &wanted.listen);
        self.prober.set(self.node.ends());
        if is_synced(&self.dns.names) && lock(&self.dns.state).config_error.is_none() {
            self.prober.resume();
        }
        let intercepted = self.node.alive().unwrap_or_default();
        let mut state = lock(&self.dns.state);
        if state.troubles != troubles {
            troubles.iter().for_each(|trouble| tracing::error!("DNS: {trouble}; trying again every 5 s"));
        }
        *state = State { troubles, wanted, intercepted, ..state.clone() };
    }

    /// Opens and closes sockets; what went wrong.
    fn listen(&mut self, wanted: &Wanted) -> Vec<String> {
        let at = wanted.listen.iter().chain(&wanted.intercept);
        let addresses: Vec<SocketAddr> = at.map(|ip| SocketAddr::new(*ip, PORT)).collect();
        let mut server = lock(&self.dns.server);
        if server.addresses() == addresses {
            return Vec::new();
        }
        let before = server.addresses();
        let errors = server.listen(&addresses).iter().map(ToString::to_string).collect();
        if server.addresses() != before {
            // So that no upstream leads back here.
            server.reconfigure(&self.config, &SystemEnv);
        }
        errors
    }

    fn wanted(&self) -> Wanted {
        let watched = lock(&self.dns.watched);
        let vips = if self.intercepts() { watched.vips() } else { Vec::new() };
        Wanted {
            listen: self.dns.settings.listen.clone(),
            intercept: vips,
            opted_out: watched.opted_out(),
            node: lock(&self.dns.primaries).clone(),
        }
    }

    /// Whether the DNS Service is to be answered here. IPVS takes packets for its virtual servers before any socket.
    fn intercepts(&self) -> bool {
        self.dns.settings.intercept && self.board.state().mode != Mode::Ipvs
    }

    /// Leads packets away first, then answers what has come.
    fn end(&mut self) {
        self.prober.pause();
        if let Err(error) = self.node.flip_back() {
            tracing::error!("DNS: {error}; the interception ends by itself within 2 s");
        }
        lock(&self.dns.server).drain(DRAIN);
    }
}

/// A query for the version of the schema, which every cluster domain has.
fn probe(domain: &str) -> Result<Vec<u8>> {
    let name: Name = format!("{PROBE}.{domain}").parse().context("the probe's name")?;
    let mut query = Vec::new();
    dns_wire::ask(&mut query, 0, name.as_ref(), rtype::TXT, class::IN, false, false, false, 1232);
    Ok(query)
}
