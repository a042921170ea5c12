//! The endpoint of the canary: answers the nonce that the prober has just sent, and nobody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Shared;

/// A number that nobody can guess, of one try.
pub(super) type Nonce = [u8; 16];

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections that are served at once; further ones are closed.
const AT_ONCE: usize = 16;
/// How long a listener that cannot accept (no descriptors are left) waits.
const PAUSE: Duration = Duration::from_millis(100);

/// The nonce that is answered now.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected(Arc<Mutex<Option<Nonce>>>);

impl Expected {
    pub(super) fn set(&self, nonce: Option<Nonce>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = nonce;
    }

    fn is(&self, nonce: &Nonce) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(nonce)
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
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Packets from outside cannot have an address of ours: the kernel drops them.
        if !is_own(&shared, peer.ip()) {
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let expected = expected.clone();
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, serve(stream, expected)).await;
            drop(place);
        });
    }
}

fn is_own(shared: &Shared, peer: IpAddr) -> bool {
    peer.is_loopback() || shared.get().own.contains(&peer)
}

async fn serve(mut stream: TcpStream, expected: Expected) -> std::io::Result<()> {
    let mut nonce = Nonce::default();
    stream.read_exact(&mut nonce).await?;
    if expected.is(&nonce) {
        stream.write_all(&answer_to(&nonce)).await?;
    }
    stream.shutdown().await
}
