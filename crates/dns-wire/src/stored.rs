//! A checked reply of an upstream, in the form in which it is kept.

mod send;

use crate::codes::{flag, rcode};
use crate::name::{Name, NameRef};
use crate::query::HEADER;
use crate::reply::Section;
use crate::walk::{Found, Walk};

/// A reply as it is kept: written by us, without OPT, its TTLs as they were received.
#[derive(Debug)]
pub struct Stored {
    wire: Box<[u8]>,
    /// Where each record's TTL is; the data's length follows it, so that this also says where each record ends.
    ttls: Box<[u16]>,
    rcode: u16,
    least_ttl: Option<u32>,
    soa: Option<u32>,
    answered: bool,
    extended_error: Option<Box<[u8]>>,
}

/// What a kept reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// NOERROR with a record of the type asked.
    Answer,
    /// NOERROR without a record of the type asked; a CNAME may be there.
    NoData,
    /// The name, or the last name of the chain, does not exist.
    NxDomain,
    /// Any other response code.
    Failure,
}

/// A record of a kept reply, its names uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub section: Section,
    /// Whose it is.
    pub owner: Name,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// Seconds, as received.
    pub ttl: u32,
    /// Its data in wire form: to be written again as [`crate::Data::Wire`].
    pub data: Vec<u8>,
}

impl Stored {
    pub(crate) fn new(
        wire: Vec<u8>,
        ttls: Vec<u16>,
        rcode: u16,
        soa: Option<u32>,
        answered: bool,
        extended_error: Option<Box<[u8]>>,
    ) -> Self {
        let least_ttl = ttls.iter().filter_map(|&at| read_u32(&wire, usize::from(at))).min();
        // Copied rather than cut to size in place, which would leave a hole behind each reply that is kept.
        let (wire, ttls) = (Box::from(wire.as_slice()), Box::from(ttls.as_slice()));
        Self { wire, ttls, rcode, least_ttl, soa, answered, extended_error }
    }

    /// The response code, 0 to 4095.
    #[must_use]
    pub fn rcode(&self) -> u16 {
        self.rcode
    }

    /// What the reply says.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.rcode {
            rcode::NOERROR if self.answered => Kind::Answer,
            rcode::NOERROR => Kind::NoData,
            rcode::NXDOMAIN => Kind::NxDomain,
            _ => Kind::Failure,
        }
    }

    /// The least TTL of all records, in seconds; 0 if there is none.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.least_ttl.unwrap_or(0)
    }

    /// How long a negative answer may be kept, in seconds: the less of the SOA's TTL and minimum (RFC 2308 section 5), and of all
    /// other TTLs. `None`: the answer is not negative, or has no SOA and must not be kept.
    #[must_use]
    pub fn negative_ttl(&self) -> Option<u32> {
        let negative = matches!(self.kind(), Kind::NoData | Kind::NxDomain);
        self.soa.filter(|_| negative).map(|soa| soa.min(self.ttl()))
    }

    /// Name, type and class as they were asked.
    #[must_use]
    pub fn question(&self) -> &[u8] {
        let end = HEADER + self.name().wire().len() + 4;
        &self.wire[HEADER..end]
    }

    /// The name that the reply is about, as it was asked.
    #[must_use]
    pub fn name(&self) -> NameRef<'_> {
        NameRef::read(&self.wire[HEADER..]).unwrap_or(NameRef::ROOT)
    }

    /// The upstream's extended error (RFC 8914): two octets of code, then text.
    #[must_use]
    pub fn extended_error(&self) -> Option<&[u8]> {
        self.extended_error.as_deref()
    }

    /// Whether the upstream had set AD.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        self.word(2) & flag::AD != 0
    }

    /// Octets of memory, this value included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let error = self.extended_error.as_ref().map_or(0, |data| data.len());
        size_of::<Self>() + self.wire.len() + self.ttls.len() * 2 + error
    }

    /// All records, in their order.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let [answers, authority, _] = self.counts();
        let mut walk = Walk::at(&self.wire, HEADER + self.question().len());
        (0..self.ttls.len()).map_while(move |number| {
            let found = walk.as_mut()?.record()?;
            let section = match number {
                number if number < answers => Section::Answer,
                number if number < answers + authority => Section::Authority,
                _ => Section::Additional,
            };
            let Found { owner, rtype, class, ttl, data } = found;
            Some(Record { section, owner, rtype, class, ttl, data })
        })
    }

    /// The records of the answer section.
    pub fn answers(&self) -> impl Iterator<Item = Record> + '_ {
        self.records().take_while(|record| record.section == Section::Answer)
    }

    fn end_of(&self, ttl: usize) -> usize {
        ttl + 6 + usize::from(self.word(ttl + 4))
    }

    fn counts(&self) -> [usize; 3] {
        [6, 8, 10].map(|at| usize::from(self.word(at)))
    }

    fn word(&self, at: usize) -> u16 {
        self.wire.get(at..at + 2).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]))
    }
}

fn read_u32(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk::<4>().map(|chunk| u32::from_be_bytes(*chunk))
}
