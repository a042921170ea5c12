//! Keeps the node as DNS needs it, and the server as its configuration says.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dns_config::{Config, SystemEnv};
use dns_node::{DnsNode, PORT, Prober, Wanted};
use dns_wire::{Name, class, rtype};

use super::configuration::{Origin, Reading};
use super::files::Followed;
use super::http::Endpoints;
use super::needs::lacking;
use super::node::{Dns, State, lock, origin};
use super::{is_stale, is_synced};
use crate::repair::Reporter;

/// How often the node is compared with what it should be, and what failed is tried again.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is looked whether others may have changed it, which costs a few system calls.
const WATCH: Duration = Duration::from_millis(250);
/// After this, addresses of ours are answered though the names are not complete: who asks there has nobody else.
const ALONE: Duration = Duration::from_secs(5);
/// How long queries that wait are waited for at the end.
const DRAIN: Duration = Duration::from_secs(2);
/// What is asked of our own server, below the cluster's domain: it is known at all times.
const PROBE: &str = "dns-version";

pub(super) struct Keeper {
    dns: Arc<Dns>,
    files: Followed,
    endpoints: Endpoints,
    origin: Origin,
    config: Config,
    /// Some configuration is in force.
    configured: bool,
    node: DnsNode,
    prober: Prober,
    since: Instant,
    /// Others may have changed the node since it was looked at.
    touched: bool,
    reporter: Reporter,
}

impl Keeper {
    pub(super) fn new(dns: Arc<Dns>, files: Followed, reporter: Reporter) -> Result<Self> {
        let endpoints = Endpoints::start(Arc::clone(&dns.server))?;
        let origin = origin(&dns.settings);
        let (node, prober) = (DnsNode::open()?, Prober::start(&probe(&dns.settings.cluster_domain)?)?);
        let (config, configured, since) = (Config::default(), false, Instant::now());
        let touched = false;
        Ok(Self { dns, files, endpoints, origin, config, configured, node, prober, since, touched, reporter })
    }

    /// Works until told to end.
    pub(super) fn run(mut self) {
        self.files.follow(&self.origin.files(None));
        self.configure();
        while !self.dns.ends.load(Ordering::SeqCst) {
            self.look();
            if self.is_woken() && !self.dns.ends.load(Ordering::SeqCst) {
                self.configure();
            }
        }
        self.end();
    }

    /// Waits until there may be something to do; true: somebody has woken it.
    fn is_woken(&mut self) -> bool {
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !self.touched {
            if self.files.changed(Some(until.min(Instant::now() + WATCH))) {
                return true;
            }
            self.touched = self.node.is_touched();
        }
        false
    }

    /// Reads the configuration anew. One that cannot be read leaves the one before in force.
    fn configure(&mut self) {
        self.origin.cluster = lock(&self.dns.watched).vips();
        match self.origin.read() {
            Ok(reading) => self.take(reading),
            Err(error) => {
                let error = format!("{error:#}");
                self.dns.server().note_refused();
                // Placeholders may need the address of the DNS Service, which comes with the names.
                let early = self.origin.cluster.is_empty() && !is_synced(&self.dns.names);
                if !early && lock(&self.dns.state).config_error.as_ref() != Some(&error) {
                    tracing::error!("DNS: {error}; the configuration of before stays in force");
                }
                lock(&self.dns.state).config_error = Some(error);
            }
        }
    }

    fn take(&mut self, reading: Reading) {
        let Reading { config, mut notes } = reading;
        self.files.follow(&self.origin.files(Some(&config)));
        notes.extend(self.dns.server().reconfigure(&config, &SystemEnv));
        notes.extend(lacking(&config, self.dns.needs));
        if !self.configured || config != self.config {
            self.ask_of(&config);
        }
        (self.config, self.configured) = (config, true);
        let mut state = lock(&self.dns.state);
        if state.notes != notes {
            notes.iter().for_each(|note| tracing::warn!("DNS: {note}"));
        }
        (state.notes, state.config_error) = (notes, None);
    }

    /// Has the prober ask for what this configuration has.
    fn ask_of(&self, config: &Config) {
        match probe(&domain(config).unwrap_or_else(|| self.dns.settings.cluster_domain.clone())) {
            Ok(query) => self.prober.set_query(&query),
            Err(error) => tracing::error!("DNS: {error:#}"),
        }
    }

