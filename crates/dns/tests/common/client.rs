//! Asks as a stub resolver does, and reads the reply.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use dns_wire::{Asked, Name, Record, Stored, rtype, store};

/// Asks one server.
pub struct Client {
    server: SocketAddr,
    socket: UdpSocket,
}

/// A reply.
#[derive(Debug)]
pub struct Answer {
    pub octets: Vec<u8>,
    pub rcode: u16,
    pub flags: u16,
    pub records: Vec<Record>,
}

impl Answer {
    fn read(octets: Vec<u8>, query: &[u8]) -> Self {
        let question_end = query.len() - if query[11] == 0 { 0 } else { 11 };
        let asked =
            Asked { id: u16::from_be_bytes([query[0], query[1]]), question: &query[12..question_end] };
        let mut untruncated = octets.clone();
        untruncated[2] &= !2;
        let stored: Option<Stored> = store(&untruncated, &asked).ok();
        let records = stored.map(|stored| stored.records().collect()).unwrap_or_default();
        let flags = u16::from_be_bytes([octets[2], octets[3]]);
        Self { rcode: flags & 15, flags, octets, records }
    }

    /// Answers as `owner ttl TYPE data`.
    pub fn answers(&self) -> Vec<String> {
        self.of(dns_wire::Section::Answer)
    }

    pub fn of(&self, section: dns_wire::Section) -> Vec<String> {
        self.records.iter().filter(|record| record.section == section).map(shown).collect()
    }

    pub fn is_authoritative(&self) -> bool {
        self.flags & dns_wire::flag::AA != 0
    }

    pub fn is_truncated(&self) -> bool {
        self.flags & dns_wire::flag::TC != 0
    }

    /// Data of an EDNS option.
    pub fn option(&self, code: u16) -> Option<Vec<u8>> {
        // The OPT record is the last of the message; look for it from the end of what is known of it.
        let opt = (0..self.octets.len()).rev().find(|at| {
            self.octets[*at..].starts_with(&[0, 0, 41])
                && self.octets.get(at + 9..at + 11).is_some_and(|length| {
                    at + 11 + usize::from(u16::from_be_bytes([length[0], length[1]])) == self.octets.len()
                })
        })?;
        let mut rest = &self.octets[opt + 11..];
        while let [c0, c1, l0, l1, tail @ ..] = rest {
            let (data, after) = tail.split_at(usize::from(u16::from_be_bytes([*l0, *l1])));
            if u16::from_be_bytes([*c0, *c1]) == code {
                return Some(data.to_vec());
            }
            rest = after;
        }
        None
    }
}

fn shown(record: &Record) -> String {
    let data = match (record.rtype, record.data.as_slice()) {
        (rtype::A, [a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        (rtype::AAAA, data) => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
        (rtype::CNAME | rtype::PTR | rtype::NS, data) => dns_wire::NameRef::read(data).unwrap().to_string(),
        (_, data) => format!("{data:02x?}"),
    };
    format!("{} {} {} {data}", record.owner, record.ttl, rtype::name(record.rtype).unwrap_or("?"))
}

/// A query as octets.
pub fn query(id: u16, name: &str, qtype: u16, edns: bool) -> Vec<u8> {
    let name: Name = name.parse().unwrap();
    let mut octets = Vec::new();
    dns_wire::ask(&mut octets, id, name.as_ref(), qtype, 1, false, false, false, 1232);
    if !edns {
        octets.truncate(octets.len() - 11);
        octets[11] = 0;
    }
    octets
}

/// The same behind its length, for TCP.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        Self::from(any, server)
    }

    /// From a certain address.
    pub fn from(own: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { server, socket }
    }

    /// Over UDP, with EDNS.
    pub fn ask(&self, name: &str, qtype: u16) -> Answer {
        self.send(&query(7, name, qtype, true))
    }

    /// Over UDP.
    pub fn send(&self, message: &[u8]) -> Answer {
        Answer::read(self.exchange(message), message)
    }

    pub fn exchange(&self, message: &[u8]) -> Vec<u8> {
        self.socket.send_to(message, self.server).unwrap();
        let mut octets = vec![0; 65_536];
        loop {
            let (count, from) = self.socket.recv_from(&mut octets).unwrap();
            if from == self.server && octets[..2] == message[..2] {
                octets.truncate(count);
                return octets;
            }
        }
    }

    /// Over a TCP connection of its own.
    pub fn ask_tcp(&self, name: &str, qtype: u16) -> Answer {
        let message = query(9, name, qtype, true);
        let mut stream = self.connect();
        stream.write_all(&framed(&message)).unwrap();
        Answer::read(Self::receive(&mut stream), &message)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// One message of a stream.
    pub fn receive(stream: &mut TcpStream) -> Vec<u8> {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut octets).unwrap();
        octets
    }
}
