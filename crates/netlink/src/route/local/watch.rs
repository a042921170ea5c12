//! News of our local routes that others touched.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};

use super::{RouteOwner, wire};
use crate::attr::Attrs;
use crate::route::{AT_ONCE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, open};
use crate::{NetlinkError, Reply, Socket};

const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_LINK: u32 = 1;
/// Bytes of a `struct ifinfomsg`.
const IFINFOMSG: usize = 16;
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
    owner: RouteOwner,
    /// The name of a link of ours; with it addresses are watched too.
    link: Option<&'static str>,
}

impl RouteWatch {
    /// Subscribes. From now on changes are queued. What `writer` changes is our own doing, and no news.
    /// Errors: no socket, or no permission.
    pub fn open(writer: &Socket) -> Result<Self, NetlinkError> {
        let socket = open()?;
        socket.join(RTNLGRP_IPV4_ROUTE)?;
        socket.join(RTNLGRP_IPV6_ROUTE)?;
        socket.set_timeout(Some(AT_ONCE))?;
        Ok(Self { socket, own: writer.port()?, owner: RouteOwner::Services, link: None })
    }

    /// The same for another part of the program, that has a link with addresses too: also told of is what others do to the
    /// link of this name, and to the addresses of any link. Of a link the kernel does not say whose doing it is: changes
    /// of our own are told too. Errors: no socket, or no permission.
    pub fn open_with_link(
        writer: &Socket,
        owner: RouteOwner,
        link: &'static str,
    ) -> Result<Self, NetlinkError> {
        let watch = Self { owner, link: Some(link), ..Self::open(writer)? };
        [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR]
            .into_iter()
            .try_for_each(|group| watch.socket.join(group))?;
        Ok(watch)
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
        let (own, owner, link, mut news) = (self.own, self.owner, self.link, false);
        self.socket.receive(|reply| {
            news |= reply.port != own && (wire::is_ours(&reply, owner) || is_of_link(&reply, link));
        })?;
        Ok(news)
    }
}

/// Whether it tells of an address, or of the link of this name.
fn is_of_link(reply: &Reply<'_>, link: Option<&str>) -> bool {
    const IFLA_IFNAME: u16 = 3;
    let Some(link) = link else { return false };
    match reply.kind {
        libc::RTM_NEWADDR | libc::RTM_DELADDR => true,
        libc::RTM_NEWLINK | libc::RTM_DELLINK => {
            let attrs = reply.payload.get(IFINFOMSG..).map(Attrs);
            attrs.and_then(|attrs| attrs.text(IFLA_IFNAME)).is_some_and(|name| name == link)
        }
        _ => false,
    }
}

impl AsFd for RouteWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
