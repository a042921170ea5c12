//! Sockets at VIPs, and the ends that probes come from.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};

use crate::error::NodeError;
use crate::layout::PORT;

/// Tried first where no earlier process has chosen another.
const USUAL_PORT: u16 = 10_053;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Where the probes of one VIP come from: the VIP itself, at a port that is held for as long as this lives.
#[derive(Debug)]
pub struct ProbeEnd {
    own: SocketAddr,
    pub(crate) udp: UdpSocket,
    /// Keeps the port from others; connections are made by sockets of their own.
    _tcp: Socket,
}

impl ProbeEnd {
    /// Binds at the VIP: at the wanted port, the usual one or any. The VIP must be local.
    pub(crate) fn open(vip: IpAddr, wanted: Option<u16>) -> Result<Self, NodeError> {
        let ports = wanted.into_iter().chain([USUAL_PORT, 0, 0, 0]);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for port in ports {
            match Self::at(SocketAddr::new(vip, port)) {
                Ok(end) => return Ok(end),
                Err(error) => last = error,
            }
        }
        Err(NodeError::Probe { ip: vip, source: last })
    }

    fn at(wanted: SocketAddr) -> io::Result<Self> {
        let udp = UdpSocket::from(bound(wanted, Type::DGRAM)?);
        let own = udp.local_addr()?;
        let tcp = bound(own, Type::STREAM)?;
        udp.connect(SocketAddr::new(own.ip(), PORT))?;
        Ok(Self { own, udp, _tcp: tcp })
    }

    /// Where it is: VIP and port.
    pub fn own(&self) -> SocketAddr {
        self.own
    }

    /// Who is asked.
    pub fn server(&self) -> SocketAddr {
        SocketAddr::new(self.own.ip(), PORT)
    }

    /// A new socket at this end, not connected yet.
    pub(crate) fn tcp(&self) -> io::Result<Socket> {
        bound(self.own, Type::STREAM)
    }
}

/// A UDP socket at an address of DNS. For IPv6 a local route alone does not allow that (`IPV6_FREEBIND`); so it may be
/// bound before the node has the address, too. Errors: the kernel refused, as where another program has the port.
pub fn udp_socket(at: SocketAddr) -> io::Result<UdpSocket> {
    bound(at, Type::DGRAM).map(UdpSocket::from)
}

/// The same for TCP, listening.
pub fn tcp_socket(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(at, Type::STREAM)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, None)?;
    match at {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}
