//! Names that never leave the node: `localhost`, `invalid`, and what cannot be a name (RFC 6761).

use std::net::{Ipv4Addr, Ipv6Addr};

use dns_wire::{Data, NameRef, Reply, Section, rcode, rtype};

/// Seconds; as CoreDNS's plugin `local`.
const TTL: u32 = 604_800;

/// What such a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// `localhost.` and names below it.
    Localhost,
    /// `1.0.0.127.in-addr.arpa.` and its IPv6 form.
    LoopbackPointer,
    /// Another name in a reverse zone that only this host may have a meaning for.
    LoopbackZone,
    /// `invalid.` and names below it; names whose last label is a number.
    Never,
}

/// Tells whether a name is special.
pub(crate) fn special(name: NameRef<'_>) -> Option<Special> {
    let mut labels = [&b""[..]; 3];
    for label in name.labels() {
        labels = [labels[1], labels[2], label];
    }
    let [third, second, last] = labels;
    let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
    if is(last, "localhost") {
        return Some(Special::Localhost);
    }
    if is(last, "invalid") || (!last.is_empty() && last.iter().all(u8::is_ascii_digit)) {
        return Some(Special::Never);
    }
    (is(last, "arpa")).then(|| loopback(name, is(second, "in-addr"), third)).flatten()
}

const FOUR: &[u8] = b"\x011\x010\x010\x03127\x07in-addr\x04arpa\x00";
const SIX: &[u8] = b"\x011\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x03ip6\x04arpa\x00";

fn loopback(name: NameRef<'_>, four: bool, third: &[u8]) -> Option<Special> {
    if [FOUR, SIX].iter().any(|pointer| name.wire().eq_ignore_ascii_case(pointer)) {
        return Some(Special::LoopbackPointer);
    }
    (four && matches!(third, b"0" | b"127" | b"255")).then_some(Special::LoopbackZone)
}

/// Writes the answer.
pub(crate) fn answer(special: Special, name: NameRef<'_>, qtype: u16, reply: &mut Reply<'_>) {
    reply.set_authoritative(true);
    let zone = zone(special, name);
    let is_apex = special != Special::Never && zone.wire().len() == name.wire().len();
    let data = match (special, qtype) {
        (Special::Localhost, rtype::A) => Data::A(Ipv4Addr::LOCALHOST),
        (Special::Localhost, rtype::AAAA) => Data::Aaaa(Ipv6Addr::LOCALHOST),
        (Special::LoopbackPointer, rtype::PTR) => Data::Name(localhost()),
        (_, rtype::SOA) if is_apex => soa(),
        (_, rtype::NS) if is_apex => Data::Name(localhost()),
        _ => {
            if !exists(special, name, is_apex) {
                reply.set_rcode(rcode::NXDOMAIN);
            }
            return reply.push(Section::Authority, zone, rtype::SOA, TTL, soa());
        }
    };
    reply.push(Section::Answer, name, qtype, TTL, data);
}

/// The zone of a name, as if it were one of ours: `127.in-addr.arpa.` and its like (RFC 6303), the last label of others.
fn zone(special: Special, name: NameRef<'_>) -> NameRef<'_> {
    let labels = match special {
        Special::Localhost | Special::Never => 1,
        Special::LoopbackPointer if name.wire().len() == SIX.len() => return name,
        Special::LoopbackPointer | Special::LoopbackZone => 3,
    };
    let mut zone = name;
    for _ in labels..name.label_count() {
        zone = zone.parent().unwrap_or(zone);
    }
    zone
}

/// Whether there is such a name: what lies between a zone and a name in it exists too (RFC 8020).
fn exists(special: Special, name: NameRef<'_>, is_apex: bool) -> bool {
    let is_between = || NameRef::read(FOUR).is_some_and(|pointer| pointer.ends_with(name));
    match special {
        Special::Localhost | Special::LoopbackPointer => true,
        Special::LoopbackZone => is_apex || is_between(),
        Special::Never => false,
    }
}

fn localhost() -> NameRef<'static> {
    NameRef::read(b"\x09localhost\x00").unwrap_or(NameRef::ROOT)
}

fn soa() -> Data<'static> {
    let (mname, rname) = (localhost(), NameRef::read(b"\x04root\x09localhost\x00").unwrap_or(NameRef::ROOT));
    Data::Soa { mname, rname, serial: 1, refresh: 0, retry: 0, expire: 0, minimum: TTL }
}

#[cfg(test)]
mod tests {
    use dns_wire::Name;

    use super::*;

    #[test]
    fn special_names_are_told_from_others() {
        let six = format!("1.{}ip6.arpa.", "0.".repeat(31));
        for (name, wanted) in [
            ("localhost.", Some(Special::Localhost)),
            ("foo.LocalHost.", Some(Special::Localhost)),
            ("localhost.example.org.", None),
            ("x.invalid.", Some(Special::Never)),
            ("1.2.3.4.", Some(Special::Never)),
            ("4.", Some(Special::Never)),
            ("4x.", None),
            (".", None),
            ("1.0.0.127.in-addr.arpa.", Some(Special::LoopbackPointer)),
            (six.as_str(), Some(Special::LoopbackPointer)),
            ("2.0.0.127.in-addr.arpa.", Some(Special::LoopbackZone)),
            ("1.255.in-addr.arpa.", Some(Special::LoopbackZone)),
            ("255.in-addr.arpa.", Some(Special::LoopbackZone)),
            ("1.0.0.10.in-addr.arpa.", None),
        ] {
            let parsed: Name = name.parse().unwrap();
            assert_eq!(special(parsed.as_ref()), wanted, "{name}");
        }
    }
}
