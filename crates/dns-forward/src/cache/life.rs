//! How long a message is kept: RFC 2308 for what says no, RFC 9520 for what says nothing, CoreDNS's bounds.

use std::time::Duration;

use dns_wire::{Kind as Says, Name, Stored, Ttls};

use crate::{Asking, CacheSettings};

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer.
    Success,
    /// NXDOMAIN or NODATA.
    Denial,
    /// An error.
    Failure,
}

/// The longest life of an error (RFC 9520, section 3.2).
const MAX_FAILURE: Duration = Duration::from_secs(300);

/// What a message says and for how long it is kept; nothing if it must not be.
pub(super) fn life(
    stored: &Stored,
    asking: &Asking<'_>,
    settings: &CacheSettings,
) -> Option<(Kind, Duration)> {
    if !covers(asking, settings) {
        return None;
    }
    let kind = kind(stored);
    let life = match kind {
        Kind::Success => success(stored, asking, settings)?,
        Kind::Denial => denial(stored, asking, settings)?,
        Kind::Failure => settings.failure.min(MAX_FAILURE),
    };
    (!life.is_zero()).then_some((kind, life))
}

/// Whether the cache is for this name: other names pass as if it were not there.
pub(super) fn covers(asking: &Asking<'_>, settings: &CacheSettings) -> bool {
    settings.zones.is_empty() || is_below(asking, &settings.zones)
}

/// The bounds that a message's TTLs are given with. What says no shows how long it may be kept (RFC 2308, section 5):
/// an SOA's own TTL may be longer.
pub(super) fn ttls(stored: &Stored, settings: &CacheSettings) -> Ttls {
    let (least, most) = match kind(stored) {
        Kind::Success => settings.success,
        Kind::Denial => denied(stored, settings.denial),
        Kind::Failure => return Ttls::KEEP,
    };
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    Ttls { least: seconds(least).min(seconds(most)), most: seconds(most), ..Ttls::KEEP }
}

fn denied(stored: &Stored, (least, most): (Duration, Duration)) -> (Duration, Duration) {
    let most = stored.negative_ttl().map_or(most, |ttl| bounded(ttl, (least, most)));
    (least, most)
}

fn kind(stored: &Stored) -> Kind {
    match stored.kind() {
        Says::Answer => Kind::Success,
        Says::NoData | Says::NxDomain => Kind::Denial,
        Says::Failure => Kind::Failure,
    }
}

fn success(stored: &Stored, asking: &Asking<'_>, settings: &CacheSettings) -> Option<Duration> {
    (!is_below(asking, &settings.no_success)).then(|| bounded(stored.ttl(), settings.success))
}

fn denial(stored: &Stored, asking: &Asking<'_>, settings: &CacheSettings) -> Option<Duration> {
    let ttl = stored.negative_ttl()?; // RFC 2308, section 5: without SOA it is not cached
    (!is_below(asking, &settings.no_denial)).then(|| bounded(ttl, settings.denial))
}

fn bounded(ttl: u32, (least, most): (Duration, Duration)) -> Duration {
    Duration::from_secs(ttl.into()).max(least).min(most)
}

fn is_below(asking: &Asking<'_>, zones: &[Name]) -> bool {
    zones.iter().any(|zone| asking.name.ends_with(zone.as_ref()))
}
