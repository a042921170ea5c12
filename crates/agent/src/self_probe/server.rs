//! The endpoint of the canary: answers the nonce that the prober has just sent, and nobody else.
//!
//! The port is open to whoever reaches the node. Strangers are closed at once. Other programs of this node, and pods whose address
//! is rewritten to the node's, have places, of which the oldest goes for a new one; the prober's own connection needs none while
//! its port is the one that it was sent from (the kernel may rewrite it).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::Shared;

/// A number that nobody can guess, of one try.
pub(super) type Nonce = [u8; 16];

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections of others at a time; a further one ends the oldest. So many have to come during one try to be in its way.
pub(super) const AT_ONCE: usize = 256;
/// How long a listener that cannot accept (no descriptors are left) waits.
const PAUSE: Duration = Duration::from_millis(100);

/// The try that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    /// What is answered now.
    pub(super) nonce: Nonce,
    /// The port from which it comes.
    pub(super) port: u16,
}

/// Who is waited for, and who else comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    now: Arc<Mutex<Option<Try>>>,
    others: Arc<AtomicU64>,
}

impl Expected {
    pub(super) fn set(&self, now: Option<Try>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Connections of others so far.
    pub(super) fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }

    fn get(&self) -> Option<Try> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the right server answers to a nonce: not the same bytes, so that an echo is no answer.
pub(super) fn answer_to(nonce: &Nonce) -> Nonce {
    nonce.map(|byte| !byte)
}

/// A listener at work; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    task: JoinHandle<()>,
}

impl Server {
    /// Listens there.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(super) async fn start(at: SocketAddr, expected: Expected, shared: Shared) -> std::io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        Ok(Self { task: tokio::spawn(accept(listener, expected, shared)) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, expected: Expected, shared: Shared) {
    let mut places: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let ours = expected.get().is_some_and(|now| now.port == peer.port());
        if !ours {
            expected.others.fetch_add(1, Ordering::Relaxed);
        }
        // Packets from outside cannot have an address of ours: the kernel drops them.
        if !is_own(&shared, peer.ip()) {
            continue;
        }
        let expected = expected.clone();
        let served = tokio::spawn(async move {
            let _ = timeout(PATIENCE, serve(stream, expected)).await;
        });
        if !ours {
            places.push_back(served.abort_handle());
        }
        if places.len() > AT_ONCE {
            places.pop_front().iter().for_each(AbortHandle::abort);
        }
    }
}

fn is_own(shared: &Shared, peer: IpAddr) -> bool {
    peer.is_loopback() || shared.get().own.contains(&peer)
}

async fn serve(mut stream: TcpStream, expected: Expected) -> std::io::Result<()> {
    let mut nonce = Nonce::default();
    stream.read_exact(&mut nonce).await?;
    if expected.get().is_some_and(|now| now.nonce == nonce) {
        stream.write_all(&answer_to(&nonce)).await?;
    }
    stream.shutdown().await
}
