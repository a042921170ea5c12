//! This network namespace's addresses, and the news of them (`linux/rtnetlink.h`, `linux/if_addr.h`); links by name,
//! dummy links, and addresses on them (in `link`); local routes of ours (in `local`).
//!
//! News and lists take two sockets: a list would swallow news that came between its parts. Open the
//! [`AddressWatch`] before the first list, and nothing is missed.

mod link;
mod local;

use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::attr::{Attr, Attrs, Buffer};
use crate::{NetlinkError, Reply, Socket};

pub use link::{
    Link, add_address, addresses_of, create_bridge, create_dummy, delete_address, delete_link, link, set_up,
};
pub use local::{
    LocalRoute, RouteOwner, RouteWatch, TOWPATH_PROTOCOL, apply_local_routes, apply_local_routes_of,
    local_routes, local_routes_of,
};

const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const IFADDRMSG: usize = 8;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;

/// How often a list is tried again when changes come between its parts.
const TRIES: u32 = 5;
/// Datagrams of news folded into one answer at most, so that a stream of them can't hold the caller up.
const FOLD: usize = 4096;
/// The shortest wait there is: zero would mean "for ever" to the kernel.
const AT_ONCE: Duration = Duration::from_micros(1);

/// One address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The node's own address, also on a point-to-point link.
    pub ip: IpAddr,
    /// The interface's index.
    pub index: u32,
    /// `RT_SCOPE_*`: 0 universe, 253 link, 254 host.
    pub scope: u8,
    /// Length of the prefix, in bits.
    pub prefix: u8,
    /// `IFA_F_*`.
    pub flags: u32,
}

impl Address {
    /// Whether duplicate address detection is still going on (IPv6).
    pub fn is_tentative(&self) -> bool {
        self.flags & IFA_F_TENTATIVE != 0
    }

    /// Whether the kernel answers for the address now: detection of duplicates has neither failed nor is to be
    /// waited for (optimistic addresses, RFC 4429, may be used meanwhile).
    pub fn is_usable(&self) -> bool {
        let waits = self.is_tentative() && self.flags & IFA_F_OPTIMISTIC == 0;
        !waits && self.flags & IFA_F_DADFAILED == 0
    }
}

/// Opens a socket for [`addresses`]. Errors: the kernel gives none.
pub fn open() -> Result<Socket, NetlinkError> {
    Socket::open(libc::NETLINK_ROUTE)
}

/// All IPv4 and IPv6 addresses, in the kernel's order: IPv4 first, by interface, in the order of their making.
/// `socket` is one of [`open`].
///
/// Errors: the socket failed, the kernel refused, or [`NetlinkError::Interrupted`] when changes came between the
/// parts of every try.
pub fn addresses(socket: &mut Socket) -> Result<Vec<Address>, NetlinkError> {
    for _ in 0..TRIES {
        let mut found = Vec::new();
        if list(socket, &mut found)? {
            return Ok(found);
        }
    }
    Err(NetlinkError::Interrupted(TRIES))
}

fn list(socket: &mut Socket, found: &mut Vec<Address>) -> Result<bool, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut request = Buffer::default();
    put_list(&mut request, sequence);
    socket.dump(request.bytes(), sequence, |reply| found.extend(address(&reply)))
}

fn put_list(buffer: &mut Buffer, sequence: u32) {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mark = buffer.begin_message(libc::RTM_GETADDR, flags, sequence);
    buffer.raw(&[0; IFADDRMSG]);
    buffer.end_message(mark);
}

/// Reads a `struct ifaddrmsg` and its attributes; `None` for other families and other messages.
fn address(reply: &Reply<'_>) -> Option<Address> {
    let (header, rest) = reply.payload.split_first_chunk::<IFADDRMSG>()?;
    let [family, prefix, flags, scope, index @ ..] = *header;
    if reply.kind != libc::RTM_NEWADDR {
        return None;
    }
    let attrs = Attrs(rest);
    let ip = ip(family, attrs.find(IFA_LOCAL).or_else(|| attrs.find(IFA_ADDRESS))?)?;
    let flags = attrs
        .find(IFA_FLAGS)
        .and_then(|a| a.payload.try_into().ok())
        .map_or(flags.into(), u32::from_ne_bytes);
    Some(Address { ip, index: u32::from_ne_bytes(index), scope, prefix, flags })
}

fn ip(family: u8, attr: Attr<'_>) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => <[u8; 4]>::try_from(attr.payload).ok().map(IpAddr::from),
        libc::AF_INET6 => <[u8; 16]>::try_from(attr.payload).ok().map(IpAddr::from),
        _ => None,
    }
}

