//! News of flows that are gone.

use std::io::ErrorKind;
use std::time::Duration;

use super::{Account, wire};
use crate::{NetlinkError, Socket};

/// `NFNLGRP_CONNTRACK_DESTROY` in `linux/netfilter/nfnetlink.h`.
const DESTROYED: u32 = 3;

/// A subscription to flows that end, in this network namespace. While there is one the kernel tells of each of them, if
/// `nf_conntrack_events` is not 0; where it is 2, the default since 5.19, of those that began after the subscription.
#[derive(Debug)]
pub struct Ended {
    socket: Socket,
}

/// What a look brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Some were handed over.
    Some,
    /// None came in time.
    None,
    /// The kernel had more to tell than the socket could hold; some news are lost.
    Lost,
}

impl Ended {
    /// Subscribes. Errors: no socket, or no permission.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = super::open()?;
        socket.join(DESTROYED)?;
        Ok(Self { socket })
    }

    /// Hands over what comes next: all flows of one datagram. Waits for it at most this long; not at all for
    /// [`Duration::ZERO`] (a microsecond). Errors: the socket failed.
    pub fn next(&mut self, patience: Duration, mut each: impl FnMut(Account)) -> Result<News, NetlinkError> {
        // A timeout of 0 would wait for ever.
        self.socket.set_timeout(Some(patience.max(Duration::from_micros(1))))?;
        let received = self.socket.receive(|reply| wire::account(&reply).into_iter().for_each(&mut each));
        match received {
            Ok(()) => Ok(News::Some),
            Err(NetlinkError::Io { source, .. }) if source.kind() == ErrorKind::WouldBlock => Ok(News::None),
            Err(error) if error.errno() == Some(libc::ENOBUFS) => Ok(News::Lost),
            Err(error) => Err(error),
        }
    }
}
