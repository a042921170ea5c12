//! Go's `time.Duration` as text: what `metav1.Duration` reads and writes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A signed length of time in nanoseconds, written as Go writes it: `0s`, `250ms`, `1m0s`, `24h0m0s`.
///
/// Range: about ±292 years. A negative one can be read; the checks refuse it where it has no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

const SECOND: i64 = 1_000_000_000;
/// Unit names with their nanoseconds. Both Unicode spellings of "micro" are in use.
const UNITS: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// So many seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// The nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// As the standard library has it; negative becomes zero.
    pub fn as_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// Whether it is exactly zero, which in most fields means "not given".
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This, or `default` when it is zero.
    pub const fn or(self, default: Self) -> Self {
        if self.is_zero() { default } else { self }
    }
}

/// A text that is no Go duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a duration: write a number with a unit, such as 30s, 1m30s or 250ms")]
pub struct DurationError;

impl FromStr for GoDuration {
    type Err = DurationError;

    /// The grammar of Go's `time.ParseDuration`: a sign, then numbers with units, as in `-1.5h`, `1h30m`.
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if unsigned == "0" {
            return Ok(Self::ZERO);
        }
        let (mut total, mut rest) = part(unsigned).ok_or(DurationError)?;
        while !rest.is_empty() {
            let (nanos, after) = part(rest).ok_or(DurationError)?;
            total = total.checked_add(nanos).ok_or(DurationError)?;
            rest = after;
        }
        if text.starts_with('-') {
            total = -total;
        }
        i64::try_from(total).map(Self).map_err(|_| DurationError)
    }
}

/// The first number with its unit, in nanoseconds, and what follows.
fn part(text: &str) -> Option<(i128, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(unit_at);
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit = i128::from(UNITS.iter().find(|(name, _)| *name == unit)?.1);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    Some((whole * unit + fraction_of(fraction, unit)?, rest))
}

/// `.digits` of a unit. More than 18 digits say nothing more: the rest is far below a nanosecond.
fn fraction_of(digits: &str, unit: i128) -> Option<i128> {
    let digits = digits.get(..18).unwrap_or(digits);
    if digits.is_empty() {
        return Some(0);
    }
    let value: i128 = digits.parse::<u64>().ok()?.into();
    Some(value * unit / 10i128.pow(digits.len().try_into().ok()?))
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        match nanos {
            0 => write!(f, "0s"),
            1..1_000 => write!(f, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", decimal(nanos, 1_000_000)),
            _ => write!(f, "{sign}{}", hours_minutes_seconds(nanos)),
        }
    }
}

fn hours_minutes_seconds(nanos: u64) -> String {
    const MINUTE: u64 = 60 * SECOND.unsigned_abs();
    let (minutes, rest) = (nanos / MINUTE, nanos % MINUTE);
    let seconds = decimal(rest, SECOND.unsigned_abs());
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` as an exact decimal without trailing zeros.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor { numbers: false })
    }
}

/// `logging.flushFrequency`: a duration, or a bare number of nanoseconds (kubeadm writes `0`).
pub(crate) fn string_or_nanos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GoDuration, D::Error> {
    deserializer.deserialize_any(DurationVisitor { numbers: true })
}

struct DurationVisitor {
    numbers: bool,
}

impl Visitor<'_> for DurationVisitor {
    type Value = GoDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes or with a unit, such as 30s or 1m30s")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<GoDuration, E> {
        let number = i64::try_from(number).map_err(|_| E::custom("is too long for a duration"))?;
        self.visit_i64(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<GoDuration, E> {
        if self.numbers {
            return Ok(GoDuration(number));
        }
        let hint = "a bare number is no duration: write it with a unit";
        Err(E::custom(format_args!("{hint}, such as {number}s (only strings are durations in this file)")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_writes_what_go_reads() {
        for (text, nanos, written) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("30s", 30 * SECOND, "30s"),
            ("1m", 60 * SECOND, "1m0s"),
            ("60s", 60 * SECOND, "1m0s"),
            ("15m0s", 900 * SECOND, "15m0s"),
            ("1h30m", 5400 * SECOND, "1h30m0s"),
            ("24h", 86_400 * SECOND, "24h0m0s"),
            ("250ms", 250_000_000, "250ms"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5s", 500_000_000, "500ms"),
            ("1.s", SECOND, "1s"),
            ("1us", 1_000, "1µs"),
            ("1µs", 1_000, "1µs"),
            ("1500ns", 1_500, "1.5µs"),
            ("-5s", -5 * SECOND, "-5s"),
            ("+5s", 5 * SECOND, "5s"),
            ("1h0.25s", 3600 * SECOND + 250_000_000, "1h0m0.25s"),
        ] {
            let duration: GoDuration = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((duration.as_nanos(), duration.to_string().as_str()), (nanos, written), "{text}");
            assert_eq!(written.parse(), Ok(duration), "{text}");
        }
    }

    #[test]
    fn what_go_refuses() {
        for text in ["", "-", "5", "s", ".s", "5 s", "5d", "1m5", "99999999999h", "ten", "--5s", "1.2.3s"] {
            assert_eq!(text.parse::<GoDuration>(), Err(DurationError), "{text:?}");
        }
    }
}
