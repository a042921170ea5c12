//! Sending what is kept: octets copied and patched, or written anew.

use crate::codes::{flag, rcode, rtype};
use crate::edns::{BARE_OPT, write_opt};
use crate::query::{HEADER, Query, UDP_PAYLOAD};
use crate::relay::{Relay, wire_options};
use crate::reply::{Data, Reply, Section, must_have};
use crate::stored::{Record, Stored};

impl Stored {
    /// Appends the reply to `query` to `out`: its ID, its question in its letter case, its RD and CD; RA set, AA not; AD only if the
    /// client understands it; TTLs, prefix and limit as `how` says; an OPT record if the client sent one. What does not fit is left
    /// out as by [`Reply::push`].
    #[inline]
    pub fn write(&self, query: &Query<'_>, how: &Relay<'_>, out: &mut Vec<u8>) {
        if how.prefix.is_empty() && query.name.eq_ignore_case(self.name()) {
            self.copy(query, how, out);
        } else {
            self.rewrite(query, how, out);
        }
    }

    /// The octets as they are kept, with what is patched.
    fn copy(&self, query: &Query<'_>, how: &Relay<'_>, out: &mut Vec<u8>) {
        let least = HEADER + query.question.len() + BARE_OPT;
        let options = wire_options(query.edns, how.options, how.limit.saturating_sub(least));
        let tail = if query.edns.is_some() { BARE_OPT + options.len() } else { 0 };
        let kept = self.fit(how.limit.min(usize::from(u16::MAX)).saturating_sub(tail), query.dnssec_ok());
        let base = out.len();
        out.extend_from_slice(&self.wire[..kept.end]);
        let question = HEADER..HEADER + query.question.len();
        out[base..][question].copy_from_slice(query.question);
        for &at in &self.ttls[..kept.records] {
            patch(&mut out[base + usize::from(at)..], |received| how.ttls.apply(received));
        }
        let opt = u16::from(query.edns.is_some());
        if let Some(edns) = query.edns {
            write_opt(out, UDP_PAYLOAD, self.rcode, edns.dnssec_ok, &options);
        }
        let [answers, authority, additional] = kept.counts;
        let truncated = if kept.truncated { flag::TC } else { 0 };
        let words = [query.id, self.flags(query) | truncated, 1, answers, authority, additional + opt];
        for (place, word) in out[base..base + HEADER].chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }

    /// Anew, record by record: the question is another one.
    fn rewrite(&self, query: &Query<'_>, how: &Relay<'_>, out: &mut Vec<u8>) {
        let mut reply = Reply::new(out, query, how.limit);
        reply.set_recursion_available(true);
        reply.set_rcode(self.rcode);
        how.options.iter().for_each(|(code, data)| reply.option(*code, data));
        for cname in how.prefix {
            let target = Data::Name(cname.target);
            reply.push(Section::Answer, cname.owner, rtype::CNAME, cname.ttl, target);
        }
        for record in self.records() {
            let Record { section, owner, rtype, class, ttl, data } = record;
            reply.push_class(section, owner.as_ref(), rtype, class, how.ttls.apply(ttl), Data::Wire(&data));
        }
        reply.finish();
    }

    fn flags(&self, query: &Query<'_>) -> u16 {
        let authentic = if self.is_authentic() && query.wants_authentic() { flag::AD } else { 0 };
        let low = if self.rcode > flag::RCODE && query.edns.is_none() {
            rcode::SERVFAIL
        } else {
            self.rcode & flag::RCODE
        };
        flag::QR | flag::RA | query.flags & (flag::RD | flag::CD) | authentic | low
    }

    /// The records that fit into `room` octets, from the first on.
    fn fit(&self, room: usize, dnssec_ok: bool) -> Kept {
        let all = self.counts();
        if self.wire.len() <= room {
            let counts = all.map(|count| u16::try_from(count).unwrap_or(u16::MAX));
            return Kept { end: self.wire.len(), records: self.ttls.len(), counts, truncated: false };
        }
        let ends = self.ttls.iter().map(|&at| self.end_of(usize::from(at)));
        let ends: Vec<usize> = ends.take_while(|&end| end <= room).collect();
        let end = ends.last().copied().unwrap_or(HEADER + self.question().len());
        let mut counts = [0; 3];
        let mut left = ends.len();
        for (count, all) in counts.iter_mut().zip(all) {
            let here = left.min(all);
            *count = u16::try_from(here).unwrap_or(u16::MAX);
            left -= here;
        }
        let cut = if usize::from(counts[0]) < all[0] {
            Section::Answer
        } else if usize::from(counts[1]) < all[1] {
            Section::Authority
        } else {
            Section::Additional
        };
        Kept { end, records: ends.len(), counts, truncated: must_have(cut, counts, dnssec_ok) }
    }
}

struct Kept {
    end: usize,
    records: usize,
    counts: [u16; 3],
    truncated: bool,
}

#[inline]
fn patch(octets: &mut [u8], change: impl FnOnce(u32) -> u32) {
    if let Some(chunk) = octets.first_chunk_mut::<4>() {
        *chunk = change(u32::from_be_bytes(*chunk)).to_be_bytes();
    }
}
