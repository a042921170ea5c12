//! Writes a reply: the echoed question, records, at the end the OPT record.

mod data;
mod encode;

pub use data::Data;

use crate::codes::{class, flag, rcode};
use crate::compress::Places;
use crate::edns::{BARE_OPT, write_opt};
use crate::name::NameRef;
use crate::query::{HEADER, Query, UDP_PAYLOAD};

/// A section of a message, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// The SOA of a negative answer, NS records.
    Authority,
    /// What helps: addresses of targets.
    Additional,
}

/// A point of a [`Reply`] to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    length: usize,
    counts: [u16; 3],
    places: usize,
    flags: u16,
    rcode: u16,
    section: Section,
}

/// A reply that is being written. The caller pushes records in the order of the sections, then calls [`Reply::finish`].
pub struct Reply<'b> {
    out: &'b mut Vec<u8>,
    /// Where the message begins in `out`.
    base: usize,
    limit: usize,
    question: usize,
    /// Octets of the question's name.
    name: usize,
    flags: u16,
    rcode: u16,
    counts: [u16; 3],
    section: Section,
    /// Where the TTL of the last record is in `out`.
    last_ttl: usize,
    places: Places,
    dnssec_ok: Option<bool>,
    options: Vec<u8>,
}

impl<'b> Reply<'b> {
    /// Begins a reply to `query` at the end of `out`, with at most `limit` octets ([`Query::udp_limit`], or 65,535 over TCP; the
    /// question and a bare OPT record are written however small it is). QR is set, opcode, RD and CD are copied.
    #[inline]
    pub fn new(out: &'b mut Vec<u8>, query: &Query<'_>, limit: usize) -> Self {
        let base = out.len();
        let flags = flag::QR | (query.flags & (flag::OPCODE | flag::RD | flag::CD));
        out.extend_from_slice(&[0; HEADER]);
        out[base..base + 2].copy_from_slice(&query.id.to_be_bytes());
        out.extend_from_slice(query.question);
        Self {
            out,
            base,
            limit: limit.min(usize::from(u16::MAX)),
            question: query.question.len(),
            name: query.name.wire().len(),
            flags,
            rcode: 0,
            counts: [0; 3],
            section: Section::Answer,
            last_ttl: 0,
            places: Places::new(),
            dnssec_ok: query.edns.map(|edns| edns.dnssec_ok),
            options: Vec::new(),
        }
    }

    /// Sets the response code, 0 to 4095. A client without OPT record sees SERVFAIL in the place of one above 15.
    pub fn set_rcode(&mut self, rcode: u16) {
        self.rcode = rcode;
    }

    /// The response code set so far.
    #[must_use]
    pub fn rcode(&self) -> u16 {
        self.rcode
    }

    /// Sets AA.
    pub fn set_authoritative(&mut self, on: bool) {
        self.set(flag::AA, on);
    }

    /// Sets RA.
    pub fn set_recursion_available(&mut self, on: bool) {
        self.set(flag::RA, on);
    }

    /// Sets AD.
    pub fn set_authentic(&mut self, on: bool) {
        self.set(flag::AD, on);
    }

    fn set(&mut self, bit: u16, on: bool) {
        self.flags = if on { self.flags | bit } else { self.flags & !bit };
    }

