//! `cache`.

use std::time::Duration;

use dns_wire::Name;

/// `cache [TTL] [ZONES...] { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Names below these are cached; default: the zones of the block.
    pub zones: Vec<Name>,
    /// `success`: replies with records. Default: 9984 entries, 3600 s, at least 5 s.
    pub success: CacheTable,
    /// `denial`: NXDOMAIN and NODATA. Default: 9984 entries, 1800 s, at least 5 s.
    pub denial: CacheTable,
    /// `servfail`: how long SERVFAIL is kept, 0 to 5 min. Default 5 s.
    pub servfail: Duration,
    /// `prefetch`. CoreDNS's default: off.
    pub prefetch: Choice<Prefetch>,
    /// `serve_stale`. CoreDNS's default: off.
    pub serve_stale: Choice<ServeStale>,
    /// `disable success [ZONES...]`: not for names below these. Without zones: the root.
    pub disable_success: Vec<Name>,
    /// `disable denial [ZONES...]`: the same for denials.
    pub disable_denial: Vec<Name>,
    /// `keepttl`: answer with the TTL as it came, not with what is left of it.
    pub keepttl: bool,
}

impl Cache {
    /// With CoreDNS's defaults.
    #[must_use]
    pub fn new(zones: Vec<Name>) -> Self {
        Self {
            zones,
            success: CacheTable::new(3600),
            denial: CacheTable::new(1800),
            servfail: Duration::from_secs(5),
            prefetch: Choice::Unsaid,
            serve_stale: Choice::Unsaid,
            disable_success: Vec::new(),
            disable_denial: Vec::new(),
            keepttl: false,
        }
    }
}

/// An option that need not be asked for: who reads the Corefile decides what it is when nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice<T> {
    /// The Corefile does not say.
    #[default]
    Unsaid,
    /// With 0.
    Off,
    /// As said.
    On(T),
}

impl<T> Choice<T> {
    /// The value that counts: nothing with [`Choice::Off`], this one with [`Choice::Unsaid`].
    pub fn or(self, unsaid: T) -> Option<T> {
        match self {
            Self::Unsaid => Some(unsaid),
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }

    /// The same with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Choice<U> {
        match self {
            Self::Unsaid => Choice::Unsaid,
            Self::Off => Choice::Off,
            Self::On(value) => Choice::On(change(value)),
        }
    }
}

/// `success|denial CAPACITY [TTL] [MINTTL]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTable {
    /// Most entries. Default 9984; CoreDNS never has fewer than 1024.
    pub capacity: u32,
    /// Seconds: a longer TTL is cut to this.
    pub max_ttl: u32,
    /// Seconds: a shorter TTL is kept so long all the same. Default 5.
    pub min_ttl: u32,
}

impl CacheTable {
    /// With CoreDNS's capacity and least TTL.
    #[must_use]
    pub const fn new(max_ttl: u32) -> Self {
        Self { capacity: 9984, max_ttl, min_ttl: 5 }
    }
}

/// `prefetch AMOUNT [DURATION [PERCENTAGE%]]`: names that are asked for often are refreshed before they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// So many queries make a name popular. At least 1 (0 is [`Choice::Off`]).
    pub amount: u32,
    /// A longer gap between two queries begins the count anew. Default 1 min.
    pub duration: Duration,
    /// Refreshed when so much of the TTL is left, 10 to 90. Default 10.
    pub percentage: u8,
}

/// `serve_stale [DURATION] [MODE] ...`: expired entries are better than none (RFC 8767).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeStale {
    /// How long after their expiry entries are used. Default 1 h.
    pub up_to: Duration,
    /// `verify`: ask the upstream first. Default `immediate`: answer with the old one and refresh behind it.
    pub verify: bool,
    /// How long `verify` waits for the upstream. `None`: as we think right.
    pub verify_timeout: Option<Duration>,
}
