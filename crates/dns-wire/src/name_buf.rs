//! Making a name out of labels, without allocation.

use crate::name::{MAX_LABEL, MAX_NAME, Name, NameRef};

/// Room for one name, filled from the left: labels, then the zone that they are in.
#[derive(Clone, Debug)]
pub struct NameBuf {
    octets: [u8; MAX_NAME],
    /// Octets written; the root label is not among them until [`NameBuf::under`] adds it.
    length: usize,
}

impl Default for NameBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl NameBuf {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { octets: [0; MAX_NAME], length: 0 }
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Adds one label on the right of those already there.
    ///
    /// `None`: it is empty, has more than 63 octets, or the name would be too long. Nothing is added then.
    pub fn push(&mut self, label: &[u8]) -> Option<&mut Self> {
        let end = self.length + 1 + label.len();
        if label.is_empty() || label.len() > MAX_LABEL || end >= MAX_NAME {
            return None;
        }
        self.octets[self.length] = u8::try_from(label.len()).ok()?;
        self.octets[self.length + 1..end].copy_from_slice(label);
        self.length = end;
        Some(self)
    }

    /// Adds labels which are in wire form already and do not end with the root label (what is left of a zone in a name).
    ///
    /// `None`: they are not labels in wire form, or the name would be too long. Nothing is added then.
    pub fn push_wire(&mut self, labels: &[u8]) -> Option<&mut Self> {
        let before = self.length;
        let mut rest = labels;
        while let Some((&length, after)) = rest.split_first() {
            let pushed = after.split_at_checked(usize::from(length)).and_then(|(label, tail)| {
                self.push(label)?;
                Some(tail)
            });
            let Some(tail) = pushed else {
                self.length = before;
                return None;
            };
            rest = tail;
        }
        Some(self)
    }

    /// The labels written so far, under `zone`. What was written stays, so that the same labels can be put under another zone.
    ///
    /// `None`: the name would be too long.
    pub fn under(&mut self, zone: NameRef<'_>) -> Option<NameRef<'_>> {
        let end = self.length + zone.wire().len();
        let tail = self.octets.get_mut(self.length..end)?;
        tail.copy_from_slice(zone.wire());
        Some(NameRef::trusted(&self.octets[..end]))
    }

    /// As [`NameBuf::under`], owned.
    pub fn name_under(&mut self, zone: NameRef<'_>) -> Option<Name> {
        self.under(zone).map(NameRef::to_owned)
    }
}
