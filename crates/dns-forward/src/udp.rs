//! UDP to one upstream: a pool of connected sockets, each at a port of the kernel's choice, each for a short time.
//!
//! A question takes one of [`SOCKETS`] places at random; the socket there is made anew after [`SOCKET_USES`] questions or
//! [`SOCKET_LIFE`]. So ports are hard to foresee (RFC 5452), and there are never more sockets than places and their
//! predecessors that still wait.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use crate::group::lock;
use crate::metrics::Counter;
use crate::pending::{Fault, Pending, Question, Reply};
use crate::random;

/// Sockets to one upstream.
pub const SOCKETS: usize = 32;
/// Questions by one socket.
pub const SOCKET_USES: u32 = 64;
/// Time for which a socket takes questions.
pub const SOCKET_LIFE: Duration = Duration::from_secs(10);
/// Replies that do not fit anything, after which a socket takes no more questions: somebody guesses.
const MAX_MISMATCHED: u32 = 64;
/// Largest reply that is read. We announce 1232 octets; some servers do not look.
const BUFFER: usize = 4096;
/// TC in the third octet of a header.
const TRUNCATED: u8 = 0x02;

/// The pool.
pub(crate) struct Udp {
    address: SocketAddr,
    places: Mutex<[Option<Arc<Socket>>; SOCKETS]>,
    counters: Arc<Counters>,
}

/// What sockets and connections count.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) mismatched: Counter,
    pub(crate) reused: Counter,
    pub(crate) opened: Counter,
}

impl Udp {
    pub(crate) fn new(address: SocketAddr, counters: Arc<Counters>) -> Self {
        Self { address, places: Mutex::default(), counters }
    }

    /// Asks; the time is the caller's.
    pub(crate) async fn exchange(&self, question: &Arc<Question>, edns: bool) -> Result<Reply, Fault> {
        let socket = self.socket().map_err(|_| Fault::Unreachable)?;
        let (id, reply) = socket.pending.add(question)?;
        let _wait = Wait { socket: &socket, id };
        match socket.io.send(&question.message(id, edns)).await {
            Ok(_) => reply.await.unwrap_or(Err(Fault::Closed)),
            Err(_) => Err(Fault::Unreachable),
        }
    }

    fn socket(&self) -> io::Result<Arc<Socket>> {
        let mut places = lock(&self.places);
        let place = &mut places[random::below(SOCKETS)];
        if let Some(socket) = place.as_ref().filter(|socket| socket.take_use()) {
            self.counters.reused.add();
            return Ok(socket.clone());
        }
        let socket = Socket::open(self.address, self.counters.clone())?;
        self.counters.opened.add();
        if let Some(old) = place.replace(socket.clone()) {
            old.retire();
        }
        Ok(socket)
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        lock(&self.places).iter().flatten().for_each(|socket| socket.retire());
    }
}

struct Socket {
    io: UdpSocket,
    pending: Pending,
    opened: Instant,
    uses: AtomicU32,
    mismatched: AtomicU32,
    retired: AtomicBool,
    reader: OnceLock<AbortHandle>,
    counters: Arc<Counters>,
}

impl Socket {
    fn open(address: SocketAddr, counters: Arc<Counters>) -> io::Result<Arc<Self>> {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let io = std::net::UdpSocket::bind(any)?;
        io.connect(address)?;
        io.set_nonblocking(true)?;
        let socket = Arc::new(Self {
            io: UdpSocket::from_std(io)?,
            pending: Pending::default(),
            opened: Instant::now(),
            uses: AtomicU32::new(1),
            mismatched: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            reader: OnceLock::new(),
            counters,
        });
        let reader = tokio::spawn(socket.clone().read());
        let _ = socket.reader.set(reader.abort_handle());
        Ok(socket)
    }

    /// Whether it takes one more question.
    fn take_use(&self) -> bool {
        self.opened.elapsed() < SOCKET_LIFE
            && self.mismatched.load(Ordering::Relaxed) < MAX_MISMATCHED
            && self.uses.fetch_add(1, Ordering::Relaxed) < SOCKET_USES
    }

    async fn read(self: Arc<Self>) {
        let mut buffer = vec![0; BUFFER + 1]; // one more shows that a datagram is longer
        loop {
            match self.io.recv(&mut buffer).await {
                Ok(length) if self.pending.deliver(marked(&mut buffer, length)) => {}
                Ok(_) => {
                    self.counters.mismatched.add();
                    self.mismatched.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => self.pending.fail(Fault::Unreachable), // an ICMP error: nobody listens there
            }
        }
    }

    /// Takes no more questions, and ends when nothing waits.
    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.end_if_idle();
    }

    fn end_if_idle(&self) {
        if self.retired.load(Ordering::Relaxed)
            && self.pending.len() == 0
            && let Some(reader) = self.reader.get()
        {
            reader.abort();
        }
    }
}

/// A message; one that was cut here counts as truncated, so that it is asked for by TCP.
fn marked(buffer: &mut [u8], length: usize) -> &[u8] {
    if length > BUFFER {
        buffer[2] |= TRUNCATED;
    }
    &buffer[..length]
}

/// A question that waits; it does not any more when this is dropped.
struct Wait<'a> {
    socket: &'a Socket,
    id: u16,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.socket.pending.remove(self.id);
        self.socket.end_if_idle();
    }
}
