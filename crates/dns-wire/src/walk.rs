//! Walks over a foreign message. `domain` reads names, with pointers only backwards and a bounded number of them.

use domain::base::ParsedName;
use domain::dep::octseq::Parser;

use crate::codes::rtype;
use crate::layout::{Layout, layout};
use crate::name::{Name, NameRef};
use crate::name_buf::NameBuf;

/// A record as it was found, with all names uncompressed.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) owner: Name,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

/// A place in a message.
pub(crate) struct Walk<'a>(Parser<'a, [u8]>);

impl<'a> Walk<'a> {
    /// Begins at octet `at`.
    pub(crate) fn at(message: &'a [u8], at: usize) -> Option<Self> {
        let mut parser = Parser::from_ref(message);
        parser.seek(at).ok()?;
        Some(Self(parser))
    }

    /// Reads a name and a type and a class: a question.
    pub(crate) fn question(&mut self) -> Option<(Name, u16, u16)> {
        Some((self.name()?, self.word()?, self.word()?))
    }

    /// Reads a record.
    pub(crate) fn record(&mut self) -> Option<Found> {
        let (owner, rtype, class) = self.question()?;
        let ttl = self.0.parse_u32_be().ok()?;
        let length = usize::from(self.word()?);
        let end = self.0.pos().checked_add(length).filter(|&end| end <= self.0.as_slice().len())?;
        let data = self.data(rtype, end)?;
        Some(Found { owner, rtype, class, ttl, data })
    }

    fn data(&mut self, rtype: u16, end: usize) -> Option<Vec<u8>> {
        let Layout { head, names, .. } =
            layout(rtype).unwrap_or(Layout { head: 0, names: 0, compress: false });
        let mut data = self.octets(head, end)?.to_vec();
        for _ in 0..names {
            data.extend_from_slice(self.name()?.wire());
        }
        let rest = end.checked_sub(self.0.pos())?;
        data.extend_from_slice(self.octets(rest, end)?);
        has_right_size(rtype, data.len()).then_some(data)
    }

    fn octets(&mut self, count: usize, end: usize) -> Option<&'a [u8]> {
        if self.0.pos() + count > end {
            return None;
        }
        self.0.parse_octets(count).ok()
    }

    fn word(&mut self) -> Option<u16> {
        self.0.parse_u16_be().ok()
    }

    fn name(&mut self) -> Option<Name> {
        let parsed = ParsedName::parse_ref(&mut self.0).ok()?;
        let mut name = NameBuf::new();
        for label in parsed.iter().filter(|label| !label.is_root()) {
            name.push(label.as_slice())?;
        }
        name.name_under(NameRef::ROOT)
    }
}

/// Whether data of a type whose size is fixed has that size.
fn has_right_size(rtype: u16, size: usize) -> bool {
    match rtype {
        rtype::A => size == 4,
        rtype::AAAA => size == 16,
        _ => true,
    }
}
