//! Names of the reverse trees (RFC 1035 section 3.5, RFC 3596 section 2.5).

use std::net::IpAddr;

use crate::NameRef;

const V4: &[u8] = b"\x07in-addr\x04arpa\0";
const V6: &[u8] = b"\x03ip6\x04arpa\0";

impl NameRef<'_> {
    /// Whether it is `in-addr.arpa.`, `ip6.arpa.` or below one of them.
    #[must_use]
    pub fn is_reverse(self) -> bool {
        labels_of(self, V4).or_else(|| labels_of(self, V6)).is_some()
    }

    /// The address of a whole reverse name: `4.3.2.1.in-addr.arpa.` is 1.2.3.4, with 32 nibbles under `ip6.arpa.` for
    /// IPv6. `None` for any other name, and for other spellings of an octet (`04`): only one has the record.
    #[must_use]
    pub fn reverse_address(self) -> Option<IpAddr> {
        v4(self).or_else(|| v6(self))
    }
}

fn labels_of<'a>(name: NameRef<'a>, tree: &'static [u8]) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
    name.labels_below(NameRef::read(tree)?)
}

fn v4(name: NameRef<'_>) -> Option<IpAddr> {
    let mut labels = labels_of(name, V4)?;
    let mut octets = [0; 4];
    for octet in octets.iter_mut().rev() {
        *octet = decimal(labels.next()?)?;
    }
    labels.next().is_none().then(|| IpAddr::from(octets))
}

/// An octet without leading zeros: only one spelling of a name has the record.
fn decimal(label: &[u8]) -> Option<u8> {
    let canonical = label == b"0" || label.first().is_some_and(|digit| (b'1'..=b'9').contains(digit));
    std::str::from_utf8(label).ok().filter(|_| canonical)?.parse().ok()
}

fn v6(name: NameRef<'_>) -> Option<IpAddr> {
    let mut labels = labels_of(name, V6)?;
    let mut octets = [0; 16];
    for octet in octets.iter_mut().rev() {
        let low = nibble(labels.next()?)?;
        *octet = nibble(labels.next()?)? << 4 | low;
    }
    labels.next().is_none().then(|| IpAddr::from(octets))
}

fn nibble(label: &[u8]) -> Option<u8> {
    let &[digit] = label else { return None };
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn zones_of_the_reverse_trees() {
        for (name, reverse) in [
            ("in-addr.arpa.", true),
            ("10.IN-ADDR.ARPA.", true),
            ("8.b.d.ip6.arpa.", true),
            ("arpa.", false),
            ("cluster.home.arpa.", false),
            ("xin-addr.arpa.", false),
            (".", false),
        ] {
            let name: crate::Name = name.parse().unwrap();
            assert_eq!(name.as_ref().is_reverse(), reverse, "{name}");
        }
    }

    #[test]
    fn whole_reverse_names_are_addresses() {
        let ones = "1.".repeat(31);
        let table: [(&str, Option<&str>); 9] = [
            ("1.10.96.10.in-addr.arpa", Some("10.96.10.1")),
            ("0.0.0.255.IN-ADDR.arpa", Some("255.0.0.0")),
            ("10.96.10.in-addr.arpa", None),
            ("1.1.10.96.10.in-addr.arpa", None),
            ("01.10.96.10.in-addr.arpa", None),
            ("256.10.96.10.in-addr.arpa", None),
            (&format!("{ones}2.ip6.arpa"), Some("2111:1111:1111:1111:1111:1111:1111:1111")),
            (&format!("{ones}ip6.arpa"), None),
            ("1.10.96.10.cluster.local", None),
        ];
        for (name, want) in table {
            let name: crate::Name = name.parse().unwrap();
            let want = want.map(|ip| ip.parse().unwrap());
            assert_eq!(name.as_ref().reverse_address(), want, "{name}");
        }
    }
}
