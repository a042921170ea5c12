//! The annotation `towpath.dev/drain-deadline`: a Go duration.

use std::time::Duration;

use super::field::FieldError;
use super::types::Annotations;

const FIELD: &str = "metadata.annotations[towpath.dev/drain-deadline]";
/// The longest deadline.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How much of a bad value is shown, in characters.
const SHOWN: usize = 64;
/// Units of Go's `time.ParseDuration`, in nanoseconds. Both Unicode spellings of "micro" are in use.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads it. One that cannot be read counts as absent.
pub(super) fn read(annotations: Option<&Annotations>, warnings: &mut Vec<FieldError>) -> Option<Duration> {
    let text = annotations?.drain_deadline.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
    let found = duration(text).filter(|deadline| *deadline <= LONGEST);
    if found.is_none() {
        let shown: String = text.chars().take(SHOWN).collect();
        let message = format!(
            "{shown:?} is no time from 0s to 24h: write it as 30s, 1m30s or 2h; until then connections to endpoints that are gone \
             are left alone"
        );
        warnings.push(FieldError::new(FIELD, message));
    }
    found
}

/// As [`read`] reads it, to the nanosecond.
pub(super) fn text(deadline: Duration) -> String {
    format!("{}ns", deadline.as_nanos())
}

/// Numbers with units, as Go reads them, without a sign; `0` needs no unit.
fn duration(text: &str) -> Option<Duration> {
    let (mut nanos, mut rest) = (0.0, if text == "0" { "0s" } else { text });
    loop {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == &behind[..unit])?;
        nanos += digits.parse::<f64>().ok()? * factor;
        rest = &behind[unit..];
        if rest.is_empty() {
            break;
        }
    }
    // 2^63 nanoseconds are 292 years: more is no deadline, and up to a day every nanosecond has its number.
    (nanos < 9e18).then(|| Duration::from_nanos(nanos.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Option<Duration>, usize) {
        let annotations = Annotations { drain_deadline: Some(text.to_owned()), ..Annotations::default() };
        let mut warnings = Vec::new();
        let found = read(Some(&annotations), &mut warnings);
        assert!(warnings.iter().all(|w| w.to_string().starts_with(FIELD) && w.to_string().len() < 300));
        (found, warnings.len())
    }

    #[test]
    fn deadlines_that_can_be_read() {
        for (text, millis) in [
            ("30s", 30_000),
            (" 1m30s\n", 90_000),
            ("0", 0),
            ("0s", 0),
            ("1.5h", 5_400_000),
            ("24h", 86_400_000),
            ("23h59m59s999ms", 86_399_999),
            ("250ms", 250),
            (".5s", 500),
            ("5µs", 0),
        ] {
            let (found, warnings) = of(text);
            assert_eq!((found.map(|d| d.as_millis()), warnings), (Some(millis), 0), "{text:?}");
            assert_eq!(of(&self::text(found.unwrap())).0, found);
        }
        assert_eq!(of("  "), (None, 0));
        assert_eq!(read(None, &mut Vec::new()), None);
    }

    #[test]
    fn deadlines_that_cannot() {
        let long = "9".repeat(100_000) + "h";
        for text in [
            "30", "-30s", "+30s", "s", "30 s", "30sec", "1d", "24h1ns", "1s.", "1.2.3s", ".s", "1e3s",
            "NaNs", &long, "never", "30s,", "\u{664}s",
        ] {
            assert_eq!(of(text), (None, 1), "{:?}", &text[..text.len().min(20)]);
        }
    }
}
