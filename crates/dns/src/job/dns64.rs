//! `dns64`: AAAA records made of A records, for clients that speak IPv6 only (RFC 6147).

use std::net::{Ipv4Addr, Ipv6Addr};

use dns_wire::{Kind, Name, Query, rtype};
use ipnet::Ipv6Net;

use super::Job;
use super::found::{Body, Found};
use crate::chain::Block;
use crate::origin::Origin;

/// Whether a query may need made records: it asks for AAAA, and came over IPv6 (or that does not matter). One
/// that checks signatures itself gets none (RFC 6147 section 5.5).
pub(crate) fn wants(block: &Block, query: &Query<'_>, origin: Origin) -> bool {
    let Some(settings) = &block.dns64 else { return false };
    let over_ipv6 = origin.from.ip().to_canonical().is_ipv6();
    query.qtype == rtype::AAAA
        && (settings.allow_ipv4 || over_ipv6)
        && !(query.dnssec_ok() && query.checking_disabled())
}

impl Job {
    /// Looks for A records where there is no AAAA, and says with which prefix they are to be made into AAAA.
    pub(crate) async fn dns64(
        &self,
        block: &Block,
        query: &Query<'_>,
        found: Found,
        name: &Name,
        qtype: u16,
    ) -> (Found, Option<Ipv6Net>) {
        let Some(settings) = block.dns64.filter(|_| wants(block, query, self.origin) && qtype == rtype::AAAA)
        else {
            return (found, None);
        };
        let enough = found.has(rtype::AAAA) && !settings.translate_all;
        let is_decided = enough || matches!(found.body, Body::Forbidden(_));
        if is_decided || found.kind() == Kind::NxDomain {
            return (found, None);
        }
        let four = self.search(block, query, name, rtype::A).await;
        if four.has_ipv4() { (four, Some(settings.prefix)) } else { (found, None) }
    }
}

/// An IPv4 address inside a prefix (RFC 6052 section 2.2); octet 8 stays 0.
pub(crate) fn embed(prefix: Ipv6Net, address: Ipv4Addr) -> Ipv6Addr {
    let mut octets = prefix.network().octets();
    let begin = usize::from(prefix.prefix_len() / 8);
    let places = (begin..16).filter(|place| *place != 8);
    for (place, octet) in places.zip(address.octets()) {
        octets[place] = octet;
    }
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_embedded_as_in_rfc_6052() {
        for (prefix, wanted) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
            ("64:ff9b::/96", "64:ff9b::c000:221"),
        ] {
            let made = embed(prefix.parse().unwrap(), Ipv4Addr::new(192, 0, 2, 33));
            assert_eq!(made, wanted.parse::<Ipv6Addr>().unwrap(), "{prefix}");
        }
    }
}
