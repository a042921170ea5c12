//! An upstream name server that can misbehave, and remembers what it was asked.
//!
//! ```text
//! UDP, TCP --> Seen --> script --> Play: the table's answer, others, late, from elsewhere, or nothing
//! ```
//!
//! Without a script: what `upstream_stub` of the table lists; a name that is not there is NXDOMAIN, a listed name with
//! another type NODATA, both without SOA.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::netns::NetNs;

use crate::table::Upstream;
use crate::wire::{self, CD, QR, RA, RD, TC};

/// How often a thread looks whether it shall end.
const TICK: Duration = Duration::from_millis(50);
/// Replies that wait for their time; more are not sent.
const MAX_LATE: usize = 100_000;

/// A query as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// In lower case, with its dot.
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) tcp: bool,
    pub(crate) message: Vec<u8>,
    question: Vec<u8>,
}

/// One message and when it goes.
pub(crate) struct Play {
    after: Duration,
    message: Vec<u8>,
    /// By another socket than the one that was asked.
    elsewhere: bool,
}

/// What is done with a query; `None`: as the table says.
pub(crate) type Script = dyn Fn(&Seen) -> Option<Vec<Play>> + Send + Sync;

/// The server; it ends on drop.
pub(crate) struct Stub {
    shared: Arc<Shared>,
}

struct Shared {
    table: BTreeMap<String, Upstream>,
    script: Mutex<Arc<Script>>,
    seen: Mutex<Vec<Seen>>,
    ended: AtomicBool,
}

impl Seen {
    fn read(message: &[u8], tcp: bool) -> Option<Self> {
        let (name, end) = wire::read_name(message, 12)?;
        let question = message.get(12..end + 4)?.to_vec();
        let kind = wire::type_name(u16::from_be_bytes([*message.get(end)?, *message.get(end + 1)?]));
        Some(Self { name, kind, tcp, message: message.to_vec(), question })
    }

    /// A reply to it: response code, more flags, and records as in the table, for the answer and the authority section.
    pub(crate) fn reply(
        &self,
        rcode: &str,
        flags: u16,
        answer: &[&str],
        authority: &[&str],
    ) -> Result<Vec<u8>> {
        let sent = self.flags();
        let flags = QR | RA | sent & (RD | CD) | flags | wire::code_number(rcode)?;
        let counts = [1, u16::try_from(answer.len())?, u16::try_from(authority.len())?, 0];
        let mut out = wire::header(self.id(), flags, counts);
        out.extend(&self.question);
        for line in answer.iter().chain(authority) {
            out.extend(wire::record(line)?);
        }
        Ok(out)
    }

    /// The ID it was sent with.
    pub(crate) fn id(&self) -> u16 {
        u16::from_be_bytes([self.message[0], self.message[1]])
    }

    /// The flags it was sent with.
    pub(crate) fn flags(&self) -> u16 {
        u16::from_be_bytes([self.message[2], self.message[3]])
    }

    /// Whether it is about this name and type.
    pub(crate) fn asks(&self, name: &str, kind: &str) -> bool {
        self.name == name && self.kind == kind
    }

    fn by_table(&self, table: &BTreeMap<String, Upstream>) -> Result<Vec<u8>> {
        let Some(found) = table.get(&format!("{} {}", self.name, self.kind)) else {
            let listed = table.keys().any(|key| key.split(' ').next() == Some(&self.name));
            return self.reply(if listed { "NOERROR" } else { "NXDOMAIN" }, 0, &[], &[]);
        };
        let answer: Vec<_> = found.answer.iter().map(String::as_str).collect();
        self.reply(&found.rcode, if found.tc && !self.tcp { TC } else { 0 }, &answer, &[])
    }
}

impl Play {
    /// At once.
    pub(crate) fn now(message: Vec<u8>) -> Self {
        Self::after(Duration::ZERO, message)
    }

    /// Later.
    pub(crate) fn after(after: Duration, message: Vec<u8>) -> Self {
        Self { after, message, elsewhere: false }
    }

    /// At once, from another port.
    pub(crate) fn from_elsewhere(message: Vec<u8>) -> Self {
        Self { after: Duration::ZERO, message, elsewhere: true }
    }
}

