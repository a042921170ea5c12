//! The addresses of a datagram: who sent it, and which of our addresses was asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::SockaddrStorage;

/// The address that a query was sent to; its reply leaves from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// The one that the socket is bound to.
    Bound,
    /// One of many, on a socket for all addresses.
    Four(Ipv4Addr),
    /// The same; the link matters for a link-local address only.
    Six(Ipv6Addr, u32),
}

impl Local {
    pub(crate) fn from_four(info: &in_pktinfo) -> Self {
        Self::Four(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))
    }

    pub(crate) fn from_six(info: &in6_pktinfo) -> Self {
        let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
        let link = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
        Self::Six(address, link)
    }

    pub(crate) fn four(self) -> Option<in_pktinfo> {
        let Self::Four(address) = self else { return None };
        let none = in_addr { s_addr: 0 };
        let from = in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
        Some(in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: none })
    }

    pub(crate) fn six(self) -> Option<in6_pktinfo> {
        let Self::Six(address, link) = self else { return None };
        Some(in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: link })
    }
}

/// Room for the control message of a socket for all addresses of this family; none for another socket.
pub(crate) fn space(bound: IpAddr) -> Option<fn() -> Vec<u8>> {
    match bound {
        IpAddr::V4(address) if address.is_unspecified() => Some(|| cmsg_space!(in_pktinfo)),
        IpAddr::V6(address) if address.is_unspecified() => Some(|| cmsg_space!(in6_pktinfo)),
        _ => None,
    }
}

/// The kernel's form as ours.
pub(crate) fn of(peer: &SockaddrStorage) -> Option<SocketAddr> {
    let four = peer.as_sockaddr_in().map(|found| SocketAddr::V4(SocketAddrV4::from(*found)));
    four.or_else(|| peer.as_sockaddr_in6().map(|found| SocketAddr::V6(SocketAddrV6::from(*found))))
}
