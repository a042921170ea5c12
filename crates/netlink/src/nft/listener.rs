//! A subscription to the commits of everybody in this network namespace.

use std::os::fd::{AsFd, BorrowedFd};

use super::NETLINK_NETFILTER;
use super::news::News;
use crate::{NetlinkError, Socket};

const NFNLGRP_NFTABLES: u32 = 7;

/// Hears of every commit, of everybody and our own, from [`Listener::open`] on.
///
/// While anybody listens, each commit builds a message for each object that it changes, so a commit of very many takes up to ten
/// times as long. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
}

/// How a reading went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Messages that were read.
    pub messages: usize,
    /// Some were lost: there were more than the socket's buffer takes (8 MiB).
    pub lost: bool,
    /// It stopped at the limit; there may be more.
    pub more: bool,
}

impl Listener {
    /// Subscribes. Commits whose generation is read after this are told. Needs CAP_NET_ADMIN.
    /// Errors: no socket, or no permission.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = Socket::open(NETLINK_NETFILTER)?;
        socket.join(NFNLGRP_NFTABLES)?;
        Ok(Self { socket })
    }

    /// Hands what was told since the last call to `each`, oldest first, and waits for nothing. It stops soon after `limit`
    /// messages. Errors: the socket failed.
    pub fn read(&mut self, limit: usize, mut each: impl FnMut(News<'_>)) -> Result<Heard, NetlinkError> {
        let mut heard = Heard::default();
        while heard.messages < limit {
            let told = self.socket.receive_now(|reply| {
                heard.messages += 1;
                News::parse(&reply).into_iter().for_each(&mut each);
            });
            match told {
                Ok(true) => {}
                Ok(false) => return Ok(heard),
                Err(error) if error.errno() == Some(libc::ENOBUFS) => heard.lost = true,
                Err(error) => return Err(error),
            }
        }
        heard.more = true;
        Ok(heard)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