impl Stub {
    /// Listens at port 53 of an address of the namespace.
    pub(crate) fn start(ns: &NetNs, address: IpAddr, table: &BTreeMap<String, Upstream>) -> Result<Self> {
        let address = SocketAddr::new(address, 53);
        let table = table.iter().map(|(key, value)| (key.to_ascii_lowercase(), value));
        let table = table.map(|(key, value)| (upper_type(&key), value.clone())).collect();
        let script: Arc<Script> = Arc::new(|_| None);
        let (script, seen, ended) = (Mutex::new(script), Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { table, script, seen, ended });
        let (udp, tcp, other) = ns.run(|| -> Result<_> {
            let other = UdpSocket::bind(SocketAddr::new(address.ip(), 0))?;
            Ok((UdpSocket::bind(address)?, TcpListener::bind(address)?, other))
        })??;
        start_udp(udp, other, &shared)?;
        start_tcp(tcp, &shared)?;
        Ok(Self { shared })
    }

    /// What it does from now on.
    pub(crate) fn play(&self, script: impl Fn(&Seen) -> Option<Vec<Play>> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// It answers nothing from now on.
    pub(crate) fn silence(&self) {
        self.play(|_| Some(Vec::new()));
    }

    /// All queries since [`Stub::forget`].
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was asked for a name, of any type.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.seen().iter().filter(|seen| seen.name == name).count()
    }

    /// Forgets what it was asked.
    pub(crate) fn forget(&self) {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

fn upper_type(key: &str) -> String {
    match key.split_once(' ') {
        Some((name, kind)) => format!("{name} {}", kind.to_ascii_uppercase()),
        None => key.to_owned(),
    }
}

impl Shared {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// What to send. A reply that cannot be written is a fault of the test: said, and nothing is sent.
    fn take(&self, message: &[u8], tcp: bool) -> Vec<Play> {
        let Some(seen) = Seen::read(message, tcp) else { return Vec::new() };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
        let script = Arc::clone(&self.script.lock().unwrap_or_else(PoisonError::into_inner));
        let by_table = || match seen.by_table(&self.table) {
            Ok(message) => vec![Play::now(message)],
            Err(error) => {
                eprintln!("the upstream stub cannot answer {} {}: {error:#}", seen.name, seen.kind);
                Vec::new()
            }
        };
        script(&seen).unwrap_or_else(by_table)
    }
}

fn start_udp(socket: UdpSocket, other: UdpSocket, shared: &Arc<Shared>) -> Result<()> {
    socket.set_read_timeout(Some(TICK)).context("a timeout")?;
    let (sender, late) = mpsc::sync_channel::<(Instant, SocketAddr, Vec<u8>)>(MAX_LATE);
    let delayed = socket.try_clone().context("a second handle")?;
    thread::spawn(move || send_late(&delayed, &late));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while !shared.ended() {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            for play in shared.take(&buffer[..len], false) {
                let by = if play.elsewhere { &other } else { &socket };
                // Whom it cannot reach has gone.
                let _ = match play.after.is_zero() {
                    true => by.send_to(&play.message, from).map(drop).map_err(drop),
                    false => sender.try_send((Instant::now() + play.after, from, play.message)).map_err(drop),
                };
            }
        }
    });
    Ok(())
}

/// Sends what is late, each at its time.
fn send_late(socket: &UdpSocket, late: &mpsc::Receiver<(Instant, SocketAddr, Vec<u8>)>) {
    let mut waiting: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)> = BTreeMap::new();
    for number in 0.. {
        let next = waiting.first_key_value().map(|((at, _), _)| *at);
        let patience = next.map_or(TICK, |at| at.saturating_duration_since(Instant::now()));
        match late.recv_timeout(patience) {
            Ok((at, to, message)) => drop(waiting.insert((at, number), (to, message))),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, message) = entry.remove();
            let _ = socket.send_to(&message, to);
        }
    }
}

fn start_tcp(listener: TcpListener, shared: &Arc<Shared>) -> Result<()> {
    listener.set_nonblocking(true).context("a listener that does not block")?;
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        while !shared.ended() {
            match listener.accept() {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || drop(serve(stream, &shared)));
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    });
    Ok(())
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    while !shared.ended() {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        for play in shared.take(&message, true) {
            thread::sleep(play.after);
            stream.write_all(&wire::framed(&play.message))?;
        }
    }
    Ok(())
}
