//! What can go wrong.

use std::io;
use std::net::IpAddr;

use netlink::NetlinkError;

/// Why the node could not be made ready for DNS.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The kernel refused, or the socket failed.
    #[error("DNS on the node: {what}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: NetlinkError,
    },
    /// The kernel has neither dummy links nor bridges.
    #[error(
        "--dns-listen: no link can be made: load the module dummy or bridge, or give an address that the node has"
    )]
    NoLinks,
    /// A link of our name is something else.
    #[error("the link towpath-dns is of kind {0}, not ours: rename or delete it")]
    ForeignLink(String),
    /// The address is of no use.
    #[error("{0} cannot be an address for DNS on the node: give a unicast address")]
    Address(IpAddr),
    /// No port for probes.
    #[error("no port of {ip} is free for probes of DNS: {source}")]
    Probe {
        /// The VIP.
        ip: IpAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The prober's thread could not be started.
    #[error("the thread that probes DNS cannot be started: {0}")]
    Thread(io::Error),
}

impl NodeError {
    /// Whether a VIP cannot be reached since IPv6 is off on this node, which takes nothing from IPv4.
    pub(crate) fn is_of_no_ipv6(&self) -> bool {
        const OFF: [i32; 3] = [97, 99, 101]; // EAFNOSUPPORT, EADDRNOTAVAIL, ENETUNREACH
        match self {
            NodeError::Probe { ip, source } => {
                ip.is_ipv6() && source.raw_os_error().is_some_and(|errno| OFF.contains(&errno))
            }
            _ => false,
        }
    }
}

/// Says what was tried when the kernel refused.
pub(crate) fn trying(what: &'static str) -> impl Fn(NetlinkError) -> NodeError {
    move |source| NodeError::Kernel { what, source }
}
