//! The objects that a Route becomes, keyed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use model::{EndpointAddr, IpFamily, Protocol, Scheduler};
use netlink::ipvs;
use nftables::{ElementKey, SetId, VipKey};

/// An address, a protocol and a port: what tells virtual servers apart.
pub type Server = VipKey;

/// Identity of one object in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// An object of the tables `towpath-ipvs`.
    Rule(nftables::Key),
    /// A virtual server.
    Server(Server),
    /// A real server of a virtual server.
    Real(Server, EndpointAddr),
    /// A route that makes addresses local.
    Route(IpNet),
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// As in mode nftables.
    Rule(nftables::Value),
    /// How a virtual server chooses.
    Server(Choice),
    /// A real server's weight, 1 to 65,535.
    Real(u32),
    /// The source that connections of the node itself get.
    Route(Option<IpAddr>),
}

/// How a virtual server chooses a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The scheduler; `None` is one that we never use.
    pub scheduler: Option<Scheduler>,
    /// ClientIP affinity, in seconds; 0 is none.
    pub persistence: u32,
    /// The flags of IPVS beside persistence.
    pub flags: u32,
    /// Length of the prefix of clients that share a real server.
    pub prefix: u8,
}

impl Choice {
    /// What a Service asks for.
    pub fn new(family: IpFamily, scheduler: Scheduler, affinity_seconds: Option<u32>) -> Self {
        let flags = match scheduler {
            // As kube-proxy does for mh: the client's port counts too. A real server that gets no new connections any
            // more (weight 0) must not be chosen.
            Scheduler::Mh => ipvs::HASH_PORT | ipvs::HASH_FALLBACK,
            Scheduler::Sh => ipvs::HASH_FALLBACK,
            _ => 0,
        };
        let prefix = if family == IpFamily::V4 { 32 } else { 128 };
        Self { scheduler: Some(scheduler), persistence: affinity_seconds.unwrap_or(0), flags, prefix }
    }

    /// What the kernel has.
    pub fn of(server: &ipvs::VirtualServer) -> Self {
        let persistent = server.flags & ipvs::PERSISTENT != 0;
        Self {
            scheduler: server.scheduler.parse().ok(),
            persistence: if persistent { server.timeout } else { 0 },
            flags: server.flags & !ipvs::PERSISTENT,
            prefix: server.prefix,
        }
    }

    /// The virtual server that chooses so.
    pub fn server(&self, key: Server) -> ipvs::VirtualServer {
        let persistent = if self.persistence > 0 { ipvs::PERSISTENT } else { 0 };
        ipvs::VirtualServer {
            key: kernel_key(key),
            scheduler: self.scheduler.unwrap_or_default().as_str().to_owned(),
            flags: self.flags | persistent,
            timeout: self.persistence,
            prefix: self.prefix,
        }
    }
}

impl Key {
    /// The family that the object is for.
    pub fn family(&self) -> IpFamily {
        match self {
            Key::Rule(key) => key.family(),
            Key::Server(server) | Key::Real(server, _) => IpFamily::of(server.ip),
            Key::Route(net) => IpFamily::of(net.addr()),
        }
    }

    /// The virtual server that this is, or is a part of.
    pub fn server(&self) -> Option<Server> {
        match self {
            Key::Server(server) | Key::Real(server, _) => Some(*server),
            Key::Rule(_) | Key::Route(_) => None,
        }
    }

    /// The virtual server of which this says in our table that it is ours.
    pub fn recorded(&self) -> Option<Server> {
        match self {
            Key::Rule(rule) => recorded(rule),
            _ => None,
        }
    }
}

/// The virtual server of which a rule says that it is ours.
pub fn recorded(rule: &nftables::Key) -> Option<Server> {
    match rule {
        nftables::Key::Element(_, SetId::VirtualServers, ElementKey::Vip(server)) => Some(*server),
        _ => None,
    }
}

/// What says in our table that a virtual server is ours.
pub fn record(server: Server) -> Key {
    let family = IpFamily::of(server.ip);
    Key::Rule(nftables::Key::Element(family, SetId::VirtualServers, ElementKey::Vip(server)))
}

/// The rule behind a key, if it is one.
pub fn rule_of(key: Key) -> Option<nftables::Key> {
    match key {
        Key::Rule(rule) => Some(rule),
        _ => None,
    }
}

/// A virtual server as IPVS names it.
pub fn kernel_key(server: Server) -> ipvs::Key {
    ipvs::Key::Address { address: server.ip, protocol: server.protocol.number(), port: server.port }
}

/// A virtual server of IPVS, if it could be one of ours.
pub fn server_of(key: &ipvs::Key) -> Option<Server> {
    match *key {
        ipvs::Key::Address { address, protocol, port } => {
            Some(Server { ip: address, protocol: Protocol::from_number(protocol)?, port })
        }
        ipvs::Key::Mark { .. } => None,
    }
}

/// A real server as IPVS names it.
pub fn real(endpoint: EndpointAddr, weight: u32) -> ipvs::RealServer {
    ipvs::RealServer::masquerade(SocketAddr::new(endpoint.ip, endpoint.port), weight)
}

/// The endpoint behind a real server.
pub fn endpoint_of(server: &ipvs::RealServer) -> EndpointAddr {
    EndpointAddr { ip: server.address.ip(), port: server.address.port() }
}

/// A virtual server as `ipvsadm` takes it.
pub struct Named(pub Server);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named(server) = self;
        let option = match server.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
            Protocol::Sctp => "--sctp-service",
        };
        write!(f, "{option} {}", SocketAddr::new(server.ip, server.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory of a large node is these sizes times the number of real servers.
    #[test]
    fn keys_and_values_stay_small() {
        assert!(size_of::<Key>() <= 48, "{}", size_of::<Key>());
        assert!(size_of::<Value>() <= 24, "{}", size_of::<Value>());
    }

    #[test]
    fn a_choice_reads_back_as_it_was_written() {
        let server = Server { ip: "fd00::1".parse().unwrap(), protocol: Protocol::Sctp, port: 9 };
        for scheduler in Scheduler::ALL {
            for affinity in [None, Some(1), Some(86_400)] {
                let choice = Choice::new(IpFamily::V6, scheduler, affinity);
                assert_eq!(Choice::of(&choice.server(server)), choice, "{scheduler:?} {affinity:?}");
            }
        }
        assert_eq!(server_of(&kernel_key(server)), Some(server));
    }
}
