//! One listener of one Service.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::answer::Answer;
use crate::connection::{self, Patience};
use crate::places::Places;

/// Connections at a time, of all listeners together. A further one takes the place of the oldest that asks nothing.
pub const MAX_PROBES: usize = 256;
/// How long one probe may take: its request half of it.
pub const PROBE_TIME: Duration = Duration::from_secs(10);

/// Connections of one listener at a time, so that who dawdles at one does not take the places of all.
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
    pub(super) fn open(address: SocketAddr, answer: Arc<Answer>, all: Places) -> io::Result<Self> {
        let listener = bind(address)?;
        Ok(Self { task: tokio::spawn(serve(listener, answer, all)) })
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

async fn serve(listener: TcpListener, answer: Arc<Answer>, all: Places) {
    // Dropped with the listener, and the connections with it.
    let mut connections = JoinSet::new();
    let own = Places::new(MAX_PER_LISTENER);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (answer, places) = (Arc::clone(&answer), (own.take(), all.take()));
                    let numbers = (places.0.number(), places.1.number());
                    let task = connections.spawn(async move {
                        connection::answer(stream, PATIENCE, |_| {
                            let _busy = (places.0.answering(), places.1.answering());
                            std::future::ready(answer.page().into_response())
                        }).await;
                    });
                    own.belongs_to(numbers.0, task.clone());
                    all.belongs_to(numbers.1, task);
                    // What it asks is read before others come and take its place.
                    tokio::task::yield_now().await;
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
