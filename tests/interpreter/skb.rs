//! One packet and what conntrack knows of its connection.

use std::net::IpAddr;

use model::{EndpointAddr, IpFamily, Protocol};
use nftables::VipKey;
use resolve::Packet;

use super::machine::Stop;

/// The first packet of a connection on its way through the hooks.
#[derive(Clone, Debug)]
pub struct Skb {
    /// Its family.
    pub family: IpFamily,
    /// Its headers as they are now.
    pub headers: Headers,
    /// Its headers as they came.
    pub original: Headers,
    /// The number of its protocol.
    pub protocol: u8,
    /// Where it came in; empty for a packet of the node itself.
    pub interface: String,
    /// `skb->mark`.
    pub mark: u32,
    /// Where it was sent to.
    pub translated: Option<EndpointAddr>,
    /// By a rule: its connection has the status "destination translated", which IPVS does not set.
    pub by_rule: bool,
    /// The virtual server that chose for it.
    pub server: Option<VipKey>,
    /// Whether chains of nat have decided about its destination, and about its source: they do so once.
    pub decided: [bool; 2],
    /// Its source was rewritten.
    pub masqueraded: bool,
    /// What the random draws on its way come to, one after the other.
    pub draws: Vec<u32>,
    /// How many of them are used up.
    pub drawn: usize,
    /// What rules wrote into maps.
    pub remembered: Vec<Remembered>,
}

/// An element that a rule wrote into a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The map.
    pub set: String,
    /// All bytes from the first register of the key on.
    pub bytes: Vec<u8>,
    /// Length of the key, up to the first register of the data.
    pub key_len: usize,
    /// Milliseconds.
    pub timeout: u64,
}

/// Header bytes, as far as a rule may read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// IPv4 or IPv6, without options.
    pub network: Vec<u8>,
    /// The beginning that TCP, UDP and SCTP share: two ports.
    pub transport: Vec<u8>,
}

const CLIENT_PORT: u16 = 40_000;

impl Skb {
    /// The packet as it enters.
    pub fn new(packet: &Packet, draws: &[u32]) -> Self {
        let protocol = packet.protocol.number();
        let headers = Headers::new(packet.from, packet.to, protocol);
        Self {
            family: IpFamily::of(packet.to.ip),
            original: headers.clone(),
            headers,
            protocol,
            interface: packet.interface.clone().unwrap_or_default(),
            mark: 0,
            translated: None,
            by_rule: false,
            server: None,
            decided: [false; 2],
            masqueraded: false,
            draws: draws.to_vec(),
            drawn: 0,
            remembered: Vec::new(),
        }
    }

    /// Rewrites the destination.
    pub fn translate(&mut self, to: EndpointAddr) {
        self.headers.set_destination(to);
        self.translated = Some(to);
    }

    /// The next number of the script, below this one; without one, the packet stops here.
    pub fn draw(&mut self, modulus: u32) -> Result<u32, Stop> {
        let number = *self.draws.get(self.drawn).ok_or(Stop::Draw(modulus))?;
        self.drawn += 1;
        Ok(number)
    }

    /// What it asks for now, of IPVS.
    pub fn vip(&self) -> Option<VipKey> {
        let port = self.headers.destination_port();
        let port = u16::from_be_bytes([port[0], port[1]]);
        Some(VipKey { ip: self.destination(), protocol: Protocol::from_number(self.protocol)?, port })
    }

    /// Where it is headed now.
    pub fn destination(&self) -> IpAddr {
        self.headers.address(self.family, true)
    }
}

impl Headers {
    fn new(from: IpAddr, to: EndpointAddr, protocol: u8) -> Self {
        let (length, source, protocol_at) = if from.is_ipv4() { (20, 12, 9) } else { (40, 8, 6) };
        let mut network = vec![0; length];
        network[protocol_at] = protocol;
        put(&mut network, source, &bytes(from));
        let mut headers = Self { network, transport: CLIENT_PORT.to_be_bytes().repeat(2) };
        headers.set_destination(to);
        headers
    }

    fn set_destination(&mut self, to: EndpointAddr) {
        put(&mut self.network, if to.ip.is_ipv4() { 16 } else { 24 }, &bytes(to.ip));
        put(&mut self.transport, 2, &to.port.to_be_bytes());
    }

    /// The source or destination address.
    pub fn address(&self, family: IpFamily, destination: bool) -> IpAddr {
        let (first, size) = if family == IpFamily::V4 { (12, 4) } else { (8, 16) };
        let start = first + if destination { size } else { 0 };
        address(&self.network[start..start + size])
    }

    /// The destination port's bytes.
    pub fn destination_port(&self) -> &[u8] {
        &self.transport[2..4]
    }
}

fn put(target: &mut [u8], at: usize, value: &[u8]) {
    target[at..at + value.len()].copy_from_slice(value);
}

/// An address in network order.
pub fn bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The address of 4 or 16 bytes in network order.
pub fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap()),
    }
}
