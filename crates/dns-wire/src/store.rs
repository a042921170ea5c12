//! Reads an upstream's reply, checks it, and writes it anew in the one form in which replies are kept.

use crate::codes::{class, edns_option, flag, rcode, rtype};
use crate::edns::Edns;
use crate::name::NameRef;
use crate::query::{HEADER, Query};
use crate::reply::{Data, Reply, Section};
use crate::stored::Stored;
use crate::walk::{Found, Walk};

/// The most records that a reply of an upstream may have; one with more is [`Foreign::Broken`]. A message of 65,535 octets with
/// compressed records of IPv4 addresses has 4,095.
pub const MAX_RECORDS: usize = 4096;
/// The most octets of an upstream's extended error that are kept.
const MAX_EXTENDED_ERROR: usize = 128;

/// What was asked of an upstream.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The ID sent.
    pub id: u16,
    /// Name, type and class as sent.
    pub question: &'a [u8],
}

/// Why a message is not the reply, or not one to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It does not answer this question (ID, question, QR, opcode): go on waiting (RFC 5452 section 9.1).
    #[error("the message does not answer the question")]
    Wrong,
    /// TC is set: ask again over TCP.
    #[error("the reply is truncated")]
    Truncated,
    /// It answers the question, but cannot be read; or the upstream says without echoing the question that it failed.
    #[error("the reply cannot be read")]
    Broken,
}

/// Checks a message against what was asked, and makes of it what can be kept and sent on: OPT, TSIG and SIG(0) removed, names
/// compressed by us, the owner of the answer pointing at the question. The letter case of the question is not compared.
///
/// # Errors
/// See [`Foreign`].
pub fn store(message: &[u8], asked: &Asked<'_>) -> Result<Stored, Foreign> {
    let header = message.first_chunk::<HEADER>().ok_or(Foreign::Wrong)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = word(2);
    if word(0) != asked.id || flags & flag::QR == 0 || flags & flag::OPCODE != 0 {
        return Err(Foreign::Wrong);
    }
    if word(4) == 0 && flags & flag::RCODE != rcode::NOERROR {
        return Err(Foreign::Broken);
    }
    let mut walk = Walk::at(message, HEADER).ok_or(Foreign::Wrong)?;
    let question = Asking::read(asked.question).ok_or(Foreign::Wrong)?;
    if word(4) != 1 || !walk.question().is_some_and(|found| question.is(&found)) {
        return Err(Foreign::Wrong);
    }
    if flags & flag::TC != 0 {
        return Err(Foreign::Truncated);
    }
    keep(&mut walk, &question, flags, [word(6), word(8), word(10)]).ok_or(Foreign::Broken)
}

struct Asking<'a> {
    octets: &'a [u8],
    name: NameRef<'a>,
    qtype: u16,
    qclass: u16,
}

impl<'a> Asking<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let name = NameRef::read(octets)?;
        let &[t0, t1, c0, c1] = octets.get(name.wire().len()..)? else { return None };
        Some(Self { octets, name, qtype: u16::from_be_bytes([t0, t1]), qclass: u16::from_be_bytes([c0, c1]) })
    }

    fn is(&self, (name, qtype, qclass): &(crate::Name, u16, u16)) -> bool {
        name.as_ref().eq_ignore_case(self.name) && *qtype == self.qtype && *qclass == self.qclass
    }

    /// The query that the kept message is the reply to: without OPT.
    fn query(&self) -> Query<'a> {
        let &Self { octets, name, qtype, qclass } = self;
        Query { id: 0, flags: 0, question: octets, name, qtype, qclass, edns: None }
    }
}

/// What the records say beyond themselves.
#[derive(Default)]
struct Noted {
    ttls: Vec<u16>,
    /// The upper bits of the response code.
    extended_rcode: u16,
    extended_error: Option<Box<[u8]>>,
    soa: Option<u32>,
    answered: bool,
}

fn keep(walk: &mut Walk<'_>, question: &Asking<'_>, flags: u16, counts: [u16; 3]) -> Option<Stored> {
    if counts.iter().map(|&count| usize::from(count)).sum::<usize>() > MAX_RECORDS {
        return None;
    }
    let mut wire = Vec::with_capacity(512);
    let mut reply = Reply::new(&mut wire, &question.query(), usize::from(u16::MAX));
    reply.set_authentic(flags & flag::AD != 0);
    let mut noted = Noted::default();
    for (section, count) in [Section::Answer, Section::Authority, Section::Additional].into_iter().zip(counts)
    {
        for _ in 0..count {
            let found = walk.record()?;
            noted.look_at(section, &found, question)?;
            if !is_of_the_transport(&found) {
                copy(&mut reply, section, &found, question);
                // A message that does not fit once it is written by us is none to keep.
                noted.ttls.push(reply.last_ttl().filter(|_| !reply.is_truncated())?);
            }
        }
    }
    let rcode = noted.extended_rcode << 4 | flags & flag::RCODE;
    reply.set_rcode(rcode & flag::RCODE);
    reply.finish();
    Some(Stored::new(wire, noted.ttls, rcode, noted.soa, noted.answered, noted.extended_error))
}

/// Records that concern one hop only: OPT, TSIG, SIG(0).
fn is_of_the_transport(found: &Found) -> bool {
    matches!(found.rtype, rtype::OPT | rtype::TSIG)
        || (found.rtype == rtype::SIG && found.class == class::ANY)
}

fn copy(reply: &mut Reply<'_>, section: Section, found: &Found, question: &Asking<'_>) {
    let owner = found.owner.as_ref();
    let owner = if owner.eq_ignore_case(question.name) { question.name } else { owner };
    reply.push_class(section, owner, found.rtype, found.class, sane_ttl(found.ttl), Data::Wire(&found.data));
}

/// A TTL with the highest bit set counts as 0 (RFC 2181 section 8).
fn sane_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl }
}

impl Noted {
    fn look_at(&mut self, section: Section, found: &Found, question: &Asking<'_>) -> Option<()> {
        match (section, found.rtype) {
            (Section::Additional, rtype::OPT) => {
                self.extended_rcode = u16::from(found.ttl.to_be_bytes()[0]);
                // Options that cannot be read concern one hop only: the records are good all the same.
                let edns = Edns::read(found.class, found.ttl, &found.data);
                let error = edns.and_then(|edns| edns.option(edns_option::EXTENDED_ERROR));
                self.extended_error =
                    error.filter(|data| (2..=MAX_EXTENDED_ERROR).contains(&data.len())).map(Into::into);
            }
            (Section::Authority, rtype::SOA) => {
                let minimum = found.data.last_chunk::<4>()?;
                self.soa.get_or_insert(u32::from_be_bytes(*minimum).min(sane_ttl(found.ttl)));
            }
            (Section::Answer, rtype) => {
                self.answered |= rtype == question.qtype || question.qtype == rtype::ANY
            }
            _ => {}
        }
        Some(())
    }
}
