//! Why an answer is as it is, for clients that sent EDNS (RFC 8914).

use dns_forward::Hit;
use dns_wire::{Reply, edns_option, rcode};

/// A code, and a text where the code does not say it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ede {
    pub(crate) code: u16,
    pub(crate) text: &'static str,
}

pub(crate) const NOT_READY: Ede = Ede { code: 14, text: "the cluster's names are not loaded yet" };
pub(crate) const BLOCKED: Ede = Ede { code: 15, text: "" };
pub(crate) const FILTERED: Ede = Ede { code: 17, text: "" };
pub(crate) const NOT_AUTHORITATIVE: Ede = Ede { code: 20, text: "no server block has this zone" };
pub(crate) const NO_SOURCE: Ede = Ede { code: 0, text: "nothing in the server block answers this name" };
pub(crate) const TOO_MANY: Ede = Ede { code: 0, text: "too many misses from this address" };
pub(crate) const OVERLOADED: Ede = Ede { code: 0, text: "too many queries wait for upstreams" };

/// Octets of a text at the most: it is put together on the stack, as refusals are what a flood gets.
const LONGEST: usize = 62;

impl Ede {
    /// Adds the option; left out for a client without EDNS.
    pub(crate) fn add(&self, reply: &mut Reply<'_>) {
        let mut data = [0; 2 + LONGEST];
        let octets = self.code.to_be_bytes().into_iter().chain(self.text.bytes());
        let end = octets.zip(&mut data).map(|(octet, place)| *place = octet).count();
        reply.option(edns_option::EXTENDED_ERROR, data.get(..end).unwrap_or_default());
    }
}

/// What is to be said about a reply of an upstream: that it is stale, or what the upstream itself said.
pub(crate) fn of_hit(hit: &Hit) -> Option<Vec<u8>> {
    if !hit.stale {
        return hit.stored.extended_error().map(<[u8]>::to_vec);
    }
    let code: u16 = if hit.stored.rcode() == rcode::NXDOMAIN { 19 } else { 3 };
    Some(code.to_be_bytes().to_vec())
}

/// The same as an option.
pub(crate) fn options(data: &Option<Vec<u8>>) -> Option<(u16, &[u8])> {
    data.as_deref().map(|data| (edns_option::EXTENDED_ERROR, data))
}
