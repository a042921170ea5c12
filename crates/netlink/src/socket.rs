//! One AF_NETLINK socket: five system calls.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::NetlinkError;
use crate::attr::{Attrs, Buffer, HEADER, align};

/// Bytes received at a time. The kernel sizes dump messages after the largest buffer it has seen, up to 32 KiB.
const RECEIVE: usize = 256 * 1024;
/// Send buffer asked for: a whole transaction is one message to the socket layer.
const SEND_BUFFER: i32 = 512 * 1024 * 1024;
const RECEIVE_BUFFER: i32 = 8 * 1024 * 1024;

/// One message as received.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Message type.
    pub kind: u16,
    /// Header flags.
    pub flags: u16,
    /// The sequence number of the request it answers.
    pub sequence: u32,
    /// The port id of the socket it answers, or whose request is the reason for this news; 0 is the kernel itself.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// An open netlink socket with a receive buffer of its own.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
    /// Transactions that the kernel has taken.
    pub(crate) commits: u32,
}

impl Socket {
    /// Opens a socket of a netlink protocol (`NETLINK_ROUTE`, `NETLINK_NETFILTER`, …) with extended
    /// acknowledgements on. Errors: the kernel lacks the protocol, or file descriptors ran out.
    pub fn open(protocol: i32) -> Result<Self, NetlinkError> {
        // SAFETY: socket(2) takes three integers and touches no memory of ours.
        let raw = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        if raw < 0 {
            return Err(last("open a netlink socket"));
        }
        // SAFETY: `raw` was just returned by socket(2) and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let socket = Self { fd, buffer: vec![0; RECEIVE], sequence: 1, commits: 0 };
        socket
            .set(libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1)
            .map_err(|e| io_error("ask for extended acks", e))?;
        socket
            .set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)
            .map_err(|e| io_error("ask for short acks", e))?;
        // Not fatal: without CAP_NET_ADMIN in the first namespace the limits of the host hold.
        let _ = socket.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER);
        let _ = socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER);
        Ok(socket)
    }

    /// Subscribes to a multicast group.
    pub fn join(&self, group: u32) -> Result<(), NetlinkError> {
        self.take_port()?;
        self.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group as i32)
            .map_err(|e| io_error("join a multicast group", e))
    }

    /// The kernel's number for this socket. News of what it changes carry it ([`Reply::port`]).
    pub(crate) fn port(&self) -> Result<u32, NetlinkError> {
        self.take_port()?;
        // SAFETY: all zeroes are a valid value of this plain C struct.
        let mut own: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `own`, a live plain C value of that size.
        let result = unsafe {
            let pointer = std::ptr::from_mut(&mut own).cast();
            libc::getsockname(self.fd.as_raw_fd(), pointer, &mut length)
        };
        if result == 0 { Ok(own.nl_pid) } else { Err(last("ask for the port of a socket")) }
    }

    /// Has the kernel look at the header of a request for a list, and leave out what was not asked for. Kernels before
    /// 4.20 do not know how: then all is told, and the caller filters.
    pub(crate) fn filter_lists(&self, on: bool) {
        let _ = self.set(libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, i32::from(on));
    }

    /// Sets how long [`Socket::receive`] waits; `None` waits for ever.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), NetlinkError> {
        let timeout = timeout.unwrap_or_default();
        let value = libc::timeval {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_usec: libc::suseconds_t::from(timeout.subsec_micros()),
        };
        self.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, value).map_err(|e| io_error("set a timeout", e))
    }

    /// How many transactions the kernel has taken from this socket. Each moves the generation of the ruleset by one.
    pub fn commits(&self) -> u32 {
        self.commits
    }

    /// A fresh sequence number; `count` of them in a row are the caller's.
    pub fn sequences(&mut self, count: u32) -> u32 {
        // A range never wraps: replies are told apart by comparing with its ends.
        let first = if self.sequence.checked_add(count).is_some() { self.sequence } else { 1 };
        self.sequence = first + count;
        first
    }

    /// Sends one datagram to the kernel.
    pub fn send(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        loop {
            // SAFETY: pointer and length come from one live slice; send(2) only reads it.
            let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(io_error("send", error));
            }
        }
    }

    /// Receives one datagram and hands each of its messages to `each`.
    pub fn receive(&mut self, each: impl FnMut(Reply<'_>)) -> Result<(), NetlinkError> {
        let length = self.receive_bytes(0)?;
        self.read_messages(length, each)
    }

    /// The same without waiting: false if nothing is there to be received.
    pub fn receive_now(&mut self, each: impl FnMut(Reply<'_>)) -> Result<bool, NetlinkError> {
        match self.receive_bytes(libc::MSG_DONTWAIT) {
            Ok(length) => self.read_messages(length, each).map(|()| true),
            Err(NetlinkError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_messages(&self, length: usize, mut each: impl FnMut(Reply<'_>)) -> Result<(), NetlinkError> {
        let mut rest = &self.buffer[..length];
        while rest.len() >= HEADER {
            let size = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let Some(message) = rest.get(..size).filter(|m| m.len() >= HEADER) else {
                return Err(NetlinkError::Malformed("a message is longer than its datagram"));
            };
            each(Reply {
                kind: u16::from_ne_bytes([message[4], message[5]]),
                flags: u16::from_ne_bytes([message[6], message[7]]),
                sequence: u32::from_ne_bytes([message[8], message[9], message[10], message[11]]),
                port: u32::from_ne_bytes([message[12], message[13], message[14], message[15]]),
                payload: &message[HEADER..],
            });
            rest = rest.get(align(size)..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Sends a dump request and hands every answer to `each`. Errors name message 0.
    /// The result says whether the dump was consistent (no change came between its parts).
    pub fn dump(
        &mut self,
        request: &[u8],
        sequence: u32,
        mut each: impl FnMut(Reply<'_>),
    ) -> Result<bool, NetlinkError> {
        self.send(request)?;
        let (mut done, mut consistent, mut failure) = (false, true, None);
        while !done {
            self.receive(|reply| {
                if reply.sequence != sequence {
                    return;
                }
                consistent &= reply.flags & libc::NLM_F_DUMP_INTR as u16 == 0;
                match i32::from(reply.kind) {
                    // A dump that fails on its way ends with the error in the place of the end.
                    libc::NLMSG_DONE => {
                        done = true;
                        failure = refusal(&reply, 0);
                    }
                    libc::NLMSG_ERROR => {
                        done = true;
                        failure = refusal(&reply, 0);
                    }
                    _ => each(reply),
                }
            })?;
        }
        failure.map_or(Ok(consistent), Err)
    }

    /// Sends one request that asks for an acknowledgement and waits for it; other answers go to `each`.
    pub fn request(
        &mut self,
        request: &[u8],
        sequence: u32,
        mut each: impl FnMut(Reply<'_>),
    ) -> Result<(), NetlinkError> {
        self.send(request)?;
        let mut result = None;
        while result.is_none() {
            self.receive(|reply| {
                if reply.sequence != sequence {
                    return;
                }
                if i32::from(reply.kind) == libc::NLMSG_ERROR {
                    result = Some(refusal(&reply, 0).map_or(Ok(()), Err));
                } else {
                    each(reply);
                }
            })?;
        }
        result.unwrap_or(Ok(()))
    }

    /// Has the kernel give the socket a port id, by sending it a message that means nothing. Until a socket is bound
    /// or sends it has port 0, and the kernel leaves port 0 out of its own news (`do_one_broadcast`, af_netlink.c).
    fn take_port(&self) -> Result<(), NetlinkError> {
        let mut noop = Buffer::default();
        let mark = noop.begin_message(libc::NLMSG_NOOP as u16, 0, 0);
        noop.end_message(mark);
        self.send(noop.bytes())
    }

    fn receive_bytes(&mut self, flags: i32) -> Result<usize, NetlinkError> {
        loop {
            let (pointer, length) = (self.buffer.as_mut_ptr(), self.buffer.len());
            // SAFETY: pointer and length describe our own buffer, which lives through the call.
            let got =
                unsafe { libc::recv(self.fd.as_raw_fd(), pointer.cast(), length, libc::MSG_TRUNC | flags) };
            if got >= 0 && got as usize <= length {
                return Ok(got as usize);
            }
            if got >= 0 {
                return Err(NetlinkError::Malformed("a datagram is larger than the receive buffer"));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(io_error("receive", error));
            }
        }
    }

    fn set<T>(&self, level: i32, option: i32, value: T) -> io::Result<()> {
        // SAFETY: the kernel reads size_of::<T>() bytes from `value`, a live plain C value.
        let result = unsafe {
            let pointer = std::ptr::from_ref(&value).cast();
            libc::setsockopt(self.fd.as_raw_fd(), level, option, pointer, size_of::<T>() as libc::socklen_t)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads an NLMSG_ERROR: `None` for an acknowledgement.
pub(crate) fn refusal(reply: &Reply<'_>, index: usize) -> Option<NetlinkError> {
    const CAPPED: u16 = 0x100;
    const EXTENDED: u16 = 0x200;
    const MESSAGE: u16 = 1;
    let code = reply.payload.get(..4)?;
    let errno = -i32::from_ne_bytes([code[0], code[1], code[2], code[3]]);
    if errno <= 0 {
        return None;
    }
    let inner = reply.payload.get(4..8).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let skip = if reply.flags & CAPPED != 0 { HEADER } else { align(inner) };
    let extended = (reply.flags & EXTENDED != 0)
        .then(|| Attrs(reply.payload.get(4 + skip..).unwrap_or(&[])).text(MESSAGE))
        .flatten();
    Some(NetlinkError::Refused { errno, index, extended: extended.unwrap_or_default().to_owned() })
}

fn last(what: &'static str) -> NetlinkError {
    io_error(what, io::Error::last_os_error())
}

fn io_error(what: &'static str, source: io::Error) -> NetlinkError {
    NetlinkError::Io { what, source }
}
