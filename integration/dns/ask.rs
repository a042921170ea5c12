//! Clients: queries over UDP and TCP from inside a namespace.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use testkit::netns::NetNs;

use crate::compare::{Transport, belongs};
use crate::decode::{self, Reply};
use crate::wire::{self, Query};

/// How long a reply may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A UDP socket that only the server talks to.
pub(crate) fn udp(ns: &NetNs, server: SocketAddr, source: Option<IpAddr>) -> Result<UdpSocket> {
    let socket: UdpSocket = ns.run(|| connected(server, source, Type::DGRAM))??.into();
    socket.set_read_timeout(Some(PATIENCE)).context("a timeout")?;
    Ok(socket)
}

/// A TCP connection to the server.
pub(crate) fn tcp(ns: &NetNs, server: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream> {
    let stream: TcpStream = ns.run(|| connected(server, source, Type::STREAM))??.into();
    stream.set_read_timeout(Some(PATIENCE)).context("a timeout")?;
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    Ok(stream)
}

fn connected(server: SocketAddr, source: Option<IpAddr>, kind: Type) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(server), kind, None).context("a socket")?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into()).with_context(|| format!("binding {source}"))?;
    }
    socket.connect(&server.into()).with_context(|| format!("connecting to {server}"))?;
    Ok(socket)
}

/// Sends octets by UDP and returns the reply's.
pub(crate) fn exchange(socket: &UdpSocket, message: &[u8]) -> Result<Vec<u8>> {
    socket.send(message).context("sending")?;
    receive(socket)
}

/// The next datagram.
pub(crate) fn receive(socket: &UdpSocket) -> Result<Vec<u8>> {
    let mut buffer = vec![0; 65_535];
    let len = socket.recv(&mut buffer).context("no reply over UDP")?;
    buffer.truncate(len);
    Ok(buffer)
}

/// The next message of a connection.
pub(crate) fn read_framed(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).context("no reply over TCP")?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).context("a reply over TCP that is cut off")?;
    Ok(message)
}

/// Asks over one of both; the reply belongs to the query and both decoders agree on it.
pub(crate) fn ask(
    ns: &NetNs,
    server: SocketAddr,
    source: Option<IpAddr>,
    query: &Query,
    transport: Transport,
) -> Result<Reply> {
    let message = match transport {
        Transport::Udp => exchange(&udp(ns, server, source)?, &query.bytes())?,
        Transport::Tcp => {
            let mut stream = tcp(ns, server, source)?;
            stream.write_all(&wire::framed(&query.bytes())).context("sending")?;
            read_framed(&mut stream)?
        }
    };
    ensure!(transport == Transport::Tcp || message.len() <= 1232, "a datagram of {} octets", message.len());
    let reply = decode::read(&message)?;
    belongs(&reply, query, transport)?;
    Ok(reply)
}
