//! Makes the listeners what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::NamespacedName;
use tokio::time::{Instant, sleep_until};

use super::answer::Answer;
use super::handle::Inbox;
use super::listener::{Listener, MAX_PROBES};
use super::{Addresses, Failure, Handle, Owner, Wanted};
use crate::places::Places;

/// How soon what could not be bound is tried again.
pub const RETRY: Duration = Duration::from_secs(5);

/// Linux's `EAFNOSUPPORT`, for which the standard library has no name.
const EAFNOSUPPORT: i32 = 97;

/// The health servers of this node.
pub struct ServiceHealth {
    inbox: Arc<Inbox>,
    owner: Arc<dyn Owner>,
    places: Places,
    addresses: Addresses,
    servers: BTreeMap<NamespacedName, Server>,
    retry: Duration,
    retry_at: Option<Instant>,
}

/// One Service's.
struct Server {
    port: u16,
    answer: Arc<Answer>,
    listeners: BTreeMap<SocketAddr, Listener>,
    /// Why it is not open everywhere; what its owner was told last.
    complaint: Option<String>,
    /// Its listeners may not be those that are wanted.
    stale: bool,
}

impl ServiceHealth {
    /// No Service yet, and all addresses. Nothing happens until [`Self::run`].
    pub fn new(owner: Arc<dyn Owner>) -> (Handle, Self) {
        let inbox = Arc::<Inbox>::default();
        let servers = Self {
            inbox: Arc::clone(&inbox),
            owner,
            places: Places::new(MAX_PROBES),
            addresses: Addresses::default(),
            servers: BTreeMap::new(),
            retry: RETRY,
            retry_at: None,
        };
        (Handle(inbox), servers)
    }

    /// Serves, on the tokio runtime (any kind, with I/O and time) on which it is polled, until dropped; with it go
    /// all listeners.
    pub async fn run(mut self) {
        let inbox = Arc::clone(&self.inbox);
        loop {
            tokio::select! {
                () = inbox.wake.notified() => self.take_turn().await,
                () = until(self.retry_at) => self.try_again(),
            }
        }
    }

    /// Does what waits.
    async fn take_turn(&mut self) {
        let waiting = self.inbox.take();
        let mut freed = false;
        for (service, wanted) in waiting.services {
            match wanted {
                Some(wanted) => self.adopt(service, wanted),
                None => freed |= self.remove(&service).await,
            }
        }
        if let Some(addresses) = waiting.addresses.filter(|new| *new != self.addresses) {
            self.addresses = addresses;
            // What was not there before, or was somebody else's, may be ours now.
            self.servers.values_mut().for_each(|server| server.stale = true);
        }
        freed |= self.close_unwanted().await;
        if freed { self.try_again() } else { self.open_missing() }
    }

    fn adopt(&mut self, service: NamespacedName, Wanted { port, endpoints }: Wanted) {
        let server = self.servers.entry(service).or_insert_with_key(|service| Server {
            port,
            answer: Arc::new(Answer::new(service.clone(), Arc::clone(&self.owner))),
            listeners: BTreeMap::new(),
            complaint: None,
            stale: true,
        });
        server.answer.set_endpoints(endpoints);
        server.stale |= server.port != port;
        server.port = port;
    }

    /// Whether a listener closed.
    async fn remove(&mut self, service: &NamespacedName) -> bool {
        let Some(mut server) = self.servers.remove(service) else { return false };
        tracing::debug!(%service, port = server.port, "closing the health server");
        server.close_all_but(&BTreeSet::new()).await
    }

    async fn close_unwanted(&mut self) -> bool {
        let mut closed = false;
        for server in self.servers.values_mut().filter(|server| server.stale) {
            closed |= server.close_all_but(&self.addresses.with(server.port)).await;
        }
        closed
    }

    /// Opens what is missing anywhere.
    fn try_again(&mut self) {
        let incomplete = self.servers.values_mut().filter(|server| server.complaint.is_some());
        incomplete.for_each(|server| server.stale = true);
        self.open_missing();
    }

    fn open_missing(&mut self) {
        for (service, server) in self.servers.iter_mut().filter(|(_, server)| server.stale) {
            server.stale = false;
            if let Some(failure) = server.open(service, &self.addresses, &self.places) {
                tracing::warn!("{failure}; trying again in {} s", RETRY.as_secs());
                self.owner.failed(&failure);
            }
        }
        let now = Instant::now();
        let incomplete = self.servers.values().any(|server| server.complaint.is_some());
        // A stream of changes does not put it off.
        let planned = self.retry_at.filter(|at| *at > now);
        self.retry_at = incomplete.then(|| planned.unwrap_or(now + self.retry));
    }
}

impl Server {
    /// Whether any closed.
    async fn close_all_but(&mut self, wanted: &BTreeSet<SocketAddr>) -> bool {
        let open = std::mem::take(&mut self.listeners).into_iter();
        let (kept, unwanted): (BTreeMap<_, _>, BTreeMap<_, _>) =
            open.partition(|(address, _)| wanted.contains(address));
        self.listeners = kept;
        let any = !unwanted.is_empty();
        for listener in unwanted.into_values() {
            listener.close().await;
        }
        any
    }

    /// Opens what is missing. A failure, if it is another than the last one.
    fn open(&mut self, service: &NamespacedName, addresses: &Addresses, places: &Places) -> Option<Failure> {
        let (mut errors, mut lacking) = (Vec::new(), Vec::new());
        for address in addresses.with(self.port) {
            if self.listeners.contains_key(&address) {
                continue;
            }
            match Listener::open(address, Arc::clone(&self.answer), places.clone()) {
                Ok(listener) => drop(self.listeners.insert(address, listener)),
                Err(error) if lacks_family(address, &error) => lacking.push((address, error)),
                Err(error) => errors.push((address, error)),
            }
        }
        if self.listeners.is_empty() {
            errors.append(&mut lacking);
        }
        self.complain(service, &errors)
    }

    fn complain(&mut self, service: &NamespacedName, errors: &[(SocketAddr, io::Error)]) -> Option<Failure> {
        let reasons: Vec<_> =
            errors.iter().map(|(address, error)| format!("cannot listen on {address}: {error}")).collect();
        let complaint = (!reasons.is_empty()).then(|| reasons.join("; "));
        if complaint.is_none() {
            tracing::debug!(%service, port = self.port, "the health server is open");
        }
        let is_new = complaint != self.complaint;
        self.complaint.clone_from(&complaint);
        let reason = complaint.filter(|_| is_new)?;
        Some(Failure { service: service.clone(), port: self.port, reason })
    }
}

impl Addresses {
    fn with(&self, port: u16) -> BTreeSet<SocketAddr> {
        let at = |ip| SocketAddr::new(ip, port);
        match self {
            Self::All => [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()].map(at).into(),
            Self::These(ips) => ips.iter().copied().filter(|ip| !is_link_local(*ip)).map(at).collect(),
        }
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Whether this node has no addresses of this family at all.
fn lacks_family(address: SocketAddr, error: &io::Error) -> bool {
    let lacks = error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == ErrorKind::AddrNotAvailable;
    address.ip().is_unspecified() && lacks
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
