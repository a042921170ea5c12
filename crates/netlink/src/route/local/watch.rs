//! News of our local routes that others touched.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};

use super::{RouteOwner, wire};
use crate::route::{AT_ONCE, open};
use crate::{NetlinkError, Socket};

const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
/// Datagrams read at a time at most, so that a stream of them can't hold the caller up.
const DRAIN: usize = 65_536;

/// A subscription to what others do to our local routes.
///
/// Not told of: a route whose source is no longer an address of this node, of which news of addresses tell; and IPv4
/// routes that go with the last IPv4 address of `lo`. Who wants to be sure of those lists the routes now and then.
#[derive(Debug)]
pub struct RouteWatch {
    socket: Socket,
    /// The port of the socket whose changes are our own.
    own: u32,
}

impl RouteWatch {
    /// Subscribes. From now on changes are queued. What `writer` changes is our own doing, and no news.
    /// Errors: no socket, or no permission.
    pub fn open(writer: &Socket) -> Result<Self, NetlinkError> {
        let socket = open()?;
        socket.join(RTNLGRP_IPV4_ROUTE)?;
        socket.join(RTNLGRP_IPV6_ROUTE)?;
        socket.set_timeout(Some(AT_ONCE))?;
        Ok(Self { socket, own: writer.port()? })
    }

    /// Whether anybody else has added, changed or deleted a route of ours since the last call, or may have: also true
    /// where news were lost, or were too many to read. Reads what is queued and waits for nothing.
    /// Errors: the socket failed.
    pub fn changed(&mut self) -> Result<bool, NetlinkError> {
        let mut changed = false;
        for _ in 0..DRAIN {
            match self.read() {
                Ok(news) => changed |= news,
                Err(NetlinkError::Io { source, .. }) if source.kind() == ErrorKind::WouldBlock => {
                    return Ok(changed);
                }
                Err(error) if error.errno() == Some(libc::ENOBUFS) => changed = true,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<bool, NetlinkError> {
        let (own, mut news) = (self.own, false);
        self.socket
            .receive(|reply| news |= reply.port != own && wire::is_ours(&reply, RouteOwner::Services))?;
        Ok(news)
    }
}

impl AsFd for RouteWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