    /// Whether an answer or authority record did not fit (TC).
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flags & flag::TC != 0
    }

    /// How many records answer, authority and additional section have so far, the OPT record not counted.
    #[must_use]
    pub fn counts(&self) -> [u16; 3] {
        self.counts
    }

    /// Adds a record of class IN.
    ///
    /// One that does not fit is left out. An answer, or an authority record without any answer or for a client with DO, sets TC then
    /// (RFC 2181 section 9), and all later records are left out too. Sections come in their order; a record for an earlier section is left out.
    #[inline]
    pub fn push(&mut self, section: Section, owner: NameRef<'_>, rtype: u16, ttl: u32, data: Data<'_>) {
        self.push_class(section, owner, rtype, class::IN, ttl, data);
    }

    /// As [`Reply::push`], of any class.
    pub fn push_class(
        &mut self,
        section: Section,
        owner: NameRef<'_>,
        rtype: u16,
        class: u16,
        ttl: u32,
        data: Data<'_>,
    ) {
        debug_assert!(section >= self.section, "records come in the order of the sections");
        if section < self.section || self.is_truncated() {
            return;
        }
        let (length, places) = (self.out.len(), self.places.used());
        self.write_record(owner, rtype, class, ttl, data);
        if self.out.len() + self.tail() - self.base <= self.limit {
            self.section = section;
            self.counts[section as usize] += 1;
            return;
        }
        self.out.truncate(length);
        self.places.cut(places);
        if must_have(section, self.counts, self.dnssec_ok == Some(true)) {
            self.set(flag::TC, true);
        }
    }

    /// Where the TTL of the last record that was pushed is in the message; `None` before the first, or if it does not fit 16 bits.
    pub(crate) fn last_ttl(&self) -> Option<u16> {
        self.last_ttl.checked_sub(self.base).and_then(|at| u16::try_from(at).ok())
    }

    /// What must still fit behind the records.
    fn tail(&self) -> usize {
        if self.dnssec_ok.is_some() { BARE_OPT + self.options.len() } else { 0 }
    }

    /// Adds an EDNS option; left out if the query had no OPT record, or if it does not fit any more.
    pub fn option(&mut self, code: u16, data: &[u8]) {
        let Ok(length) = u16::try_from(data.len()) else { return };
        let room = self.limit.saturating_sub(self.out.len() - self.base + self.tail());
        if self.dnssec_ok.is_none() || data.len() + 4 > room {
            return;
        }
        self.options.extend_from_slice(&code.to_be_bytes());
        self.options.extend_from_slice(&length.to_be_bytes());
        self.options.extend_from_slice(data);
    }

    /// Back to the bare question, for another source: records, options, AA, AD, TC and the response code are forgotten.
    pub fn rewind(&mut self) {
        self.out.truncate(self.base + HEADER + self.question);
        self.places.cut(0);
        self.counts = [0; 3];
        self.section = Section::Answer;
        self.rcode = 0;
        self.flags &= !(flag::AA | flag::AD | flag::TC | flag::RA);
        self.options.clear();
    }

    /// Where the reply is now, to come back with [`Reply::back_to`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            length: self.out.len() - self.base,
            counts: self.counts,
            places: self.places.used(),
            flags: self.flags,
            rcode: self.rcode,
            section: self.section,
        }
    }

    /// Takes back what was pushed and set since `mark`; options stay.
    pub fn back_to(&mut self, mark: Mark) {
        self.out.truncate(self.base + mark.length);
        self.places.cut(mark.places);
        self.counts = mark.counts;
        self.flags = mark.flags;
        self.rcode = mark.rcode;
        self.section = mark.section;
    }

    /// Writes header and OPT record. The message is what `out` has grown by since [`Reply::new`].
    #[inline]
    pub fn finish(self) {
        let [answers, authority, mut additional] = self.counts;
        if let Some(dnssec_ok) = self.dnssec_ok {
            additional += 1;
            write_opt(self.out, UDP_PAYLOAD, self.rcode, dnssec_ok, &self.options);
        }
        let extended = self.rcode > flag::RCODE && self.dnssec_ok.is_none();
        let low = if extended { rcode::SERVFAIL } else { self.rcode & flag::RCODE };
        let words = [self.flags | low, 1, answers, authority, additional];
        let header = &mut self.out[self.base + 2..self.base + HEADER];
        for (place, word) in header.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// Whether a reply is of no use without the records of a section that do not fit: answers always, the authority section if there is
/// no answer (its SOA says how long) or if it proves something (RFC 2181 section 9).
pub(crate) fn must_have(section: Section, counts: [u16; 3], dnssec_ok: bool) -> bool {
    match section {
        Section::Answer => true,
        Section::Authority => dnssec_ok || counts[0] == 0,
        Section::Additional => false,
    }
}
