//! Servers that say who they are and whom they see.
//!
//! One thread for any number of sockets. Protocol: the client sends anything, the answer is one line
//! `<server address:port> <client address:port as seen here>`, then a TCP connection ends.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use model::Protocol;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netns::NetNs;
use crate::probe::{has_sctp, stream_socket};
use socket2::Domain;

/// How long a client may take to say something.
const CLIENT_PATIENCE: Duration = Duration::from_millis(500);

/// TCP, UDP and (where the kernel has it) SCTP servers of one namespace; they stop on drop.
#[derive(Debug)]
pub struct Greeters {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

struct Sockets {
    streams: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    stop: PipeReader,
}

impl Greeters {
    /// Binds all protocols at each address inside `ns`, then answers until dropped.
    pub fn start(ns: &NetNs, addresses: &[SocketAddr]) -> Result<Self> {
        let (reader, writer) = pipe().context("a pipe")?;
        let sockets = ns.run(|| bind_all(addresses, reader))??;
        let thread = thread::spawn(move || serve(&sockets));
        Ok(Self { stop: Some(writer), thread: Some(thread) })
    }
}

impl Drop for Greeters {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed, and its flows have failed.
            let _ = thread.join();
        }
    }
}

fn bind_all(addresses: &[SocketAddr], stop: PipeReader) -> Result<Sockets> {
    let mut sockets = Sockets { streams: Vec::new(), udp: Vec::new(), stop };
    let sctp = has_sctp().is_ok();
    for address in addresses {
        let what = || format!("binding {address}");
        sockets.streams.push(TcpListener::bind(address).with_context(what)?);
        if sctp {
            sockets.streams.push(bind_sctp(*address).with_context(what)?);
        }
        sockets.udp.push(UdpSocket::bind(address).with_context(what)?);
    }
    Ok(sockets)
}

fn bind_sctp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = stream_socket(Domain::for_address(address), Protocol::Sctp)?;
    socket.bind(&address.into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

/// Answers until the other end of the pipe is closed.
fn serve(sockets: &Sockets) {
    let streams = sockets.streams.iter().map(AsFd::as_fd);
    let udp = sockets.udp.iter().map(AsFd::as_fd);
    let all = [sockets.stop.as_fd()].into_iter().chain(streams).chain(udp);
    let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    loop {
        // Only a signal interrupts it; then nothing is ready and the next round asks again.
        let _ = poll(&mut fds, PollTimeout::NONE);
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        if ready[0] {
            return;
        }
        let (streams, udp) = ready[1..].split_at(sockets.streams.len());
        chosen(&sockets.streams, streams).for_each(answer_stream);
        chosen(&sockets.udp, udp).for_each(answer_udp);
    }
}

fn chosen<'a, T>(sockets: &'a [T], ready: &[bool]) -> impl Iterator<Item = &'a T> {
    sockets.iter().zip(ready).filter(|(_, ready)| **ready).map(|(socket, _)| socket)
}

/// A client that went away is its own affair: it has seen no answer.
fn answer_stream(listener: &TcpListener) {
    let Ok((mut stream, peer)) = listener.accept() else {
        return;
    };
    let Ok(own) = stream.local_addr() else { return };
    let _ = stream.set_read_timeout(Some(CLIENT_PATIENCE));
    let mut question = [0; 256];
    if stream.read(&mut question).is_ok_and(|n| n > 0) {
        let _ = stream.write_all(greeting(own, peer).as_bytes());
    }
}

fn answer_udp(socket: &UdpSocket) {
    let mut question = [0; 256];
    let Ok((_, peer)) = socket.recv_from(&mut question) else {
        return;
    };
    let Ok(own) = socket.local_addr() else { return };
    let _ = socket.send_to(greeting(own, peer).as_bytes(), peer);
}

fn greeting(own: SocketAddr, peer: SocketAddr) -> String {
    format!("{own} {peer}\n")
}
