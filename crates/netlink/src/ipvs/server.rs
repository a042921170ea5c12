//! Virtual servers, real servers and commands as values.

use std::net::{IpAddr, SocketAddr};

use crate::conntrack::Family;

/// A flag of [`VirtualServer::flags`]: a client keeps its real server (`IP_VS_SVC_F_PERSISTENT`).
pub const PERSISTENT: u32 = 0x0001;
/// A flag of [`VirtualServer::flags`]: each packet is scheduled for itself, UDP only (`IP_VS_SVC_F_ONEPACKET`).
pub const ONE_PACKET: u32 = 0x0004;
/// A flag of [`VirtualServer::flags`] for the schedulers sh and mh: the next real server takes what a weight of 0
/// declines (`IP_VS_SVC_F_SCHED1`).
pub const HASH_FALLBACK: u32 = 0x0008;
/// A flag of [`VirtualServer::flags`] for the schedulers sh and mh: the source port counts too
/// (`IP_VS_SVC_F_SCHED2`).
pub const HASH_PORT: u32 = 0x0010;

/// What tells virtual servers of one network namespace apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Packets to an address and port.
    Address {
        /// The virtual address.
        address: IpAddr,
        /// The protocol number of the IP header: 6, 17 or 132.
        protocol: u8,
        /// The port, in host byte order; 0 is every port, for persistent servers.
        port: u16,
    },
    /// Packets with a firewall mark.
    Mark {
        /// The mark, not 0.
        mark: u32,
        /// The IP family of the packets.
        family: Family,
    },
}

impl Key {
    /// The IP family.
    pub fn family(&self) -> Family {
        match self {
            Key::Address { address, .. } => Family::of(*address),
            Key::Mark { family, .. } => *family,
        }
    }
}

/// A virtual server (`IPVS_SVC_ATTR_*` in `linux/ip_vs.h`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualServer {
    /// Which packets it takes.
    pub key: Key,
    /// The scheduler's name, as `rr`; at most 15 bytes. The kernel loads the module `ip_vs_NAME`.
    pub scheduler: String,
    /// [`PERSISTENT`] and its like. What the kernel sets for itself (`IP_VS_SVC_F_HASHED`) is not shown.
    pub flags: u32,
    /// How long a client keeps its real server after its last connection, in seconds; for persistent servers.
    pub timeout: u32,
    /// Which clients share a real server: length of the prefix in bits, 0 to 32 or 1 to 128. An IPv4 mask with
    /// holes, which other programs may set, reads as the number of its ones.
    pub prefix: u8,
}

/// How packets get to a real server (`IP_VS_CONN_F_FWD_MASK`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// By translating the destination. The only one that can change the port.
    #[default]
    Masquerade,
    /// By handing them to this node.
    Local,
    /// In a tunnel.
    Tunnel,
    /// By the link-layer address alone.
    DirectRoute,
    /// Past the cache.
    Bypass,
}

/// A real server as somebody wants it (`IPVS_DEST_ATTR_*` in `linux/ip_vs.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RealServer {
    /// Where it listens. Only tunnels take an address of the other family than the virtual server's.
    pub address: SocketAddr,
    /// How packets get there.
    pub forwarding: Forwarding,
    /// Its share of new connections, 0 to 2^31-1; with 0 it gets none and keeps those that it has.
    pub weight: u32,
    /// With more connections than this it gets no new ones; 0 is no limit.
    pub upper_threshold: u32,
    /// With fewer connections than this it gets new ones again; 0 is three quarters of the upper one.
    pub lower_threshold: u32,
}

impl RealServer {
    /// One with masquerading and without thresholds.
    pub fn masquerade(address: SocketAddr, weight: u32) -> Self {
        let forwarding = Forwarding::Masquerade;
        Self { address, forwarding, weight, upper_threshold: 0, lower_threshold: 0 }
    }
}

/// A real server with what the kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The server.
    pub server: RealServer,
    /// Connections that are established.
    pub active: u32,
    /// Connections in every other state.
    pub inactive: u32,
    /// Persistence templates: clients that are to come back.
    pub persistent: u32,
    /// Totals as the kernel summed them up last, every two seconds; the fields above are of now.
    pub stats: Stats,
}

/// Totals since a server was added (`IPVS_STATS_ATTR_*`, the 64-bit ones of Linux 4.1 and later).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients, where they pass here.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients, where they pass here.
    pub out_bytes: u64,
}

/// How long idle connections are kept in this network namespace, in seconds. 0 in a request leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Established TCP connections; the kernel starts with 900.
    pub tcp: u32,
    /// TCP connections after a FIN; the kernel starts with 120.
    pub tcp_fin: u32,
    /// UDP; the kernel starts with 300.
    pub udp: u32,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Adds a virtual server; refused with EEXIST if it is there.
    Add(VirtualServer),
    /// Gives a virtual server another scheduler, flags, timeout or prefix; its real servers and connections stay.
    Edit(VirtualServer),
    /// Deletes a virtual server with its real servers. Its connections live on until their next packet.
    Delete(Key),
    /// Adds a real server; refused with EEXIST if it is there.
    AddDestination(Key, RealServer),
    /// Gives a real server another forwarding, weight or thresholds.
    EditDestination(Key, RealServer),
    /// Deletes a real server.
    DeleteDestination(Key, SocketAddr),
}
