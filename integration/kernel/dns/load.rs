//! Clients that ask all the time.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use model::Protocol;
use testkit::probe::Outcome;
use testkit::world::World;

use crate::dns::ask::{self, NAME, Reply};
use crate::dns::{CLIENTS, PROTOCOLS};
use crate::stage::{Stage, ip, socket};

/// How long a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(400);
/// How often each client asks.
const PACE: Duration = Duration::from_millis(8);

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The node.
    Local,
    /// CoreDNS.
    CoreDns,
    /// Nobody.
    Nobody,
}

/// One query: when it was sent, and who answered.
pub(crate) type Query = (Instant, By);

/// What one client saw.
#[derive(Debug)]
pub(crate) struct Record {
    /// Who it is, in words.
    pub(crate) who: String,
    /// It is a pod that asks by UDP.
    pub(crate) is_pods_udp: bool,
    /// Its queries.
    pub(crate) queries: Vec<Query>,
}

impl Record {
    /// Queries sent since then.
    pub(crate) fn since(&self, then: Instant) -> impl Iterator<Item = &Query> {
        self.queries.iter().filter(move |(at, _)| *at >= then)
    }
}

/// Clients of all kinds that ask both VIPs until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Record>>>,
}

/// Says who answers one query: of this client, to this VIP.
type Who = fn(&World, IpAddr, SocketAddr, Protocol) -> Result<Option<SocketAddr>>;

impl Load {
    /// Of a stand-in, which says who it is.
    pub(crate) fn start(stage: &Stage) -> Self {
        Self::of(stage, |world, from, vip, protocol| match world.probe(from, vip, protocol, PATIENCE)? {
            Outcome::Answered { endpoint, .. } => Ok(Some(endpoint)),
            _ => Ok(None),
        })
    }

    /// Of the program, which answers for a name.
    pub(crate) fn of_names(stage: &Stage) -> Self {
        Self::of(stage, |world, from, vip, protocol| {
            match ask::ask(world, (from, vip), protocol, (NAME, ask::A), PATIENCE)? {
                Reply::Node(0, addresses) if !addresses.is_empty() => Ok(Some(vip)),
                Reply::CoreDns(pod) => Ok(Some(pod)),
                _ => Ok(None),
            }
        })
    }

    fn of(stage: &Stage, who: Who) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let kinds = CLIENTS.into_iter().flat_map(|client| PROTOCOLS.map(|protocol| (client, protocol)));
        let start = |(client, protocol)| {
            let (world, stop) = (Arc::clone(&stage.world), Arc::clone(&stop));
            thread::spawn(move || ask_on(&world, client, protocol, who, &stop))
        };
        Self { threads: kinds.map(start).collect(), stop }
    }

    pub(crate) fn end(self) -> Result<Vec<Record>> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("a client panicked"))?).collect()
    }
}

fn ask_on(
    world: &World,
    (from, vip, coredns): (&str, &str, &str),
    protocol: Protocol,
    who: Who,
    stop: &AtomicBool,
) -> Result<Record> {
    let (source, vip, coredns) = (ip(from)?, socket(vip)?, socket(coredns)?);
    let is_pods_udp = protocol == Protocol::Udp && !world.is_node_address(source);
    let mut record = Record { who: format!("{from} -> {vip}/{protocol}"), is_pods_udp, queries: Vec::new() };
    while !stop.load(Ordering::SeqCst) {
        let at = Instant::now();
        let by = match who(world, source, vip, protocol)? {
            Some(server) if server == vip => By::Local,
            Some(server) if server == coredns => By::CoreDns,
            _ => By::Nobody,
        };
        record.queries.push((at, by));
        thread::sleep(PACE.saturating_sub(at.elapsed()));
    }
    Ok(record)
}

/// Sends this many pairs of queries as glibc does: both at once from one socket. Each must be answered.
pub(crate) fn pairs(stage: &Stage, from: &str, to: &str, count: usize) -> Result<()> {
    let source = SocketAddr::new(ip(from)?, 0);
    let to = socket(to)?;
    let ask = || -> Result<()> {
        let udp = UdpSocket::bind(source)?;
        udp.connect(to)?;
        udp.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut reply = [0; 512];
        for pair in 0..count {
            udp.send(b"GET A")?;
            udp.send(b"GET AAAA")?;
            for _ in 0..2 {
                let length = udp.recv(&mut reply).with_context(|| format!("pair {pair}"))?;
                ensure!(reply[..length].starts_with(to.to_string().as_bytes()), "another server");
            }
        }
        Ok(())
    };
    let namespace = stage.world.namespace(source.ip());
    namespace.run(ask)?.with_context(|| format!("pairs from {from} to {to}"))
}
