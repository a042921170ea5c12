//! Questions that failed a moment ago, so that they are not asked at once again (RFC 9520, section 3.2).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::asking::Key;

/// How long: the least that RFC 9520 wants.
const LIFE: Duration = Duration::from_secs(1);
/// Failures remembered at a time; more are not.
const MAX_FAILURES: usize = 1024;

/// The questions, each with when it may be asked again.
#[derive(Default)]
pub(crate) struct Failures(HashMap<Key, Instant>);

impl Failures {
    pub(crate) fn add(&mut self, key: Key, now: Instant) {
        if self.0.len() >= MAX_FAILURES {
            self.0.retain(|_, until| now < *until);
        }
        if self.0.len() < MAX_FAILURES {
            self.0.insert(key, now + LIFE);
        }
    }

    pub(crate) fn contains(&mut self, key: &Key, now: Instant) -> bool {
        let Some(until) = self.0.get(key) else { return false };
        let recent = now < *until;
        if !recent {
            self.0.remove(key);
        }
        recent
    }
}

#[cfg(test)]
mod tests {
    use dns_wire::NameRef;

    use super::*;
    use crate::Asking;

    fn key(number: u16) -> Key {
        let (qtype, qclass) = (number, 1);
        Key::of(&Asking { name: NameRef::ROOT, qtype, qclass, dnssec_ok: false, checking_disabled: false })
    }

    #[test]
    fn forgets_after_a_second() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        failures.add(key(1), start);
        assert!(failures.contains(&key(1), start + Duration::from_millis(999)));
        assert!(!failures.contains(&key(2), start));
        assert!(!failures.contains(&key(1), start + LIFE));
    }

    #[test]
    fn remembers_no_more_than_so_many() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        (0..2000).for_each(|number| failures.add(key(number), start));
        assert_eq!(failures.0.len(), MAX_FAILURES);
        failures.add(key(5000), start + LIFE);
        assert_eq!(failures.0.len(), 1, "the old ones make room");
    }
}
