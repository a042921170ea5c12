//! A client that asks for a name and can tell who answered: the node speaks DNS, a stand-in of CoreDNS says who it is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use domain::base::Message;
use domain::rdata::{A as Ipv4, Aaaa as Ipv6};
use model::Protocol;
use socket2::{Domain, Socket, Type};
use testkit::world::World;

/// The name that clients ask for: only the node knows it.
pub(crate) const NAME: &str = "web.shop.svc.cluster.local";
/// Its address.
pub(crate) const ADDRESS: &str = "10.96.7.1";
/// Types of records.
pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The node's response code, and the addresses.
    Node(u8, Vec<IpAddr>),
    /// A CoreDNS pod, by its address.
    CoreDns(SocketAddr),
    /// Nothing that could be used, and why.
    Nothing(String),
}

static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// A query with RD and an ID of its own.
pub(crate) fn query(name: &str, rtype: u16) -> Vec<u8> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let mut out = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    out.extend([&rtype.to_be_bytes()[..], &[0, 1]].concat());
    out
}

/// One query from a socket of its own. An error means that it could not even be sent.
pub(crate) fn ask(
    world: &World,
    (from, to): (IpAddr, SocketAddr),
    protocol: Protocol,
    (name, rtype): (&str, u16),
    patience: Duration,
) -> Result<Reply> {
    let query = query(name, rtype);
    let talk = || match protocol {
        Protocol::Udp => udp(from, to, &query, patience),
        _ => tcp(from, to, &query, patience),
    };
    Ok(match world.namespace(from).run(talk).context("a client")? {
        Ok(bytes) => understood(&bytes, &query),
        Err(error) => Reply::Nothing(error.to_string()),
    })
}

fn udp(from: IpAddr, to: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(to)?;
    socket.send(query)?;
    let mut reply = vec![0; 1500];
    let length = socket.recv(&mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

fn tcp(from: IpAddr, to: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(from, to, patience)?;
    send(&mut stream, query)?;
    receive(&mut stream)
}

/// A connection whose reads take this long at most.
pub(crate) fn connect(from: IpAddr, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), patience)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience))?;
    Ok(stream)
}

/// Sends a query with its length.
pub(crate) fn send(stream: &mut TcpStream, query: &[u8]) -> io::Result<()> {
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())
}

/// A reply by its length, without it; or what a stand-in says until it closes.
pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut all, mut part) = (Vec::new(), [0; 1500]);
    loop {
        match stream.read(&mut part)? {
            0 if all.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            0 => return Ok(all),
            length => all.extend_from_slice(&part[..length]),
        }
        if let [high, low, message @ ..] = all.as_slice()
            && message.len() >= usize::from(u16::from_be_bytes([*high, *low]))
        {
            return Ok(message.to_vec());
        }
    }
}

/// What a client makes of it.
pub(crate) fn understood(bytes: &[u8], query: &[u8]) -> Reply {
    let said = || String::from_utf8_lossy(bytes).into_owned();
    if bytes.get(..2) == query.get(..2) && bytes.get(2).is_some_and(|flags| flags & 0x80 != 0) {
        return addresses(bytes).unwrap_or_else(|error| Reply::Nothing(error.to_string()));
    }
    let pod = said().split(' ').next().and_then(|own| own.parse().ok());
    pod.map_or_else(|| Reply::Nothing(said()), Reply::CoreDns)
}

fn addresses(bytes: &[u8]) -> Result<Reply> {
    let message = Message::from_octets(bytes)?;
    let mut found: Vec<IpAddr> = Vec::new();
    for record in message.answer()?.limit_to::<Ipv4>() {
        found.push(record?.data().addr().into());
    }
    for record in message.answer()?.limit_to::<Ipv6>() {
        found.push(record?.data().addr().into());
    }
    Ok(Reply::Node(message.header().rcode().to_int(), found))
}
