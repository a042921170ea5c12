//! One first packet, sent for real, and what came of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use model::Protocol;
use socket2::{Domain, Socket, Type};

use crate::netns::NetNs;

/// What a client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A server answered.
    Answered {
        /// Who it is.
        endpoint: SocketAddr,
        /// The client as the server sees it.
        seen_source: SocketAddr,
    },
    /// The client was told at once: RST, or ICMP port unreachable.
    Refused,
    /// Nothing came back.
    TimedOut,
    /// Anything else: another error, or an answer from a server that is none of ours.
    Other(String),
}

/// Something to say first, so that data flows both ways; an HTTP server can answer it too.
const QUESTION: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Source ports are ours to choose: no flow meets an old flow's conntrack entry, unless a test sends more than
/// [`PORTS`] within the two minutes that the kernel keeps them. A SYN may then be lost, in any mode and without rules too:
/// masquerading may give the new flow a port that the server still has in TIME_WAIT.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
const FIRST_PORT: u16 = 40_000;
const PORTS: u16 = 20_000;

/// Sends the first packet of a new flow from inside `ns`. An error means that it could not even be sent.
pub fn probe(
    ns: &NetNs,
    source: Option<IpAddr>,
    destination: SocketAddr,
    protocol: Protocol,
    timeout: Duration,
) -> Result<Outcome> {
    let source = SocketAddr::new(source.unwrap_or_else(|| any_address(destination)), next_port());
    let flow = || format!("{protocol} {source} -> {destination}");
    match protocol {
        Protocol::Tcp | Protocol::Sctp => ns.run(|| ask_stream(source, destination, protocol, timeout))?,
        Protocol::Udp => ns.run(|| ask_udp(source, destination, timeout))?,
    }
    .with_context(flow)
}

/// Whether the kernel has SCTP; otherwise why not.
pub fn has_sctp() -> Result<(), String> {
    let socket = stream_socket(Domain::IPV4, Protocol::Sctp);
    socket.map(drop).map_err(|error| format!("the kernel has no SCTP (CONFIG_IP_SCTP): {error}"))
}

/// A socket for TCP or SCTP in its one-to-one style, which is used in the same way.
pub(crate) fn stream_socket(domain: Domain, protocol: Protocol) -> std::io::Result<Socket> {
    Socket::new(domain, Type::STREAM, Some(i32::from(protocol.number()).into()))
}

/// Sends an ICMP echo request; an answer is [`Outcome::Other`].
pub fn ping(ns: &NetNs, source: IpAddr, destination: IpAddr, timeout: Duration) -> Result<Outcome> {
    ns.set_sysctls(&[("ipv4/ping_group_range", "0 2147483647")])?;
    let ends = [source, destination].map(|ip| SocketAddr::new(ip, 0));
    ns.run(|| echo(ends, timeout))?.with_context(|| format!("ICMP echo {source} -> {destination}"))
}

fn echo([source, destination]: [SocketAddr; 2], timeout: Duration) -> Result<Outcome> {
    const ID_SEQUENCE: [u8; 4] = [0, 0, 0, 1];
    let (protocol, kind) = if destination.is_ipv4() { (1, 8) } else { (58, 128) };
    let socket = Socket::new(Domain::for_address(destination), Type::DGRAM, Some(protocol.into()))?;
    socket.set_read_timeout(Some(timeout))?;
    socket.bind(&source.into())?;
    socket.connect(&destination.into())?;
    let request: Vec<u8> = [kind, 0, 0, 0].into_iter().chain(ID_SEQUENCE).collect();
    // EPERM, as with UDP: recv says why.
    let sent = socket
        .send(&request)
        .or_else(|e| if e.kind() == ErrorKind::PermissionDenied { Ok(0) } else { Err(e) });
    match sent.and_then(|_| (&socket).read(&mut [0; 256])) {
        Ok(_) => Ok(Outcome::Other("an echo reply".to_owned())),
        Err(error) => Ok(failure(&error)),
    }
}

/// A UDP client that keeps its socket: all it sends is one flow.
#[derive(Debug)]
pub struct UdpFlow {
    socket: UdpSocket,
    /// Its own address and port.
    pub source: SocketAddr,
    /// Where it sends.
    pub destination: SocketAddr,
}

impl UdpFlow {
    /// Binds a socket inside `ns`; nothing is sent yet.
    pub fn open(ns: &NetNs, source: IpAddr, destination: SocketAddr) -> Result<Self> {
        let source = SocketAddr::new(source, next_port());
        let socket = ns.run(|| UdpSocket::bind(source))?.with_context(|| format!("binding {source}"))?;
        Ok(Self { socket, source, destination })
    }

    /// Sends one packet and waits for its answer. The socket is not connected: it hears no ICMP errors.
    pub fn ask(&self, timeout: Duration) -> Result<Outcome> {
        self.socket.set_read_timeout(Some(timeout))?;
        match self.socket.send_to(QUESTION, self.destination) {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Ok(failure(&error)),
            _ => {}
        }
        let mut answer = [0; 256];
        match self.socket.recv_from(&mut answer) {
            Ok((length, _)) => Ok(understood(&String::from_utf8_lossy(&answer[..length]))),
            Err(error) => Ok(failure(&error)),
        }
    }
}

fn next_port() -> u16 {
    FIRST_PORT + NEXT_PORT.fetch_add(1, Ordering::Relaxed) % PORTS
}

fn any_address(destination: SocketAddr) -> IpAddr {
    match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn ask_stream(
    source: SocketAddr,
    destination: SocketAddr,
    protocol: Protocol,
    timeout: Duration,
) -> Result<Outcome> {
    let socket = stream_socket(Domain::for_address(destination), protocol)?;
    socket.bind(&source.into())?;
    if let Err(error) = socket.connect_timeout(&destination.into(), timeout) {
        return Ok(failure(&error));
    }
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(timeout))?;
    let mut answer = String::new();
    let talk = stream.write_all(QUESTION).and_then(|()| stream.read_to_string(&mut answer));
    Ok(talk.map_or_else(|error| after_connect(&error), |_| understood(&answer)))
}

/// A connection was there, so this is no refusal by the dataplane.
fn after_connect(error: &std::io::Error) -> Outcome {
    Outcome::Other(format!("connected, then: {error}"))
}

fn ask_udp(source: SocketAddr, destination: SocketAddr, timeout: Duration) -> Result<Outcome> {
    let socket = UdpSocket::bind(source)?;
    socket.set_read_timeout(Some(timeout))?;
    if let Err(error) = socket.connect(destination) {
        return Ok(failure(&error));
    }
    // EPERM: dropped on its way out of this very host. What the sender is told, recv says.
    match socket.send(QUESTION) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => return Ok(failure(&error)),
        _ => {}
    }
    let mut answer = [0; 256];
    match socket.recv(&mut answer) {
        Ok(length) => Ok(understood(&String::from_utf8_lossy(&answer[..length]))),
        Err(error) => Ok(failure(&error)),
    }
}

fn failure(error: &std::io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::TimedOut,
        _ => Outcome::Other(error.to_string()),
    }
}

fn understood(answer: &str) -> Outcome {
    let words = answer.trim_end().split_once(' ');
    let greeting = words.and_then(|(own, peer)| Some((own.parse().ok()?, peer.parse().ok()?)));
    match greeting {
        Some((endpoint, seen_source)) => Outcome::Answered { endpoint, seen_source },
        None => Outcome::Other(format!("answer {answer:?}")),
    }
}
