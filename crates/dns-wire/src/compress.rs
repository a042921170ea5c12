//! Compression of names (RFC 1035 section 4.1.4) with a bounded table.
//!
//! Only octet for octet equal names are shared, so that the letter case of each name is kept.

use crate::name::NameRef;

/// How many places of the message are remembered. More names than that are still right, only longer.
pub(crate) const MAX_PLACES: usize = 64;
/// Places above this cannot be pointed at.
const MAX_POINTER: usize = 0x3fff;

/// Where in a message names (and ends of names) begin.
pub(crate) struct Places {
    /// Where each begins, counted from the beginning of the message.
    at: [u16; MAX_PLACES],
    /// How many octets each has in uncompressed form.
    length: [u8; MAX_PLACES],
    used: usize,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self { at: [0; MAX_PLACES], length: [0; MAX_PLACES], used: 0 }
    }

    /// Forgets the places beyond the first `used`.
    pub(crate) fn cut(&mut self, used: usize) {
        self.used = self.used.min(used);
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Remembers a name that stands at `at` and its ends, as many of its labels as are written out there.
    pub(crate) fn remember(&mut self, at: usize, name: NameRef<'_>, written: usize) {
        let mut rest = name;
        while !rest.is_root() {
            let offset = name.wire().len() - rest.wire().len();
            if offset >= written || self.used == MAX_PLACES || at + offset > MAX_POINTER {
                return;
            }
            self.at[self.used] = u16::try_from(at + offset).unwrap_or(0);
            self.length[self.used] = u8::try_from(rest.wire().len()).unwrap_or(0);
            self.used += 1;
            let Some(parent) = rest.parent() else { return };
            rest = parent;
        }
    }

    /// The place of the longest end of `name` that the message has already: how many octets are left of it, and where it is.
    pub(crate) fn find(&self, message: &[u8], name: NameRef<'_>) -> Option<(usize, u16)> {
        let mut rest = name;
        while !rest.is_root() {
            let length = rest.wire().len();
            let mut known = self.at.iter().zip(&self.length).take(self.used);
            let found = known
                .find(|&(&at, &known)| usize::from(known) == length && is_at(message, usize::from(at), rest));
            if let Some((&at, _)) = found {
                return Some((name.wire().len() - length, at));
            }
            rest = rest.parent()?;
        }
        None
    }
}

/// Whether the name at `at` of a message of ours is `name`, octet for octet. Our pointers always point back.
fn is_at(message: &[u8], mut at: usize, name: NameRef<'_>) -> bool {
    let mut rest = name.wire();
    loop {
        let Some(&octet) = message.get(at) else { return false };
        if octet & 0xc0 == 0xc0 {
            let Some(&low) = message.get(at + 1) else { return false };
            let to = usize::from(u16::from_be_bytes([octet & 0x3f, low]));
            if to >= at {
                return false;
            }
            at = to;
            continue;
        }
        let size = 1 + usize::from(octet);
        let (Some(there), Some(here)) = (message.get(at..at + size), rest.get(..size)) else { return false };
        if there != here {
            return false;
        }
        if octet == 0 {
            return true;
        }
        at += size;
        rest = rest.get(size..).unwrap_or_default();
    }
}
