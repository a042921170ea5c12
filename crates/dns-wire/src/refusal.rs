//! The reply to a message that is no query to answer.

use crate::codes::flag;
use crate::edns::{Edns, write_opt};
use crate::query::UDP_PAYLOAD;

/// What can be said about such a message, and the response code for it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The ID to answer with.
    pub id: u16,
    /// The third and fourth octet of the header, as sent.
    pub flags: u16,
    /// The question to echo, if it could be read.
    pub question: Option<&'a [u8]>,
    /// The response code: FORMERR, NOTIMP or BADVERS.
    pub rcode: u16,
    /// The OPT record, if it could be read; the reply has one then.
    pub edns: Option<Edns<'a>>,
}

/// Appends the reply to `out`: at most 282 octets, so that it fits everywhere.
pub fn refuse(refusal: &Refusal<'_>, out: &mut Vec<u8>) {
    let kept = refusal.flags & (flag::OPCODE | flag::RD | flag::CD);
    let flags = flag::QR | kept | (refusal.rcode & flag::RCODE);
    out.extend_from_slice(&refusal.id.to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    let question = u8::from(refusal.question.is_some());
    let opt = u8::from(refusal.edns.is_some());
    out.extend_from_slice(&[0, question, 0, 0, 0, 0, 0, opt]);
    out.extend_from_slice(refusal.question.unwrap_or_default());
    if let Some(edns) = refusal.edns {
        write_opt(out, UDP_PAYLOAD, refusal.rcode, edns.dnssec_ok, &[]);
    }
}
