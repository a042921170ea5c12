//! Zones as a Corefile writes them: names, networks, and keys of server blocks.

use dns_wire::Name;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::text::lower_name;

/// Most zones of one server block or directive; the reverse zones of a network count each.
pub const MAX_ZONES: usize = 10_000;

/// The key of a server block: `[SCHEME://]ZONE[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `dns`, if none is written.
    pub scheme: String,
    /// One, or several for a network that is no whole number of labels.
    pub zones: Vec<Name>,
    /// The port, if one is written.
    pub port: Option<u16>,
}

impl Key {
    /// Reads a key. `None`: no zone, or no port behind the last colon.
    pub fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("dns", text));
        let (zone, port) = split_port(rest)?;
        let zones = if zone.is_empty() { vec![Name::root()] } else { zone_names(zone)? };
        Some(Self { scheme: scheme.to_ascii_lowercase(), zones, port })
    }
}

/// `example.org`, `10.0.0.0/8` or a key as text: the zones that are meant, in lower case. `None` if it is none of them.
///
/// A network whose length is no whole number of labels gives several zones: up to 128 for IPv4, up to 8 for IPv6.
#[must_use]
pub fn zones(text: &str) -> Option<Vec<Name>> {
    (!text.is_empty()).then(|| Key::read(text)).flatten().map(|key| key.zones)
}

/// The reverse zones that make up a network: `10.0.0.0/8` is `10.in-addr.arpa.`
#[must_use]
pub fn reverse_zones(net: IpNet) -> Vec<Name> {
    let texts: Vec<String> = match net.trunc() {
        IpNet::V4(net) => in_labels(net.prefix_len(), 8, |length| net.subnets(length)).map(text_v4).collect(),
        IpNet::V6(net) => in_labels(net.prefix_len(), 4, |length| net.subnets(length)).map(text_v6).collect(),
    };
    texts.iter().filter_map(|text| lower_name(text)).collect()
}

fn zone_names(text: &str) -> Option<Vec<Name>> {
    match text.parse::<IpNet>() {
        Ok(net) => Some(reverse_zones(net)),
        Err(_) => lower_name(text).map(|name| vec![name]),
    }
}

/// Cuts the number behind the last colon off, if it is one: `fd00::/8` has none. `None`: nothing behind it, or no port.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let Some((zone, port)) = text.rsplit_once(':') else { return Some((text, None)) };
    if port.is_empty() {
        return None;
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((text, None));
    }
    port.parse().ok().map(|port| (zone, Some(port)))
}

/// The network in parts whose length is a whole number of labels of `step` bits each.
fn in_labels<I, E>(
    length: u8,
    step: u8,
    subnets: impl Fn(u8) -> Result<I, E>,
) -> impl Iterator<Item = I::Item>
where
    I: Iterator,
{
    subnets(length.div_ceil(step) * step).into_iter().flatten()
}

fn text_v4(net: Ipv4Net) -> String {
    let octets = net.network().octets();
    let labels = octets.iter().take(usize::from(net.prefix_len() / 8)).rev();
    labels.map(|octet| format!("{octet}.")).collect::<String>() + "in-addr.arpa."
}

fn text_v6(net: Ipv6Net) -> String {
    let octets = net.network().octets();
    let nibbles: Vec<u8> = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]).collect();
    let labels = nibbles.iter().take(usize::from(net.prefix_len() / 4)).rev();
    labels.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(zones: Option<Vec<Name>>) -> Vec<String> {
        zones.unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn networks_become_reverse_zones() {
        let cases: &[(&str, &[&str])] = &[
            ("example.org", &["example.org."]),
            ("EXAMPLE.org.", &["example.org."]),
            (".", &["."]),
            ("10.0.0.0/8", &["10.in-addr.arpa."]),
            ("10.9.8.7/8", &["10.in-addr.arpa."]),
            ("0.0.0.0/0", &["in-addr.arpa."]),
            ("10.96.0.0/15", &["96.10.in-addr.arpa.", "97.10.in-addr.arpa."]),
            ("192.0.2.1/32", &["1.2.0.192.in-addr.arpa."]),
            ("2001:db8::/32", &["8.b.d.0.1.0.0.2.ip6.arpa."]),
            ("2001:db8::/31", &["8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."]),
            ("::/0", &["ip6.arpa."]),
            ("cluster.local:53", &["cluster.local."]),
            ("10.0.0.0/24:53", &["0.0.10.in-addr.arpa."]),
            ("", &[]),
            ("a..b", &[]),
            ("example.org:", &[]),
        ];
        for (text, want) in cases {
            assert_eq!(texts(zones(text)), *want, "{text}");
        }
        assert_eq!(zones("10.0.0.0/9").map(|zones| zones.len()), Some(128));
    }

    #[test]
    fn keys_have_scheme_zone_and_port() {
        let cases = [
            (".", "dns", ".", None),
            (".:53", "dns", ".", Some(53)),
            (":1053", "dns", ".", Some(1053)),
            ("dns://example.org:5353", "dns", "example.org.", Some(5353)),
            ("TLS://.", "tls", ".", None),
            ("10.0.0.0/8:54", "dns", "10.in-addr.arpa.", Some(54)),
        ];
        for (text, scheme, zone, port) in cases {
            let key = Key::read(text).unwrap();
            assert_eq!((key.scheme.as_str(), key.port), (scheme, port), "{text}");
            assert_eq!(texts(Some(key.zones)), [zone], "{text}");
        }
        for text in ["a:99999", "a:", "a..b:53"] {
            assert_eq!(Key::read(text), None, "{text}");
        }
    }
}
