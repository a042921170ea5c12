//! One socket's thread: receive a batch, answer it, send the replies.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::socket::MsgFlags;
use socket2::{SockAddr, Socket};

use super::address;
use super::batch::Batch;
use super::sender::Sender;
use crate::desk::{Desk, Outcome};
use crate::origin::{Back, Origin, Transport};

/// A running thread with its socket.
#[derive(Debug)]
pub(crate) struct UdpWorker {
    socket: Arc<Socket>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpWorker {
    /// New queries go to other sockets of this address (another process's, say); what already waits in
    /// this one is answered, then the thread ends.
    pub(crate) fn stop(&self) {
        if self.stop.swap(true, Ordering::SeqCst) {
            return;
        }
        // A connected socket gets datagrams of its peer only: here of itself, that is none.
        let _ = self.socket.connect(&SockAddr::from(self.itself()));
        // Wakes the thread. The kernel says "not connected" for some sockets, and wakes it all the same.
        let _ = self.socket.shutdown(std::net::Shutdown::Read);
    }

    fn itself(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }

    /// Whether all that waited is answered.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for UdpWorker {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts it. `desk` is made in the thread.
pub(crate) fn start(
    socket: Socket,
    address: SocketAddr,
    desk: impl FnOnce() -> Desk + Send + 'static,
) -> io::Result<UdpWorker> {
    let (socket, stop) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
    let (own, told) = (Arc::clone(&socket), Arc::clone(&stop));
    let thread = std::thread::Builder::new().name("dns-udp".into()).spawn(move || {
        let batch = Batch::new(address::space(address.ip()));
        Loop { socket: own, address, stop: told, batch, desk: desk() }.run();
    })?;
    Ok(UdpWorker { socket, address, stop, thread: Some(thread) })
}

struct Loop {
    socket: Arc<Socket>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    batch: Batch,
    desk: Desk,
}

impl Loop {
    fn run(&mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.turn(MsgFlags::empty());
        }
        // The shutdown has left its mark in the headers (no address, no control message): others from here on.
        self.batch = Batch::new(address::space(self.address.ip()));
        while self.turn(MsgFlags::MSG_DONTWAIT) > 0 {}
    }

    /// One batch; how many queries it had.
    fn turn(&mut self, flags: MsgFlags) -> usize {
        let count = match self.batch.receive(self.socket.as_fd(), flags) {
            Ok(count) => count,
            Err(error) => return self.refused(error),
        };
        self.desk.begin();
        for slot in self.batch.filled(count) {
            let origin = Origin { from: slot.from, transport: Transport::Udp };
            let (local, (message, reply)) = (slot.local, slot.split());
            match self.desk.serve(message, origin, reply) {
                Outcome::Reply => {}
                Outcome::Nothing => reply.clear(),
                Outcome::Later(job) => {
                    reply.clear();
                    let sender = Sender::new(Arc::clone(&self.socket), origin.from, local);
                    job.start(Back::Udp(sender));
                }
            }
        }
        self.batch.send(self.socket.as_fd(), count);
        self.desk.end();
        count
    }

    /// Errors of earlier replies (a client's port is closed) come up here; they are of no interest. 0: nothing waits.
    fn refused(&self, error: Errno) -> usize {
        let is_known = matches!(error, Errno::EINTR | Errno::ECONNREFUSED);
        if !is_known && error != Errno::EAGAIN {
            tracing::debug!(%error, "a UDP socket of the DNS server");
        }
        usize::from(is_known || (error != Errno::EAGAIN && !self.stop.load(Ordering::Relaxed)))
    }
}
