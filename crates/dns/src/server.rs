//! The running server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use dns_config::{Config, Env};
use dns_forward::Forwarder;
use dns_names::Names;
use prometheus_client::collector::Collector;

use crate::chain::Compiler;
use crate::desk::Desk;
use crate::listen::{self, Listen, ListenError};
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::tcp::{self, TcpLimits, TcpThread};
use crate::udp::{self, UdpWorker};

/// Tries to find a port that is free for UDP and TCP alike, where port 0 is asked for.
const PORT_TRIES: usize = 20;
/// How often a drain looks whether all is done.
const DRAIN_STEP: Duration = Duration::from_millis(5);
/// Time for the replies to what no upstream has answered by the end of a drain.
const LAST_REPLIES: Duration = Duration::from_millis(250);

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens.
    pub listen: Listen,
    /// What TCP clients may use, at each address.
    pub tcp: TcpLimits,
    /// The addresses of this server in NS records and `ns.dns.<zone>`. Empty: those it listens at.
    pub own: Vec<IpAddr>,
    /// The name of the node: NSID without an own text, `hostname.bind`.
    pub node: String,
    /// The node's resolv.conf, whose search domains `autopath @kubernetes` adds to those of a Pod.
    pub resolv_conf: PathBuf,
}

impl Options {
    /// Listens at these addresses; the rest is usual.
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            listen: Listen::new(addresses),
            tcp: TcpLimits::default(),
            own: Vec::new(),
            node: String::new(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}

/// How the server is doing: for `/health` and `/ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// All first lists have come. Until then names that are not known are answered with SERVFAIL.
    pub synced: bool,
    /// The names come from a file of an earlier run.
    pub stale: bool,
    /// It takes no new queries.
    pub draining: bool,
    /// Queries that wait for upstreams.
    pub pending: usize,
    /// TCP connections that are open.
    pub connections: usize,
}

impl State {
    /// Whether queries should be sent here.
    pub fn is_ready(&self) -> bool {
        self.synced && !self.draining
    }
}

/// Sockets and threads of one address.
#[derive(Debug)]
struct Place {
    address: SocketAddr,
    udp: Vec<UdpWorker>,
    tcp: TcpThread,
}

/// A running server. Dropped, it stops without waiting for clients.
pub struct Server {
    options: Options,
    shared: Arc<Shared>,
    places: Vec<Place>,
    draining: AtomicBool,
}

impl Server {
    /// Opens the sockets, makes the chain of `config`, and starts the threads: one for UDP and one for TCP at each
    /// address. The notes are what the operator should know besides what [`Config`] itself
    /// says (files that cannot be read, upstreams that lead back here), one line each.
    ///
    /// # Errors
    /// An address where it cannot listen.
    pub fn start(
        options: Options,
        names: Arc<RwLock<Names>>,
        forwarder: Forwarder,
        config: &Config,
        env: &dyn Env,
    ) -> Result<(Self, Vec<String>), ListenError> {
        let shared = Arc::new(Shared::new(names, forwarder));
        let mut server = Self { options, shared, places: Vec::new(), draining: AtomicBool::new(false) };
        let opened: Vec<Sockets> = server.open_all()?;
        let addresses: Vec<SocketAddr> = opened.iter().map(|sockets| sockets.address).collect();
        let notes = server.compile(config, env, &addresses);
        for sockets in opened {
            let place = server.serve(sockets)?;
            server.places.push(place);
        }
        server.shared.forwarder.check_loops();
        Ok((server, notes))
    }

