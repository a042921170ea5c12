//! Replies that come later: sent by the socket that took the query, from the address that was asked.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use socket2::Socket;

use super::address::Local;

/// The way back to a client.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    socket: Arc<Socket>,
    to: SocketAddr,
    local: Local,
}

impl Sender {
    pub(crate) fn new(socket: Arc<Socket>, to: SocketAddr, local: Local) -> Self {
        Self { socket, to, local }
    }

    /// Sends one reply; one that the kernel refuses is dropped: the client asks again. Never waits.
    pub(crate) fn send(&self, reply: &[u8]) {
        let peer = SockaddrStorage::from(self.to);
        let (four, six) = (self.local.four(), self.local.six());
        let control = match (&four, &six) {
            (Some(info), _) => Some(ControlMessage::Ipv4PacketInfo(info)),
            (_, Some(info)) => Some(ControlMessage::Ipv6PacketInfo(info)),
            _ => None,
        };
        let octets = [IoSlice::new(reply)];
        let flags = MsgFlags::MSG_DONTWAIT;
        if let Err(error) = sendmsg(self.socket.as_raw_fd(), &octets, control.as_slice(), flags, Some(&peer))
        {
            tracing::debug!(to = %self.to, %error, "a reply was not sent");
        }
    }
}
