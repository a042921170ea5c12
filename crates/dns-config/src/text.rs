//! Small values as text, as CoreDNS (that is, Go) reads them.

use std::net::IpAddr;
use std::time::Duration;

use dns_wire::Name;

/// Units of Go's durations with their nanoseconds.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Longest duration that is taken: 100 years. Go's own limit is about three times as much.
const LONGEST: f64 = 100.0 * 365.0 * 86400.0 * 1e9;

/// A name in lower case; `None` if it is not one.
pub fn lower_name(text: &str) -> Option<Name> {
    text.parse::<Name>().ok().map(|name| name.lower())
}

/// An address; the scope behind `%` is left out, as Go's `net` and CoreDNS's `hosts` do.
pub fn address_without_scope(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

/// What Go's `time.ParseDuration` reads and is not negative: `0`, `300ms`, `1.5h`, `2h45m`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end])?;
        nanos += number * unit;
        rest = &rest[end..];
    }
    (!text.is_empty() && nanos <= LONGEST).then(|| Duration::from_secs_f64(nanos / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_does() {
        let cases = [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("300ms", Some(300)),
            ("1.5h", Some(5_400_000)),
            ("2h45m", Some(9_900_000)),
            ("+5s", Some(5000)),
            (".5s", Some(500)),
            ("", None),
            ("+", None),
            ("5", None),
            ("-5s", None),
            ("s", None),
            ("1d", None),
            ("1.2.3s", None),
            ("5 s", None),
            ("99999999999999999999h", None),
        ];
        for (text, want) in cases {
            assert_eq!(duration(text), want.map(Duration::from_millis), "{text}");
        }
    }
}
