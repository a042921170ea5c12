//! Names and addresses: small, ordered, hashable values.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// An IP family; a parameter everywhere, never a second copy of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// `IPv4` or `IPv6`, as Kubernetes and its metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            IpFamily::V4 => "IPv4",
            IpFamily::V6 => "IPv6",
        }
    }

    /// Both families, in the order in which they are programmed.
    pub const ALL: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { IpFamily::V4 } else { IpFamily::V6 }
    }

    /// Length of a host prefix: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            IpFamily::V4 => 32,
            IpFamily::V6 => 128,
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A transport protocol that a Service port can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// TCP, the default of the Kubernetes API.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

impl Protocol {
    /// The protocol number in an IP header.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// From a protocol number in an IP header.
    pub fn from_number(number: u8) -> Option<Self> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|p| p.number() == number)
    }

    /// From its name, in any letter case.
    pub fn parse(text: &str) -> Option<Self> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .find(|p| p.as_str().eq_ignore_ascii_case(text))
    }

    /// Lower-case name, as nft and conntrack print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// Whether conntrack keeps flows alive without a handshake, so that a stale entry
    /// black-holes a sender until the entry is deleted.
    pub fn needs_flow_cleanup(self) -> bool {
        !matches!(self, Protocol::Tcp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `namespace/name` of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Builds a name from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The unit of proxying: one port of one Service (joined to slices by port *name* and protocol).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServicePortName {
    /// The Service.
    pub service: NamespacedName,
    /// The port's name; empty where the Service has a single unnamed port.
    pub port: Arc<str>,
    /// The port's protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ServicePortName {
    /// `ns/name:port`, or `ns/name` when the port has no name, as kube-proxy writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Address and port of an endpoint. 20 bytes, against 32 of `SocketAddr`: there are millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointAddr {
    /// The pod's (or host's) address.
    pub ip: IpAddr,
    /// The target port, in host byte order.
    pub port: u16,
}

impl fmt::Display for EndpointAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// What a client addresses: the key under which at most one ServicePort can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrontendKey {
    /// A VIP (ClusterIP, externalIP or load balancer IP) and port.
    Vip {
        /// The address.
        ip: IpAddr,
        /// The protocol.
        protocol: Protocol,
        /// The Service's port.
        port: u16,
    },
    /// A port on the accepted node addresses of one family.
    NodePort {
        /// The family of the node addresses.
        family: IpFamily,
        /// The protocol.
        protocol: Protocol,
        /// The nodePort.
        port: u16,
    },
}

impl FrontendKey {
    /// The family of the frontend.
    pub fn family(&self) -> IpFamily {
        match self {
            FrontendKey::Vip { ip, .. } => IpFamily::of(*ip),
            FrontendKey::NodePort { family, .. } => *family,
        }
    }

    /// The protocol of the frontend.
    pub fn protocol(&self) -> Protocol {
        match self {
            FrontendKey::Vip { protocol, .. } | FrontendKey::NodePort { protocol, .. } => *protocol,
        }
    }

    /// The port that clients address.
    pub fn port(&self) -> u16 {
        match self {
            FrontendKey::Vip { port, .. } | FrontendKey::NodePort { port, .. } => *port,
        }
    }
}

impl fmt::Display for FrontendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrontendKey::Vip { ip, protocol, port } => {
                write!(f, "{}/{protocol}", EndpointAddr { ip: *ip, port: *port })
            }
            FrontendKey::NodePort { family, protocol, port } => {
                write!(f, "nodePort {port}/{protocol} ({family})")
            }
        }
    }
}
