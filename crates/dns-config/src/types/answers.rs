//! Small plugins that change answers: `dns64`, `loadbalance`, `nsid`, `chaos`.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// `dns64 [PREFIX] { ... }`: AAAA from A for clients without IPv4 (RFC 6147).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dns64 {
    /// `prefix`: /32, /40, /48, /56, /64 or /96. Default `64:ff9b::/96`.
    pub prefix: Ipv6Net,
    /// `translate_all`: even if there is an AAAA.
    pub translate_all: bool,
    /// `allow_ipv4`: even if the query came over IPv4.
    pub allow_ipv4: bool,
}

impl Default for Dns64 {
    fn default() -> Self {
        let prefix = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
        Self { prefix: Ipv6Net::new_assert(prefix, 96), translate_all: false, allow_ipv4: false }
    }
}

/// `loadbalance [round_robin]`: the addresses of an answer come in another order each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadBalance {}

/// `nsid [DATA]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nsid {
    /// What is answered. `None`: the name of the node (CoreDNS: of the host).
    pub data: Option<String>,
}

/// `chaos [VERSION] [AUTHORS...]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Answer to `version.bind` and `version.server`. `None`: name and version of the program.
    pub version: Option<String>,
    /// Answers to `authors.bind`. May be empty.
    pub authors: Vec<String>,
}