/// What [`AddressWatch::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Some address was added, removed or changed.
    Changed,
    /// Nothing, for as long as was asked.
    Nothing,
    /// News were lost: the queue was full. Whatever was known may be wrong.
    Overrun,
}

/// A subscription to changes of addresses.
#[derive(Debug)]
pub struct AddressWatch {
    socket: Socket,
}

impl AddressWatch {
    /// Subscribes. From now on changes are queued. Errors: no socket, or no permission.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = open()?;
        socket.join(RTNLGRP_IPV4_IFADDR)?;
        socket.join(RTNLGRP_IPV6_IFADDR)?;
        Ok(Self { socket })
    }

    /// Waits for news, `None` for ever, and reads all that is queued then. Errors: the socket failed.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<News, NetlinkError> {
        self.socket.set_timeout(timeout.map(|t| t.max(AT_ONCE)))?;
        let mut news = self.read()?;
        if news == News::Nothing {
            return Ok(news);
        }
        self.socket.set_timeout(Some(AT_ONCE))?;
        for _ in 0..FOLD {
            match self.read()? {
                News::Nothing => break,
                News::Overrun => news = News::Overrun,
                News::Changed => {}
            }
        }
        Ok(news)
    }

    fn read(&mut self) -> Result<News, NetlinkError> {
        match self.socket.receive(|_| {}) {
            Ok(()) => Ok(News::Changed),
            Err(NetlinkError::Io { source, .. }) if source.kind() == ErrorKind::WouldBlock => {
                Ok(News::Nothing)
            }
            Err(error) if error.errno() == Some(libc::ENOBUFS) => Ok(News::Overrun),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for AddressWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: u16, family: i32, header_flags: u8, attrs: &[(u16, &[u8])]) -> Option<Address> {
        let mut buffer = Buffer::default();
        buffer.raw(&[family as u8, 24, header_flags, 253]);
        buffer.raw(&7u32.to_ne_bytes());
        attrs.iter().for_each(|(kind, payload)| buffer.put(*kind, payload));
        address(&Reply { kind, flags: 0, sequence: 1, port: 0, payload: buffer.bytes() })
    }

    #[test]
    fn the_own_end_of_a_point_to_point_link_counts() {
        let both: [(u16, &[u8]); 2] = [(IFA_ADDRESS, &[10, 0, 0, 2]), (IFA_LOCAL, &[10, 0, 0, 1])];
        let found = read(libc::RTM_NEWADDR, libc::AF_INET, 0x80, &both).unwrap();
        let ip = "10.0.0.1".parse().unwrap();
        assert_eq!(found, Address { ip, index: 7, scope: 253, prefix: 24, flags: 0x80 });
    }

    #[test]
    fn the_wide_flags_win_over_the_narrow_ones() {
        let ip = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let wide = 0x340u32.to_ne_bytes();
        let attrs: [(u16, &[u8]); 2] = [(IFA_ADDRESS, &ip), (IFA_FLAGS, &wide)];
        let found = read(libc::RTM_NEWADDR, libc::AF_INET6, 0, &attrs).unwrap();
        assert_eq!((found.flags, found.is_tentative(), found.is_usable()), (0x340, true, false));
    }

    #[test]
    fn an_address_is_usable_unless_detection_waits_or_failed() {
        let ip = "fd00::1".parse().unwrap();
        let with = |flags| Address { ip, index: 1, scope: 0, prefix: 64, flags };
        for (flags, usable) in
            [(0, true), (0x80, true), (0x40, false), (0x44, true), (0x08, false), (0x48, false)]
        {
            assert_eq!(with(flags).is_usable(), usable, "{flags:#x}");
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        let attrs: [(u16, &[u8]); 1] = [(IFA_LOCAL, &[10, 0, 0, 1])];
        assert_eq!(read(libc::RTM_DELADDR, libc::AF_INET, 0, &attrs), None);
        assert_eq!(read(libc::RTM_NEWADDR, libc::AF_INET6, 0, &attrs), None);
        assert_eq!(read(libc::RTM_NEWADDR, libc::AF_PACKET, 0, &attrs), None);
        assert_eq!(read(libc::RTM_NEWADDR, libc::AF_INET, 0, &[]), None);
        let short = Reply { kind: libc::RTM_NEWADDR, flags: 0, sequence: 1, port: 0, payload: &[2, 8] };
        assert_eq!(address(&short), None);
    }
}
