//! The address that a reverse name stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns_wire::NameRef;

/// `4.3.2.1.in-addr.arpa.` is 1.2.3.4; with 32 nibbles under `ip6.arpa.` for IPv6. `None` for any other name.
pub(crate) fn address_of(name: NameRef<'_>) -> Option<IpAddr> {
    let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
    match name.label_count() {
        6 => {
            let mut labels = name.labels();
            let mut octets = [0; 4];
            for place in octets.iter_mut().rev() {
                *place = decimal(labels.next()?)?;
            }
            (is(labels.next()?, "in-addr") && is(labels.next()?, "arpa"))
                .then(|| Ipv4Addr::from(octets).into())
        }
        34 => {
            let mut labels = name.labels();
            let mut octets = [0u8; 16];
            for place in octets.iter_mut().rev() {
                let (low, high) = (nibble(labels.next()?)?, nibble(labels.next()?)?);
                *place = high << 4 | low;
            }
            (is(labels.next()?, "ip6") && is(labels.next()?, "arpa")).then(|| Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

fn decimal(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn nibble(label: &[u8]) -> Option<u8> {
    let [digit] = label else { return None };
    u8::try_from(char::from(*digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use dns_wire::Name;

    use super::*;

    #[test]
    fn only_whole_reverse_names_are_addresses() {
        let six = format!("1.{}d.f.ip6.arpa.", "0.".repeat(29));
        for (name, wanted) in [
            ("4.3.2.1.in-addr.arpa.", Some("1.2.3.4")),
            ("4.3.2.1.IN-ADDR.ARPA.", Some("1.2.3.4")),
            ("04.3.2.1.in-addr.arpa.", None),
            ("256.3.2.1.in-addr.arpa.", None),
            ("3.2.1.in-addr.arpa.", None),
            ("4.3.2.1.example.arpa.", None),
            (six.as_str(), Some("fd00::1")),
        ] {
            let parsed: Name = name.parse().unwrap();
            assert_eq!(address_of(parsed.as_ref()), wanted.map(|text| text.parse().unwrap()), "{name}");
        }
    }
}
