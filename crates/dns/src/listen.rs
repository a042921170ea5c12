//! Where the server listens, and its sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Octets that queries may take in a socket while its thread is busy: over a thousand queries, as the kernel counts.
const WAITING: usize = 1 << 20;
/// Octets of replies that the kernel keeps for one TCP client, so that a client that reads nothing costs little. The kernel takes
/// twice this, for its own needs (socket(7)).
const UNREAD: usize = 64 << 10;
/// TCP connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 1_024;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Addresses for UDP and TCP alike. `0.0.0.0` and `::` mean all of the family; a reply leaves from the
    /// address that was asked. Port 0: any free one, the same for both protocols.
    pub addresses: Vec<SocketAddr>,
    /// Another process may listen on the same addresses: for a handover without a gap.
    pub reuse_port: bool,
    /// Listen also where the node has no address itself, but a local route to one, as to the VIP of a Service (`IP_FREEBIND`,
    /// `IPV6_FREEBIND`). A wrong address is then no error any more: nothing comes in there. Default: false.
    pub free_bind: bool,
    /// Sockets and threads for each address, 1 to 8. One suffices below 16 cores.
    pub sockets: usize,
}

impl Listen {
    /// On these addresses, one thread for each; two on a node with at least 16 cores.
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { addresses, reuse_port: true, free_bind: false, sockets: if cores >= 16 { 2 } else { 1 } }
    }
}

/// A place where the server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for DNS on {address} ({protocol}): {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// Why.
    pub source: io::Error,
}

/// A socket for queries over UDP. A socket for all addresses of a family also tells which one was asked.
pub(crate) fn udp(address: SocketAddr, listen: &Listen) -> Result<Socket, ListenError> {
    open_udp(address, listen).map_err(|source| ListenError { address, protocol: "udp", source })
}

/// A listening TCP socket, for a tokio runtime.
pub(crate) fn tcp(address: SocketAddr, listen: &Listen) -> Result<Socket, ListenError> {
    open_tcp(address, listen).map_err(|source| ListenError { address, protocol: "tcp", source })
}

/// The address that a socket got.
pub(crate) fn address_of(socket: &Socket) -> Option<SocketAddr> {
    socket.local_addr().ok().as_ref().and_then(SockAddr::as_socket)
}

fn open_udp(address: SocketAddr, listen: &Listen) -> io::Result<Socket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP, listen)?;
    // The agent may pass the system's bound (CAP_NET_ADMIN); others take what they get.
    if setsockopt(&socket, sockopt::RcvBufForce, &WAITING).is_err() {
        socket.set_recv_buffer_size(WAITING)?;
    }
    if address.ip().is_unspecified() {
        tell_address_asked(&socket, address.ip())?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn open_tcp(address: SocketAddr, listen: &Listen) -> io::Result<Socket> {
    let socket = open(address, Type::STREAM, Protocol::TCP, listen)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_send_buffer_size(UNREAD)?; // connections inherit it (socket(7), tcp(7))
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol, listen: &Listen) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Sockets that share an address must all say so.
    socket.set_reuse_port(listen.reuse_port || listen.sockets > 1)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(listen.free_bind)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(listen.free_bind)?,
    }
    Ok(socket)
}

fn tell_address_asked(socket: &Socket, address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses for examples, which no host has (RFC 5737, RFC 3849).
    #[test]
    fn an_address_that_the_node_has_not_takes_free_bind() {
        for address in ["192.0.2.53:0", "[2001:db8::53]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            for free_bind in [false, true] {
                let listen = Listen { free_bind, ..Listen::new(vec![address]) };
                let opened = [udp(address, &listen), tcp(address, &listen)].map(|socket| socket.is_ok());
                assert_eq!(opened, [free_bind; 2], "{address}");
            }
        }
    }
}
