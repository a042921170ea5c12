//! A connection as a value.

use model::{EndpointAddr, Protocol};

use crate::state::State;

/// What a client addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The protocol.
    pub protocol: Protocol,
    /// Address and port.
    pub at: EndpointAddr,
}

/// What went each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Packets from the client to the endpoint.
    pub packets_in: u64,
    /// Bytes of these, IP headers included.
    pub bytes_in: u64,
    /// Packets from the endpoint to the client.
    pub packets_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
}

impl Counters {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.packets_in += other.packets_in;
        self.bytes_in += other.bytes_in;
        self.packets_out += other.packets_out;
        self.bytes_out += other.bytes_out;
    }
}

/// A connection (of UDP: a flow) that was led to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// Where it came from.
    pub client: EndpointAddr,
    /// What it addressed.
    pub place: Place,
    /// Where it was led.
    pub endpoint: EndpointAddr,
    /// The source that the endpoint sees, where that is not the client; `None` also where the table does not tell.
    pub masqueraded: Option<EndpointAddr>,
    /// What it is doing.
    pub state: State,
    /// What it has carried, where the kernel counts.
    pub counters: Option<Counters>,
    /// Seconds until it is forgotten, if nothing more comes.
    pub expires: u32,
    /// When it began, in nanoseconds since 1970, where the kernel notes it.
    pub started: Option<u64>,
}
