//! Where a query came from, and the way back.

use std::net::SocketAddr;

use crate::tcp::Late;
use crate::udp::Sender;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// Who asked, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) from: SocketAddr,
    pub(crate) transport: Transport,
}

/// The way back for a reply that comes later.
#[derive(Debug)]
pub(crate) enum Back {
    Udp(Sender),
    Tcp(Late),
}

impl Back {
    /// Sends the reply; nothing if it is empty.
    pub(crate) fn send(self, reply: Vec<u8>) {
        match self {
            Self::Udp(sender) if !reply.is_empty() => sender.send(&reply),
            Self::Udp(_) => {}
            Self::Tcp(late) => drop(late.send(Some(reply).filter(|reply| !reply.is_empty()))),
        }
    }
}
