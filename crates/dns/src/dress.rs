//! Parts of a reply that do not depend on where the answer came from.

use std::time::Duration;

use dns_forward::Asking;
use dns_wire::{Query, Reply, edns_option, rcode};

use crate::chain::Block;
use crate::ede::Ede;
use crate::metrics::{Observed, Plugin};
use crate::origin::{Origin, Transport};

/// The question as the forwarder takes it.
pub(crate) fn asking<'a>(query: &Query<'a>) -> Asking<'a> {
    Asking {
        name: query.name,
        qtype: query.qtype,
        qclass: query.qclass,
        dnssec_ok: query.dnssec_ok(),
        checking_disabled: query.checking_disabled(),
    }
}

/// Octets that the reply may have.
pub(crate) fn limit(block: &Block, query: &Query<'_>, origin: Origin) -> usize {
    match origin.transport {
        Transport::Udp => query.udp_limit(block.bufsize),
        Transport::Tcp => usize::from(u16::MAX),
    }
}

/// The same without a block.
pub(crate) fn plain_limit(query: &Query<'_>, origin: Origin) -> usize {
    match origin.transport {
        Transport::Udp => query.udp_limit(dns_wire::UDP_PAYLOAD),
        Transport::Tcp => usize::from(u16::MAX),
    }
}

/// Whether the client asks for the name of the server.
pub(crate) fn wants_nsid(query: &Query<'_>) -> bool {
    query.edns.is_some_and(|edns| edns.option(edns_option::NSID).is_some())
}

/// The name of this server, if the client asks for it (RFC 5001).
pub(crate) fn nsid(block: &Block, query: &Query<'_>, reply: &mut Reply<'_>) {
    if let Some(name) = &block.nsid
        && wants_nsid(query)
    {
        reply.option(edns_option::NSID, name);
    }
}

/// SERVFAIL with a reason.
pub(crate) fn fail(query: &Query<'_>, origin: Origin, why: &Ede, out: &mut Vec<u8>) {
    out.clear();
    let mut reply = Reply::new(out, query, plain_limit(query, origin));
    reply.set_rcode(rcode::SERVFAIL);
    why.add(&mut reply);
    reply.finish();
}

/// What is to be counted of a query and its reply.
pub(crate) fn observed(
    zone: usize,
    message: &[u8],
    query: &Query<'_>,
    origin: Origin,
    plugin: Plugin,
    out: &[u8],
) -> Observed {
    Observed {
        zone,
        transport: origin.transport,
        is_ipv6: origin.from.is_ipv6(),
        qtype: query.qtype,
        dnssec_ok: query.dnssec_ok(),
        plugin,
        rcode: out.get(3).map_or(6, |octet| match octet & 15 {
            code @ 0..=5 => u16::from(code),
            _ => 7,
        }),
        asked_octets: message.len(),
        reply_octets: out.len(),
        took: Duration::ZERO,
    }
}
