//! Reads a query: one question, at most one OPT record, nothing that a resolver of a pod would not send.

use crate::codes::{flag, rcode, rtype};
use crate::edns::Edns;
use crate::name::NameRef;
use crate::refusal::Refusal;

/// The UDP payload that we name in OPT records and never exceed, in octets (the DNS flag day 2020; CoreDNS's `bufsize`).
pub const UDP_PAYLOAD: u16 = 1232;
/// What every client takes over UDP (RFC 1035 section 4.2.1).
const SMALLEST_PAYLOAD: u16 = 512;
/// Octets of a message's header.
pub(crate) const HEADER: usize = 12;
/// Octets of a record after its owner: type, class, TTL, length of the data.
const RECORD_HEAD: usize = 10;
/// The most records that a query may have in answer, authority and additional section (as CoreDNS; the last: OPT and TSIG).
const MAX_COUNTS: [u16; 3] = [1, 1, 2];

/// A query as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The ID to answer with.
    pub id: u16,
    /// The third and fourth octet of the header, as sent (see [`flag`]).
    pub flags: u16,
    /// Name, type and class as sent: 5 to 259 octets.
    pub question: &'a [u8],
    /// The name asked, in the letter case in which it was asked.
    pub name: NameRef<'a>,
    /// The type asked; never OPT or TSIG.
    pub qtype: u16,
    /// The class asked, of any value.
    pub qclass: u16,
    /// The OPT record, if there was one.
    pub edns: Option<Edns<'a>>,
}

impl<'a> Query<'a> {
    /// How many octets a reply over UDP may have: 512 without OPT; with it what the client takes, from 512 to `most`.
    #[must_use]
    pub fn udp_limit(&self, most: u16) -> usize {
        let asked = self.edns.map_or(SMALLEST_PAYLOAD, |edns| edns.payload.min(most));
        usize::from(asked.max(SMALLEST_PAYLOAD))
    }

    /// Whether recursion is desired (RD).
    #[must_use]
    pub fn recursion_desired(&self) -> bool {
        self.flags & flag::RD != 0
    }

    /// Whether checking is disabled (CD).
    #[must_use]
    pub fn checking_disabled(&self) -> bool {
        self.flags & flag::CD != 0
    }

    /// Whether the client understands AD in a reply: it set AD or DO (RFC 6840 section 5.7).
    #[must_use]
    pub fn wants_authentic(&self) -> bool {
        self.flags & flag::AD != 0 || self.dnssec_ok()
    }

    /// Whether the client wants DNSSEC records (DO).
    #[must_use]
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

/// Why a message is no query to answer.
#[derive(Clone, Copy, Debug)]
pub enum Bad<'a> {
    /// Not to be answered at all: shorter than a header, or a response.
    Drop,
    /// To be answered with [`crate::refuse`]: FORMERR, NOTIMP or BADVERS.
    Refuse(Refusal<'a>),
}

/// Reads a query. Octets after its last record are ignored.
///
/// # Errors
/// [`Bad::Drop`] or what to refuse it with:
/// * NOTIMP: any opcode but QUERY (also NOTIFY: there are no zones to notify);
/// * FORMERR: not exactly one question (RFC 9619), a question with a pointer or a name that is too long, a question for OPT or TSIG
///   (RFC 6895), records that are cut off or too many, two OPT records or one whose owner is not the root (RFC 6891 section 6.1.1);
/// * BADVERS: EDNS of another version than 0.
#[inline]
pub fn parse_query(message: &[u8]) -> Result<Query<'_>, Bad<'_>> {
    let header = message.first_chunk::<HEADER>().ok_or(Bad::Drop)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (id, flags) = (word(0), word(2));
    if flags & flag::QR != 0 {
        return Err(Bad::Drop);
    }
    let refusal = Refusal { id, flags, question: None, rcode: rcode::FORMERR, edns: None };
    if flags & flag::OPCODE != 0 {
        return Err(Bad::Refuse(Refusal { rcode: rcode::NOTIMP, ..refusal }));
    }
    let counts = [word(6), word(8), word(10)];
    if word(4) != 1 || counts.iter().zip(MAX_COUNTS).any(|(&count, most)| count > most) {
        return Err(Bad::Refuse(refusal));
    }
    let question = read_question(&message[HEADER..]).ok_or(Bad::Refuse(refusal))?;
    let refusal = Refusal { question: Some(question.octets), ..refusal };
    let records = &message[HEADER + question.octets.len()..];
    let edns = read_records(records, counts).ok_or(Bad::Refuse(refusal))?;
    if edns.is_some_and(|edns| edns.version != 0) {
        return Err(Bad::Refuse(Refusal { rcode: rcode::BADVERS, edns, ..refusal }));
    }
    let Question { octets, name, qtype, qclass } = question;
    if matches!(qtype, rtype::OPT | rtype::TSIG) {
        return Err(Bad::Refuse(Refusal { edns, ..refusal }));
    }
    Ok(Query { id, flags, question: octets, name, qtype, qclass, edns })
}

struct Question<'a> {
    octets: &'a [u8],
    name: NameRef<'a>,
    qtype: u16,
    qclass: u16,
}

#[inline]
fn read_question(octets: &[u8]) -> Option<Question<'_>> {
    let name = NameRef::read(octets)?;
    let length = name.wire().len();
    let &[type_high, type_low, class_high, class_low] = octets[length..].first_chunk::<4>()?;
    Some(Question {
        octets: &octets[..length + 4],
        name,
        qtype: u16::from_be_bytes([type_high, type_low]),
        qclass: u16::from_be_bytes([class_high, class_low]),
    })
}

/// Walks over the records. `None`: they are not in order.
#[inline]
#[expect(clippy::option_option, reason = "no OPT record is not an error")]
fn read_records(octets: &[u8], counts: [u16; 3]) -> Option<Option<Edns<'_>>> {
    let mut rest = octets;
    for _ in 0..counts[0] + counts[1] {
        rest = read_record(rest)?.after;
    }
    let mut edns = None;
    for _ in 0..counts[2] {
        let record = read_record(rest)?;
        rest = record.after;
        if record.rtype != rtype::OPT {
            continue;
        }
        if edns.is_some() || !record.owned_by_root {
            return None;
        }
        edns = Some(Edns::read(record.class, record.ttl, record.data)?);
    }
    Some(edns)
}

struct Skimmed<'a> {
    owned_by_root: bool,
    rtype: u16,
    class: u16,
    ttl: u32,
    data: &'a [u8],
    after: &'a [u8],
}

#[inline]
fn read_record(octets: &[u8]) -> Option<Skimmed<'_>> {
    let owner = skip_name(octets)?;
    let (head, after) = octets[owner..].split_first_chunk::<RECORD_HEAD>()?;
    let &[t0, t1, c0, c1, l0, l1, l2, l3, n0, n1] = head;
    let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([n0, n1])))?;
    Some(Skimmed {
        owned_by_root: octets[0] == 0,
        rtype: u16::from_be_bytes([t0, t1]),
        class: u16::from_be_bytes([c0, c1]),
        ttl: u32::from_be_bytes([l0, l1, l2, l3]),
        data,
        after,
    })
}

/// How many octets a name takes that may end with a pointer. The pointer is not followed: nobody reads these names.
#[inline]
fn skip_name(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < crate::name::MAX_NAME {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return octets.get(at + 1).map(|_| at + 2),
            length if length & 0xc0 != 0 => return None,
            length => at += 1 + usize::from(length),
        }
    }
    None
}
