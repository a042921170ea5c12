//! What a `forward` (and the `cache` in front of it) is asked to do. Plain values; the defaults are constants here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dns_wire::Name;

/// Questions under way at a time in one group. CoreDNS has no bound unless `max_concurrent` is given; kubeadm gives 1000.
pub const MAX_CONCURRENT: usize = 1000;
/// Consecutive failures after which an upstream is down. CoreDNS's `max_fails`.
pub const MAX_FAILS: u32 = 2;
/// How long an idle TCP or DoT connection is kept. CoreDNS's `expire`.
pub const EXPIRE: Duration = Duration::from_secs(10);
/// Time between health probes of an upstream that failed. CoreDNS's `health_check`.
pub const HEALTH_INTERVAL: Duration = Duration::from_millis(500);
/// Upstreams of one group that are used; the others are a problem that is reported. CoreDNS's limit.
pub const MAX_UPSTREAMS: usize = 15;
/// Memory of one group's cache: 10,000 names of ordinary size (see [`CacheSettings::bytes_for`]).
pub const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// What an ordinary entry takes, all in all: message, offsets, table and queues.
pub const BYTES_PER_ENTRY: usize = CACHE_BYTES / 10_000;

/// One `forward` of a server block with the `cache` in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Tells this group from the others and finds it again when settings change; also a label of metrics. For
    /// instance the zone.
    pub name: String,
    /// The zone this group is for; names of loop probes are below it.
    pub zone: Name,
    /// Whom to ask, in the order of the settings.
    pub upstreams: Vec<Upstream>,
    /// Which of the healthy upstreams is asked first.
    pub policy: Policy,
    /// Ask plain upstreams by TCP only.
    pub force_tcp: bool,
    /// Ask by UDP even if the client came by TCP. We always do; kept so that the setting can be shown.
    pub prefer_udp: bool,
    /// Consecutive failures after which an upstream is down; 0: never.
    pub max_fails: u32,
    /// How long an idle TCP or DoT connection is kept.
    pub expire: Duration,
    /// Time between probes of a failed upstream; it doubles up to eight times this.
    pub health_interval: Duration,
    /// Questions under way at a time; a further one is a [`crate::Refusal`].
    pub max_concurrent: usize,
    /// Response codes after which another upstream is asked.
    pub failover: Vec<u16>,
    /// Answer with an error at once, when all upstreams are down, rather than ask them all the same. CoreDNS's
    /// `failfast_all_unhealthy_upstreams`.
    pub fail_fast: bool,
    /// No cache without.
    pub cache: Option<CacheSettings>,
}

impl Group {
    /// A group with the defaults, for `zone` and with these upstreams.
    pub fn new(name: impl Into<String>, zone: Name, upstreams: Vec<Upstream>) -> Self {
        Self {
            name: name.into(),
            zone,
            upstreams,
            policy: Policy::Random,
            force_tcp: false,
            prefer_udp: false,
            max_fails: MAX_FAILS,
            expire: EXPIRE,
            health_interval: HEALTH_INTERVAL,
            max_concurrent: MAX_CONCURRENT,
            failover: vec![2, 4, 5], // SERVFAIL, NOTIMP, REFUSED: as the resolver of glibc does
            fail_fast: false,
            cache: Some(CacheSettings::default()),
        }
    }
}

/// The order in which healthy upstreams are asked. One that failed comes after all that did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Any; the default of CoreDNS.
    #[default]
    Random,
    /// Each in its turn.
    RoundRobin,
    /// As written; what `/etc/resolv.conf` means.
    Sequential,
}

/// A server to ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Address and port.
    pub address: SocketAddr,
    /// DNS over TLS (RFC 7858), if any.
    pub tls: Option<Tls>,
}

impl Upstream {
    /// A plain upstream: UDP, and TCP for what does not fit.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// How to speak TLS with an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// The name its certificate must be for (`tls_servername`, `tls://IP%NAME`); else its address.
    pub server_name: Option<String>,
    /// PEM file of the authorities; else the system's, [`crate::SYSTEM_AUTHORITIES`].
    pub authorities: Option<PathBuf>,
    /// PEM files of a certificate and key to show.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Cache of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bound of its memory.
    pub max_bytes: usize,
    /// Names below these are cached. Empty: all.
    pub zones: Vec<Name>,
    /// Bounds of the life of an answer. CoreDNS: 5 s to 3600 s.
    pub success: (Duration, Duration),
    /// Bounds of the life of NXDOMAIN and NODATA. CoreDNS: 5 s to 1800 s.
    pub denial: (Duration, Duration),
    /// Life of SERVFAIL and other errors, at most 5 min (RFC 9520); 0 disables. CoreDNS: 5 s.
    pub failure: Duration,
    /// Names below these are not cached if there is an answer.
    pub no_success: Vec<Name>,
    /// Names below these are not cached if there is none.
    pub no_denial: Vec<Name>,
    /// Give TTLs as they came, not reduced by the age.
    pub keep_ttl: bool,
    /// Answers past their life may be given (RFC 8767).
    pub stale: Option<Stale>,
    /// Popular names are asked again before they end.
    pub prefetch: Option<Prefetch>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            max_bytes: CACHE_BYTES,
            zones: Vec::new(),
            success: (Duration::from_secs(5), Duration::from_secs(3600)),
            denial: (Duration::from_secs(5), Duration::from_secs(1800)),
            failure: Duration::from_secs(5),
            no_success: Vec::new(),
            no_denial: Vec::new(),
            keep_ttl: false,
            stale: Some(Stale::default()),
            prefetch: Some(Prefetch::default()),
        }
    }
}

impl CacheSettings {
    /// Bytes for a capacity in entries, as a Corefile gives it.
    pub fn bytes_for(entries: usize) -> usize {
        entries.saturating_mul(BYTES_PER_ENTRY)
    }
}

/// Serving answers past their life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// How long past its life. RFC 8767 advises 1 to 3 days; CoreDNS: 1 h.
    pub max_age: Duration,
    /// When.
    pub mode: StaleMode,
}

impl Default for Stale {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(86_400), mode: StaleMode::Verify(CLIENT_WAIT) }
    }
}

/// How long a client waits before it gets a stale answer: the client response timer of RFC 8767, section 5.
pub const CLIENT_WAIT: Duration = Duration::from_millis(1800);

/// When an answer past its life is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleMode {
    /// At once, while it is asked again: CoreDNS's default.
    Immediate,
    /// When the upstreams failed, or did not answer within this time.
    Verify(Duration),
}

/// When a name is asked again before its answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefetch {
    /// Hits that make it popular.
    pub hits: u16,
    /// A gap between hits that makes it unpopular again.
    pub gap: Duration,
    /// It is asked again when this part of its life is left, 1 to 90 percent.
    pub percent: u8,
}

impl Default for Prefetch {
    fn default() -> Self {
        Self { hits: 2, gap: Duration::from_secs(60), percent: 10 }
    }
}