    /// Makes the node what it should be, and listens there.
    fn look(&mut self) {
        let wanted = self.wanted();
        let mut troubles = Vec::new();
        let (touched, by) = (std::mem::take(&mut self.touched), self.node.touched_by());
        let unchanged = lock(&self.dns.state).wanted == wanted;
        match self.node.apply(&wanted) {
            Ok(true) if touched && unchanged => self.tell_repair(by.as_deref()),
            Ok(true) => tracing::info!(?wanted, "DNS: the node was changed"),
            Ok(false) => {}
            Err(error) => troubles.push(format!("{error}")),
        }
        troubles.extend(self.listen(&wanted));
        self.endpoints.set(&self.config, &wanted.listen);
        self.prober.set(self.node.ends());
        // What the last run knew is for those who have nobody else to ask.
        if self.configured && is_synced(&self.dns.names) && !is_stale(&self.dns.names) {
            self.prober.resume();
        } else {
            self.prober.pause();
        }
        if wanted.listen.len() < self.dns.settings.listen.len() {
            troubles.push(
                "--dns-listen names an address of the cluster's DNS Service, which is left out: use --dns-intercept".into(),
            );
        }
        let mut state = lock(&self.dns.state);
        if state.troubles != troubles {
            troubles.iter().for_each(|trouble| tracing::error!("DNS: {trouble}; trying again every 5 s"));
        }
        *state = State { troubles, wanted, probes: failures(&self.prober), ..state.clone() };
    }

    fn tell_repair(&mut self, by: Option<&str>) {
        let repaired = self.node.written().join(", ");
        self.reporter.repaired(&repaired, by);
        let by = by.unwrap_or("unknown");
        tracing::warn!(by, repaired, "DNS: another program had changed what the node has for DNS; repaired");
    }

    /// Opens and closes sockets; what went wrong.
    fn listen(&mut self, wanted: &Wanted) -> Vec<String> {
        let at = self.answerable(wanted);
        let addresses: BTreeSet<SocketAddr> = at.map(|ip| SocketAddr::new(*ip, PORT)).collect();
        let mut server = self.dns.server.write().unwrap_or_else(PoisonError::into_inner);
        if server.addresses().into_iter().collect::<BTreeSet<_>>() == addresses {
            return Vec::new();
        }
        let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
        let before = server.addresses();
        let errors = server.listen(&addresses).iter().map(ToString::to_string).collect();
        if server.addresses() != before {
            // So that no upstream leads back here.
            server.reconfigure(&self.config, &SystemEnv);
        }
        errors
    }

    /// Where it is to answer by now. Before the names are complete another process may still be answering there, and would have
    /// to share with us.
    fn answerable<'a>(&self, wanted: &'a Wanted) -> impl Iterator<Item = &'a IpAddr> + use<'a> {
        let synced = is_synced(&self.dns.names);
        let knows = synced || is_stale(&self.dns.names) || self.since.elapsed() > ALONE;
        let listen = wanted.listen.iter().filter(move |_| knows);
        listen.chain(wanted.intercept.iter().filter(move |_| synced))
    }

    fn wanted(&self) -> Wanted {
        let watched = lock(&self.dns.watched);
        let all_vips = watched.vips();
        // A VIP that were given to the node would have no way back to the CoreDNS pods: it can only be intercepted.
        let listen = self.dns.settings.listen.iter().copied().filter(|ip| !all_vips.contains(ip)).collect();
        let vips = if self.dns.settings.intercept { all_vips } else { Vec::new() };
        Wanted {
            listen,
            intercept: vips,
            opted_out: watched.opted_out(),
            node: lock(&self.dns.primaries).clone(),
        }
    }

    /// Leads packets away first, then answers what has come.
    fn end(&mut self) {
        self.prober.pause();
        if let Err(error) = self.node.flip_back() {
            tracing::error!("DNS: {error}; the interception ends by itself within a second");
        }
        self.dns.server().drain(DRAIN);
    }
}

/// Probes that fail, a line each.
fn failures(prober: &Prober) -> Vec<String> {
    let failing = prober.health().into_iter().filter_map(|health| {
        let why = health.failure?;
        Some(format!("our own server does not answer right at {}/{}: {why}", health.vip, health.protocol))
    });
    failing.collect()
}

/// The cluster's domain in a configuration, if it has one.
fn domain(config: &Config) -> Option<String> {
    let zones = config.blocks.iter().filter_map(|block| block.kubernetes.as_ref()).flat_map(|k| &k.zones);
    let mut forward = zones.filter(|zone| !zone.as_ref().is_reverse());
    forward.next().map(ToString::to_string)
}

/// A query for the version of the schema, which every cluster domain has.
fn probe(domain: &str) -> Result<Vec<u8>> {
    // The root's own text is a dot.
    let name: Name =
        format!("{PROBE}.{}", domain.trim_start_matches('.')).parse().context("the probe's name")?;
    let mut query = Vec::new();
    dns_wire::ask(&mut query, 0, name.as_ref(), rtype::TXT, class::IN, false, false, false, 1232);
    Ok(query)
}
