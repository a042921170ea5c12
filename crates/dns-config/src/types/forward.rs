//! `forward`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use dns_wire::Name;

use crate::place::Place;

/// Most upstreams of one `forward`, those of its files counted (CoreDNS's limit).
pub const MAX_FORWARD_TO: usize = 15;

/// `forward FROM TO... { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where it stands.
    pub at: Place,
    /// Names below these are forwarded. One, or several for a network that is no whole number of labels (CoreDNS takes only the first).
    pub from: Vec<Name>,
    /// The upstreams in order, 1 to [`MAX_FORWARD_TO`].
    pub to: Vec<To>,
    /// `except`: names below these are not forwarded by this one.
    pub except: Vec<Name>,
    /// `policy`: which upstream is asked first. Default: random.
    pub policy: Policy,
    /// `force_tcp`: ask over TCP. Wins over `prefer_udp`.
    pub force_tcp: bool,
    /// `prefer_udp`: ask over UDP even if the client came over TCP.
    pub prefer_udp: bool,
    /// `max_fails`: so many failed checks in sequence make an upstream down; 0: never down. Default 2.
    pub max_fails: u32,
    /// `expire`: idle connections are closed after this. Default 10 s.
    pub expire: Duration,
    /// `health_check`.
    pub health_check: HealthCheck,
    /// `max_concurrent`: more queries under way at once are refused. `None` (and CoreDNS's 0): no limit but the program's own.
    pub max_concurrent: Option<u32>,
    /// `tls [CERT KEY] [CA]`: for upstreams with [`Transport::Tls`].
    pub tls: TlsFiles,
    /// `tls_servername`: the name that upstreams with [`Transport::Tls`] must prove, if they have none of their own.
    pub tls_servername: Option<String>,
    /// `failfast_all_unhealthy_upstreams`: SERVFAIL at once when all are down, instead of trying one at random.
    pub failfast: bool,
    /// `failover RCODE...`: such a reply is treated as a failure: the next upstream is asked.
    pub failover: Vec<u16>,
    /// `next RCODE...`: for such a reply the next `forward` of the block is asked.
    pub next: Vec<u16>,
    /// `next_on_nodata`: the same for NODATA.
    pub next_on_nodata: bool,
    /// `source_address`: queries leave from it.
    pub source_address: Option<IpAddr>,
}

impl Forward {
    /// With CoreDNS's defaults.
    #[must_use]
    pub fn new(at: Place, from: Vec<Name>, to: Vec<To>) -> Self {
        Self {
            at,
            from,
            to,
            except: Vec::new(),
            policy: Policy::Random,
            force_tcp: false,
            prefer_udp: false,
            max_fails: 2,
            expire: Duration::from_secs(10),
            health_check: HealthCheck::default(),
            max_concurrent: None,
            tls: TlsFiles::default(),
            tls_servername: None,
            failfast: false,
            failover: Vec::new(),
            next: Vec::new(),
            next_on_nodata: false,
            source_address: None,
        }
    }
}

/// One TO of `forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A server by its address.
    Server(Upstream),
    /// The nameservers of a file in the form of resolv.conf, port 53. (We follow the file; CoreDNS reads it once.)
    File(PathBuf),
}

/// A server to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Address and port; the port's default is 53, with TLS 853.
    pub address: SocketAddr,
    /// How it is asked.
    pub transport: Transport,
}

/// How an upstream is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP and TCP, unencrypted.
    Plain,
    /// `tls://ADDRESS[%NAME]`: DNS over TLS (RFC 7858), with the name that the server must prove.
    Tls {
        /// `%NAME`; else [`Forward::tls_servername`].
        server_name: Option<String>,
    },
}

/// `policy`: the order in which upstreams are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `random`.
    #[default]
    Random,
    /// `round_robin`.
    RoundRobin,
    /// `sequential`: always in the order of the file.
    Sequential,
}

/// `health_check DURATION [no_rec] [domain FQDN]`: how an upstream that failed is asked whether it is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Between two checks. Default 500 ms.
    pub interval: Duration,
    /// Whether the question has the bit "recursion desired". `no_rec`: not.
    pub recursion: bool,
    /// The name whose NS is asked for. Default: the root.
    pub domain: Name,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { interval: Duration::from_millis(500), recursion: true, domain: Name::root() }
    }
}

/// The files of `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The client's certificate and its key, both or none.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The authorities that upstreams are checked against. `None`: the system's.
    pub ca: Option<PathBuf>,
}
