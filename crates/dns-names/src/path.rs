//! The labels of a name left of its zone, counted from the right.

/// Room for every label that a name can have.
const MOST: usize = 128;

/// Labels in wire form, with the places where they begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'q> {
    wire: &'q [u8],
    begins: [u8; MOST],
    count: usize,
}

impl<'q> Path<'q> {
    /// From labels in wire form without the root label. What is no label in wire form ends them.
    pub fn new(wire: &'q [u8]) -> Self {
        let mut path = Self { wire, begins: [0; MOST], count: 0 };
        let mut at = 0;
        while let (Some(length), Some(begin)) = (wire.get(at), path.begins.get_mut(path.count)) {
            *begin = u8::try_from(at).unwrap_or(u8::MAX);
            path.count += 1;
            at += 1 + usize::from(*length);
        }
        path
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// A label, counted from the right: 0 is next to the zone.
    pub fn get(&self, from_right: usize) -> Option<&'q [u8]> {
        let begin = usize::from(*self.begins[..self.count].get(self.count.checked_sub(1 + from_right)?)?);
        let (length, rest) = self.wire.get(begin..)?.split_first()?;
        rest.get(..usize::from(*length))
    }

    /// Whether the label in this place is a text; ignores ASCII case.
    pub fn is(&self, from_right: usize, text: &str) -> bool {
        self.get(from_right).is_some_and(|label| label.eq_ignore_ascii_case(text.as_bytes()))
    }

    /// The labels left of the `right` labels next to the zone, in wire form.
    pub fn left_of(&self, right: usize) -> &'q [u8] {
        let end = self.count.checked_sub(right).and_then(|index| self.begins[..self.count].get(index));
        end.and_then(|end| self.wire.get(..usize::from(*end))).unwrap_or_default()
    }
}

/// A label in lower case, as text.
pub(crate) struct Lower([u8; dns_wire::MAX_LABEL], usize);

impl Lower {
    pub fn new(label: &[u8]) -> Self {
        let mut lower = [0; dns_wire::MAX_LABEL];
        let length = label.len().min(lower.len());
        lower[..length].copy_from_slice(&label[..length]);
        lower[..length].make_ascii_lowercase();
        Self(lower, length)
    }

    /// `None`: it is not UTF-8, so nothing in Kubernetes is called so.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0[..self.1]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_count_from_the_right() {
        let path = Path::new(b"\x01a\x02bc\x03svc");
        let labels: Vec<_> = (0..4).map(|index| path.get(index)).collect();
        assert_eq!(labels, [Some(&b"svc"[..]), Some(b"bc"), Some(b"a"), None]);
        assert_eq!((path.len(), path.left_of(1), path.left_of(3)), (3, &b"\x01a\x02bc"[..], &b""[..]));
        let longest = [1, b'x'].repeat(127);
        assert_eq!(Path::new(&longest).len(), 127);
        assert_eq!(Path::new(b"").get(0), None);
    }
}