    /// Where it listens, with the ports it got.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.iter().map(|place| place.address).collect()
    }

    /// Takes another configuration, and reads its files anew. No query is lost; caches of upstreams that stay are
    /// kept. The notes are as for [`Server::start`].
    pub fn reconfigure(&self, config: &Config, env: &dyn Env) -> Vec<String> {
        self.compile(config, env, &self.addresses())
    }

    /// Counts a configuration that could not be read, so that the one before stays in force: CoreDNS's
    /// `coredns_reload_failed_total`.
    pub fn note_refused(&self) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Listens at these addresses from now on: new ones are opened, others closed. Call
    /// [`reconfigure`](Self::reconfigure) afterwards, so that no upstream leads back here.
    ///
    /// # Errors
    /// One for each address where it cannot listen; the others are served.
    pub fn listen(&mut self, addresses: &[SocketAddr]) -> Vec<ListenError> {
        self.places.retain(|place| addresses.contains(&place.address));
        let have = self.addresses();
        let mut errors = Vec::new();
        for address in addresses.iter().filter(|address| !have.contains(address)) {
            let opened =
                Sockets::open(*address, &self.options.listen).and_then(|sockets| self.serve(sockets));
            match opened {
                Ok(place) => self.places.push(place),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// How it is doing.
    pub fn state(&self) -> State {
        let (synced, stale) = {
            let names = self.shared.names();
            (names.is_synced(), names.stale())
        };
        State {
            synced,
            stale,
            draining: self.draining.load(Ordering::Relaxed),
            pending: self.shared.waiting.count(),
            connections: self.places.iter().map(|place| place.tcp.open()).sum(),
        }
    }

    /// How long the server should go on answering after it was told to end and before it is [drained](Self::drain), so that those who
    /// ask find another: `lameduck` of the configuration, at most [`dns_config::MAX_LAMEDUCK`]. Zero without.
    pub fn lameduck(&self) -> Duration {
        self.shared.chain().lameduck
    }

    /// Its figures, by CoreDNS's names, to be registered once.
    pub fn metrics(&self) -> Box<dyn Collector> {
        Box::new(Metrics::new(Arc::clone(&self.shared)))
    }

    /// Says how a name is answered for a client: which search step, which block, which object, which rule.
    pub fn explain(&self, name: &str, qtype: &str, from: IpAddr) -> String {
        crate::explain::explain(&self.shared, name, qtype, from)
    }

    /// Takes no new query (other sockets of the same addresses do, those of a successor), answers all that came,
    /// and waits for that as long as `most`. True: nothing was left. Otherwise those who wait for upstreams get what there is then (an
    /// answer past its life, or SERVFAIL), which takes another 250 ms at the most.
    pub fn drain(&self, most: Duration) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        for place in &self.places {
            place.udp.iter().for_each(UdpWorker::stop);
            place.tcp.stop();
        }
        if self.waits_until_idle(most) {
            return true;
        }
        self.shared.forwarder.stop_flights();
        self.waits_until_idle(LAST_REPLIES);
        false
    }

    fn waits_until_idle(&self, most: Duration) -> bool {
        let end = Instant::now() + most;
        while !self.is_idle() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(DRAIN_STEP);
        }
        true
    }

    fn is_idle(&self) -> bool {
        let idle = |place: &Place| place.udp.iter().all(UdpWorker::is_finished) && place.tcp.is_finished();
        self.places.iter().all(idle) && self.shared.waiting.count() == 0
    }

    fn open_all(&self) -> Result<Vec<Sockets>, ListenError> {
        let listen = &self.options.listen;
        listen.addresses.iter().map(|address| Sockets::open(*address, listen)).collect()
    }

    fn compile(&self, config: &Config, env: &dyn Env, listening: &[SocketAddr]) -> Vec<String> {
        let listened = listening.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
        let own = if self.options.own.is_empty() { listened.collect() } else { self.options.own.clone() };
        let compiler = Compiler {
            env,
            forwarder: &self.shared.forwarder,
            listening: listening.to_vec(),
            own,
            node: self.options.node.clone(),
            resolv_conf: self.options.resolv_conf.clone(),
        };
        let compiled = compiler.compile(config);
        self.shared.set_chain(compiled.chain);
        compiled.notes
    }

    fn serve(&self, sockets: Sockets) -> Result<Place, ListenError> {
        let Sockets { address, udp, tcp } = sockets;
        let failed = |protocol| move |source| ListenError { address, protocol, source };
        let desk = || {
            let shared = Arc::clone(&self.shared);
            move || Desk::new(shared)
        };
        let workers = udp.into_iter().map(|socket| udp::start(socket, address, desk()));
        let udp = workers.collect::<Result<_, _>>().map_err(failed("udp"))?;
        let tcp = tcp::start(tcp, self.options.tcp, desk()).map_err(failed("tcp"))?;
        Ok(Place { address, udp, tcp })
    }
}

/// The sockets of one address.
struct Sockets {
    address: SocketAddr,
    udp: Vec<socket2::Socket>,
    tcp: Vec<socket2::Socket>,
}

impl Sockets {
    fn open(address: SocketAddr, listen: &Listen) -> Result<Self, ListenError> {
        let tries = if address.port() == 0 { PORT_TRIES } else { 1 };
        let mut outcome = Self::open_once(address, listen);
        for _ in 1..tries {
            if outcome.is_ok() {
                break;
            }
            outcome = Self::open_once(address, listen);
        }
        outcome
    }

    fn open_once(address: SocketAddr, listen: &Listen) -> Result<Self, ListenError> {
        let count = listen.sockets.clamp(1, 8);
        let first = listen::udp(address, listen)?;
        let address = listen::address_of(&first).unwrap_or(address);
        let mut udp = vec![first];
        for _ in 1..count {
            udp.push(listen::udp(address, listen)?);
        }
        Ok(Self { address, udp, tcp: vec![listen::tcp(address, listen)?] })
    }
}
