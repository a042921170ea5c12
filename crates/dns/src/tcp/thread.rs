//! The thread of all TCP connections.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep_until;

use super::connection::Connection;
use super::limits::TcpLimits;
use super::seats::Seats;
use super::stop::{GRACE, Stop};
use crate::desk::Desk;

/// Wait after the kernel refused a connection, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(10);

/// A running thread.
#[derive(Debug)]
pub(crate) struct TcpThread {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    open: Arc<AtomicUsize>,
}

impl TcpThread {
    /// No new connection and no new query; replies that are due are sent.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether all is closed.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for TcpThread {
    fn drop(&mut self) {
        self.stop();
        self.thread.take();
    }
}

/// Starts it with its listening sockets. `desk` is made in the thread.
pub(crate) fn start(
    sockets: Vec<Socket>,
    limits: TcpLimits,
    desk: impl FnOnce() -> Desk + Send + 'static,
) -> io::Result<TcpThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (stop, stopped) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let shown = Arc::clone(&open);
    let work = move || {
        let house =
            House { desk: Rc::new(RefCell::new(desk())), seats: Seats::default(), limits, open: shown };
        LocalSet::new().block_on(&runtime, serve_all(sockets, house, Stop(stopped)));
    };
    let thread = std::thread::Builder::new().name("dns-tcp".into()).spawn(work)?;
    Ok(TcpThread { stop, thread: Some(thread), open })
}

/// What all connections share.
#[derive(Clone)]
struct House {
    desk: Rc<RefCell<Desk>>,
    seats: Seats,
    limits: TcpLimits,
    open: Arc<AtomicUsize>,
}

async fn serve_all(sockets: Vec<Socket>, house: House, stop: Stop) {
    let listeners: Vec<_> = sockets
        .into_iter()
        .filter_map(|socket| TcpListener::from_std(socket.into()).ok())
        .map(|listener| spawn_local(accept_from(listener, house.clone(), stop.clone())))
        .collect();
    for listener in listeners {
        let _ = listener.await;
    }
    while house.seats.count() > 0 {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn accept_from(listener: TcpListener, house: House, mut stop: Stop) {
    let mut last_call = None;
    loop {
        let until = last_call.unwrap_or_else(Instant::now);
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = stop.wait(), if last_call.is_none() => {
                last_call = Some(Instant::now() + GRACE);
                continue;
            }
            () = sleep_until(until.into()), if last_call.is_some() => return,
        };
        match accepted {
            Ok((stream, peer)) => house.welcome(stream, peer, stop.clone()),
            Err(error) => {
                if is_want_of_room(&error) {
                    house.seats.dismiss_one();
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the kernel has no file descriptor or memory left for a connection. Other errors are those of one client that is gone
/// (`ECONNABORTED` and, by accept(2), what its network said).
fn is_want_of_room(error: &io::Error) -> bool {
    const KINDS: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| KINDS.contains(&Errno::from_raw(code)))
}

impl House {
    fn welcome(&self, stream: TcpStream, peer: std::net::SocketAddr, stop: Stop) {
        let _ = stream.set_nodelay(true);
        let seat = self.seats.take(&self.limits, peer.ip().to_canonical(), Instant::now());
        self.open.store(self.seats.count(), Ordering::Relaxed);
        let connection = Connection::new(stream, peer, Rc::clone(&self.desk), seat, self.limits);
        let (seats, open) = (self.seats.clone(), Arc::clone(&self.open));
        spawn_local(async move {
            connection.run(stop).await;
            open.store(seats.count(), Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_gone_costs_nobody_a_place() {
        let table = [
            (Errno::EMFILE, true),
            (Errno::ENFILE, true),
            (Errno::ENOBUFS, true),
            (Errno::ENOMEM, true),
            (Errno::ECONNABORTED, false),
            (Errno::EPERM, false),
            (Errno::EHOSTUNREACH, false),
        ];
        for (errno, want) in table {
            assert_eq!(is_want_of_room(&errno.into()), want, "{errno}");
        }
    }
}
