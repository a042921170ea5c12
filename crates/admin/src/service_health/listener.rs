//! One listener of one Service.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::answer::Answer;
use crate::connection::{self, Patience};

/// Probes that are answered at a time, by all listeners together. Beyond, one per listener waits accepted, and the
/// rest in the kernel's queues.
pub const MAX_PROBES: usize = 256;
/// How long one probe may take: its request half of it.
pub const PROBE_TIME: Duration = Duration::from_secs(10);

/// Probes that one listener answers at a time, so that who dawdles at one does not take the places of all.
const MAX_PER_LISTENER: usize = 16;
/// Connections that wait in the kernel's queue of one listener.
const BACKLOG: i32 = 128;

/// One request for each connection: a prober has nothing to gain from an idle connection, and it would take a place.
const PATIENCE: Patience =
    Patience { head: Duration::from_secs(PROBE_TIME.as_secs() / 2), whole: PROBE_TIME, keep_alive: false };

/// An open listener. Dropping it closes it soon, [`Self::close`] at once, and its connections with it.
pub(super) struct Listener {
    task: JoinHandle<()>,
}

impl Listener {
    /// Opens it. Must be called within the runtime.
    pub(super) fn open(address: SocketAddr, answer: Arc<Answer>, slots: Arc<Semaphore>) -> io::Result<Self> {
        let listener = bind(address)?;
        Ok(Self { task: tokio::spawn(serve(listener, answer, slots)) })
    }

    /// The port is free when this returns.
    pub(super) async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An IPv6 socket is for IPv6 only, whatever `net.ipv6.bindv6only` says: `[::]` stands beside `0.0.0.0`.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a listener that was closed just now do not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn serve(listener: TcpListener, answer: Arc<Answer>, slots: Arc<Semaphore>) {
    // Dropped with the listener, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_PER_LISTENER => match accepted {
                Ok((stream, _)) => {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                    let answer = Arc::clone(&answer);
                    connections.spawn(async move {
                        connection::answer(stream, PATIENCE, |_| {
                            std::future::ready(answer.page().into_response())
                        }).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a health probe; trying again in a second");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
