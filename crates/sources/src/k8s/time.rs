//! RFC 3339 timestamps to seconds since 1970, as far as the Kubernetes API writes them.

/// Seconds since 1970-01-01T00:00:00Z; fractions of a second are cut off. `None` when it is no timestamp.
pub(super) fn unix_seconds(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, offset) = split_zone(time)?;
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    in_range.then(|| days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Milliseconds since 1970; `None` when it is no timestamp, or one before 1970.
pub(super) fn unix_millis(text: &str) -> Option<u64> {
    let seconds = u64::try_from(unix_seconds(text)?).ok()?;
    let digits = text.split_once('.').map_or("", |(_, rest)| rest).bytes().take_while(u8::is_ascii_digit);
    let millis = digits.chain([b'0'; 3]).take(3).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    seconds.checked_mul(1000)?.checked_add(millis)
}

/// The timestamp of seconds since 1970, in UTC.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // A year that is not too late, whether counted forwards or backwards.
    let mut year = 1970 + days.div_euclid(if days < 0 { 365 } else { 366 });
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut day = days - days_since_1970(year, 1, 1);
    let mut month = 1;
    while day >= days_in_month(year, month) {
        day -= days_in_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1)
}

/// Splits the clock from the zone; the zone as seconds east of UTC.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (clock, zone) = time.split_at(at);
    let [hours, minutes] = numbers(&zone[1..], ':', [2, 2])?;
    let seconds = hours * 3600 + minutes * 60;
    Some((clock, if zone.starts_with('-') { -seconds } else { seconds }))
}

/// `N` groups of digits of the given widths.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |y: i64| y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let months: i64 = (1..month).map(|m| days_in_month(year, m)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::{rfc3339, unix_millis, unix_seconds};

    #[test]
    fn milliseconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-01T00:00:01.5Z", Some(1500)),
            ("1970-01-01T00:00:01.123456789Z", Some(1123)),
            ("1970-01-01T02:00:01.04+02:00", Some(1040)),
            ("1969-12-31T23:59:59Z", None),
            ("soon", None),
        ] {
            assert_eq!(unix_millis(text), expected, "{text}");
        }
    }

    #[test]
    fn written_timestamps_read_the_same() {
        for seconds in (-3_000_000_000_i64..6_000_000_000).step_by(8_640_017).chain([0, -1, 951_825_600]) {
            assert_eq!(unix_seconds(&rfc3339(seconds)), Some(seconds), "{}", rfc3339(seconds));
        }
        assert_eq!(rfc3339(1_795_266_367), "2026-11-21T13:06:07Z");
    }

    #[test]
    fn instants() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-21T13:06:07Z", 1_795_266_367),
            ("2026-11-21T13:06:07.123456Z", 1_795_266_367),
            ("2026-11-21T15:06:07+02:00", 1_795_266_367),
            ("2026-11-21T08:36:07-04:30", 1_795_266_367),
            ("1969-12-31T23:59:59Z", -1),
        ] {
            assert_eq!(unix_seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in ["", "2026-11-21", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-1-1T0:0:0Z"] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
        for text in ["2026-11-21T24:00:00Z", "2026-11-21T00:00:00", "tomorrow", "2026-11-21T00:00:00+é:00"] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }
}
