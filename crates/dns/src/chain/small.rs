//! Short answers of the server itself: ANY, class CH.

use dns_config::Chaos;
use dns_wire::{Data, Query, Reply, Section, class, rtype};

/// Seconds, as CoreDNS's plugin `any`.
const ANY_TTL: u32 = 8_482;
/// The data of the HINFO record: two texts (RFC 8482 section 4.2).
const ANY_DATA: &[u8] = b"\x0dANY obsoleted\x0cSee RFC 8482";

/// Answers type ANY with one HINFO record.
pub(crate) fn any(query: &Query<'_>, reply: &mut Reply<'_>) {
    reply.set_authoritative(true);
    reply.push(Section::Answer, query.name, rtype::HINFO, ANY_TTL, Data::Raw(ANY_DATA));
}

/// Answers `version.bind`, `version.server`, `authors.bind`, `hostname.bind` and `id.server` in class CH.
/// False: something else was asked.
pub(crate) fn chaos(chaos: &Chaos, node: Option<&[u8]>, query: &Query<'_>, reply: &mut Reply<'_>) -> bool {
    if query.qclass != class::CH || query.qtype != rtype::TXT {
        return false;
    }
    let mut lower = [0; dns_wire::MAX_NAME];
    let own = concat!("towpath-", env!("CARGO_PKG_VERSION"));
    let version = chaos.version.as_deref().unwrap_or(own).as_bytes();
    let texts: Vec<&[u8]> = match query.name.lower_into(&mut lower) {
        b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => vec![version],
        b"\x07authors\x04bind\x00" => chaos.authors.iter().map(String::as_bytes).collect(),
        b"\x08hostname\x04bind\x00" | b"\x02id\x06server\x00" => node.into_iter().collect(),
        _ => return false,
    };
    reply.set_authoritative(true);
    for text in texts {
        reply.push_class(Section::Answer, query.name, rtype::TXT, class::CH, 0, Data::Txt(&[text]));
    }
    true
}
