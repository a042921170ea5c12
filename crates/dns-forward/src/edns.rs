//! Whether an upstream knows EDNS: one FORMERR may be for that one name, several are for all (RFC 6891, section 6.2.2).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::Asking;
use crate::asking::Key;
use crate::group::lock;

/// Different names that failed with EDNS and were answered without it, until it is left out.
const NAMES: usize = 3;
/// For how long it is left out, and for how long such a name counts.
const LIFE: Duration = Duration::from_secs(300);

/// What speaks against EDNS at one upstream.
#[derive(Default)]
pub(crate) struct EdnsDoubt(Mutex<Doubt>);

#[derive(Default)]
struct Doubt {
    /// Names that failed, and when: fewer than [`NAMES`].
    names: Vec<(Key, Instant)>,
    without_until: Option<Instant>,
}

impl EdnsDoubt {
    /// Whether EDNS is to be used.
    pub(crate) fn is_known(&self, now: Instant) -> bool {
        lock(&self.0).without_until.is_none_or(|until| now >= until)
    }

    /// A name got FORMERR with EDNS, and something better without it.
    pub(crate) fn failed(&self, asking: &Asking<'_>, now: Instant) {
        let mut doubt = lock(&self.0);
        // The name counts, whatever type and bits are asked for.
        let (qtype, qclass) = (0, 0);
        let key = Key::of(&Asking { qtype, qclass, dnssec_ok: false, checking_disabled: false, ..*asking });
        doubt.names.retain(|(name, at)| *name != key && now < *at + LIFE);
        doubt.names.push((key, now));
        if doubt.names.len() >= NAMES {
            doubt.names.clear();
            doubt.without_until = Some(now + LIFE);
        }
    }
}

#[cfg(test)]
mod tests {
    use dns_wire::Name;

    use super::*;

    fn fail(doubt: &EdnsDoubt, name: &str, qtype: u16, now: Instant) -> bool {
        let name: Name = name.parse().unwrap();
        let bits = (false, false);
        let asking =
            Asking { name: name.as_ref(), qtype, qclass: 1, dnssec_ok: bits.0, checking_disabled: bits.1 };
        doubt.failed(&asking, now);
        doubt.is_known(now)
    }

    #[test]
    fn several_names_and_not_for_good() {
        let (doubt, start) = (EdnsDoubt::default(), Instant::now());
        assert!((0..9).all(|qtype| fail(&doubt, "a.test.", qtype, start)), "one name is one");
        assert!(fail(&doubt, "b.test.", 1, start));
        assert!(!fail(&doubt, "c.test.", 1, start));
        assert!(!doubt.is_known(start + LIFE - Duration::from_millis(1)));
        assert!(doubt.is_known(start + LIFE));
        assert!(fail(&doubt, "c.test.", 1, start + LIFE), "counted anew");
    }

    #[test]
    fn old_failures_do_not_add_up() {
        let (doubt, start) = (EdnsDoubt::default(), Instant::now());
        for (number, name) in ["a.", "b.", "c.", "d."].into_iter().enumerate() {
            let now = start + LIFE * u32::try_from(number).unwrap();
            assert!(fail(&doubt, name, 1, now), "{name}");
        }
    }
}
