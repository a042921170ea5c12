//! TCP and DNS over TLS to one upstream: few connections, many questions in each (RFC 7766, RFC 7858).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::group::lock;
use crate::pending::{Fault, Pending, Question, Receiver, Reply};
use crate::tls::Secure;
use crate::udp::Counters;

/// Connections to one upstream.
pub const CONNECTIONS: usize = 4;
/// Questions that wait in one connection.
pub const PIPELINE: usize = 256;
/// Time for a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that one question is sent by, if each is closed before the reply.
const TRIES: usize = 3;

/// The connections.
pub(crate) struct Streams {
    address: SocketAddr,
    secure: Option<Secure>,
    expire: Duration,
    open: Mutex<Vec<Arc<Connection>>>,
    counters: Arc<Counters>,
}

impl Streams {
    pub(crate) fn new(
        address: SocketAddr,
        secure: Option<Secure>,
        expire: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        Self { address, secure, expire, open: Mutex::default(), counters }
    }

    /// Asks; the time is the caller's. A connection that is closed is made anew, since servers close them when they like.
    pub(crate) async fn exchange(&self, question: &Arc<Question>, edns: bool) -> Result<Reply, Fault> {
        for _ in 1..TRIES {
            match self.try_once(question, edns).await {
                Err(Fault::Closed) => {}
                result => return result,
            }
        }
        self.try_once(question, edns).await
    }

    async fn try_once(&self, question: &Arc<Question>, edns: bool) -> Result<Reply, Fault> {
        let (connection, is_new) = self.connection()?;
        let (id, reply) = connection.pending.add(question)?;
        let mut wait = Wait { connection: &connection, id, since: Instant::now(), ended: false };
        let sent = connection.send.try_send(question.message(id, edns));
        let result = match sent {
            Ok(()) if is_new => reply.await.unwrap_or(Err(Fault::Closed)),
            Ok(()) => wait.reply(reply).await,
            Err(mpsc::error::TrySendError::Full(_)) => Err(Fault::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Fault::Closed),
        };
        wait.ended = true;
        match result {
            Ok(Reply::Truncated) => Err(Fault::Broken), // there is no more room anywhere
            result => result,
        }
    }

    /// The connection with the fewest questions, or a new one, and whether it is new.
    fn connection(&self) -> Result<(Arc<Connection>, bool), Fault> {
        let mut open = lock(&self.open);
        open.retain(|connection| !connection.closed.load(Ordering::Relaxed));
        let least = open.iter().min_by_key(|connection| connection.pending.len());
        if let Some(connection) = least.filter(|connection| connection.pending.len() < PIPELINE) {
            self.counters.reused.add();
            return Ok((connection.clone(), false));
        }
        if open.len() >= CONNECTIONS {
            return Err(Fault::Full);
        }
        self.counters.opened.add();
        let connection = self.open();
        open.push(connection.clone());
        Ok((connection, true))
    }

    fn open(&self) -> Arc<Connection> {
        let (send, queue) = mpsc::channel(PIPELINE);
        let connection = Arc::new(Connection {
            pending: Pending::default(),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
            heard: Mutex::new(Instant::now()),
            send,
        });
        let (address, secure, expire) = (self.address, self.secure.clone(), self.expire);
        tokio::spawn(connection.clone().run(address, secure, expire, queue));
        connection
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        lock(&self.open).iter().for_each(|connection| connection.close());
    }
}

struct Connection {
    pending: Pending,
    /// Takes no more questions.
    closed: AtomicBool,
    closing: Notify,
    /// When the last message came.
    heard: Mutex<Instant>,
    send: mpsc::Sender<Vec<u8>>,
}

impl Connection {
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.closing.notify_one();
    }

    async fn run(
        self: Arc<Self>,
        address: SocketAddr,
        secure: Option<Secure>,
        expire: Duration,
        queue: mpsc::Receiver<Vec<u8>>,
    ) {
        let fault = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => self.serve_over(stream, secure, expire, queue).await,
            _ => Fault::Unreachable,
        };
        self.close();
        self.pending.fail(fault);
    }

    async fn serve_over(
        &self,
        stream: TcpStream,
        secure: Option<Secure>,
        expire: Duration,
        queue: mpsc::Receiver<Vec<u8>>,
    ) -> Fault {
        let _ = stream.set_nodelay(true);
        let Some(secure) = secure else { return self.serve(stream, expire, queue).await };
        match timeout(CONNECT_TIMEOUT, secure.connect(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, expire, queue).await,
            Ok(Err(error)) => {
                secure.complain(&error);
                Fault::Unreachable
            }
            Err(_) => Fault::Unreachable,
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite>(
        &self,
        stream: S,
        expire: Duration,
        queue: mpsc::Receiver<Vec<u8>>,
    ) -> Fault {
        let (read, write) = tokio::io::split(stream);
        tokio::select! {
            _ = write_all(write, queue) => {}
            _ = self.read_all(read, expire) => {}
            () = self.closing.notified() => {}
        }
        Fault::Closed
    }

    /// Hands out replies until the connection is closed, silent for `expire`, or talks nonsense.
    async fn read_all<S: AsyncRead>(&self, mut read: ReadHalf<S>, expire: Duration) -> io::Result<()> {
        let mut message = Vec::new();
        loop {
            let length = timeout(expire, read.read_u16()).await??;
            message.resize(length.into(), 0);
            timeout(expire, read.read_exact(&mut message)).await??;
            if length < 12 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            *lock(&self.heard) = Instant::now();
            self.pending.deliver(&message);
        }
    }
}

async fn write_all<S: AsyncWrite>(
    mut write: WriteHalf<S>,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(message) = queue.recv().await {
        let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        write.write_all(&[&length.to_be_bytes()[..], &message].concat()).await?;
        write.flush().await?;
    }
    Ok(())
}

/// A question that waits. If it is given up after a silence, the connection ends: it may be dead without a word.
struct Wait<'a> {
    connection: &'a Connection,
    id: u16,
    since: Instant,
    ended: bool,
}

/// What a silence is.
const SILENCE: Duration = Duration::from_secs(1);

impl Wait<'_> {
    /// The reply by a connection that was there before: it may be dead without a word, so after a silence it is closed, and what
    /// waits is asked by a new one.
    async fn reply(&self, mut reply: Receiver) -> Result<Reply, Fault> {
        if let Ok(reply) = timeout(SILENCE, &mut reply).await {
            return reply.unwrap_or(Err(Fault::Closed));
        }
        if self.is_silent() {
            self.connection.close();
        }
        reply.await.unwrap_or(Err(Fault::Closed))
    }

    fn is_silent(&self) -> bool {
        *lock(&self.connection.heard) <= self.since && self.since.elapsed() >= SILENCE
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.connection.pending.remove(self.id);
        if !self.ended && self.is_silent() {
            self.connection.close();
        }
    }
}
