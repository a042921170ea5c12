//! The query that is sent to an upstream.

use crate::codes::flag;
use crate::edns::write_opt;
use crate::name::NameRef;

/// Appends a query to `out`: RD set, CD and AD as said, an OPT record with `payload` and DO as said, none of the client's options.
#[expect(clippy::too_many_arguments, reason = "the fields of the message, each once")]
pub fn ask(
    out: &mut Vec<u8>,
    id: u16,
    name: NameRef<'_>,
    qtype: u16,
    qclass: u16,
    dnssec_ok: bool,
    checking_disabled: bool,
    authentic: bool,
    payload: u16,
) {
    let flags =
        flag::RD | if checking_disabled { flag::CD } else { 0 } | if authentic { flag::AD } else { 0 };
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    out.extend_from_slice(name.wire());
    out.extend_from_slice(&qtype.to_be_bytes());
    out.extend_from_slice(&qclass.to_be_bytes());
    write_opt(out, payload, 0, dnssec_ok, &[]);
}
