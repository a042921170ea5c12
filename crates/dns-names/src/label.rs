//! Labels that are made: names of endpoints, and addresses with dashes.

use std::io::Write;
use std::net::IpAddr;

use dns_wire::MAX_LABEL;
use model::Endpoint;

/// One label, in lower case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    octets: [u8; MAX_LABEL],
    length: usize,
}

impl Label {
    /// A label of this text. `None`: it is empty, too long, or has a dot.
    fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX_LABEL).contains(&text.len()) && !text.contains('.');
        let mut label = Self { octets: [0; MAX_LABEL], length: text.len() };
        label.octets.get_mut(..text.len()).filter(|_| fits)?.copy_from_slice(text.as_bytes());
        label.octets.make_ascii_lowercase();
        Some(label)
    }

    /// An address with `.` and `:` as dashes, and `0` behind it where it would end in a dash (`fd00-10--0`).
    fn dashed(ip: IpAddr) -> Self {
        let mut octets = [0; MAX_LABEL];
        let mut rest = &mut octets[..];
        // The longest address has 39 characters: it fits.
        let _ = write!(rest, "{ip}");
        let mut length = MAX_LABEL - rest.len();
        octets.iter_mut().filter(|octet| matches!(octet, b'.' | b':')).for_each(|octet| *octet = b'-');
        if length > 0 && octets[length - 1] == b'-' {
            octets[length] = b'0';
            length += 1;
        }
        Self { octets, length }
    }

    /// The name of an endpoint in its Service: its hostname, or else (with `pod_names`) that of its Pod, or else its address with dashes.
    /// A name that is no label does not count.
    pub fn of(endpoint: &Endpoint, pod_names: bool) -> Self {
        let hostname = endpoint.hostname().and_then(Self::new);
        let pod = endpoint.pod().filter(|_| pod_names && hostname.is_none());
        hostname.or_else(|| Self::new(pod?)).unwrap_or_else(|| Self::dashed(endpoint.ip))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// The address that the label of a pod's name stands for: four numbers, or an IPv6 address with its colons as dashes. One that
/// stands for an IPv4 address (`::ffff:a.b.c.d`) is that, as in Go.
pub(crate) fn undashed(label: &[u8]) -> Option<IpAddr> {
    let mut text = [0; MAX_LABEL];
    let text = text.get_mut(..label.len())?;
    let dashes = label.iter().filter(|octet| **octet == b'-').count();
    let v4 = dashes == 3 && !label.windows(2).any(|pair| pair == b"--");
    for (to, from) in text.iter_mut().zip(label) {
        *to = match from {
            b'-' if v4 => b'.',
            b'-' => b':',
            b'.' | b':' => return None,
            other => *other,
        };
    }
    std::str::from_utf8(text).ok()?.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

/// A hash of a label that ignores ASCII case (FNV-1a). Equal hashes mean nothing: what is found by one is compared.
pub(crate) fn hash(octets: &[u8]) -> u32 {
    octets.iter().fold(0x811c_9dc5, |hash, octet| {
        (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use model::EndpointDns;

    use super::*;

    #[test]
    fn an_endpoint_has_one_name() {
        let long = "p".repeat(64);
        type Row<'a> = (Option<&'a str>, Option<&'a str>, &'a str, &'a str, &'a str);
        let table: [Row<'_>; 8] = [
            (Some("db-0"), Some("pod"), "10.0.0.1", "db-0", "db-0"),
            (None, Some("pod"), "10.0.0.1", "10-0-0-1", "pod"),
            (None, None, "fd00:10:244::a1", "fd00-10-244--a1", "fd00-10-244--a1"),
            (None, None, "fd00:10:244:3::", "fd00-10-244-3--0", "fd00-10-244-3--0"),
            (None, Some(&long), "10.0.0.1", "10-0-0-1", "10-0-0-1"),
            (None, Some("a.b"), "10.0.0.1", "10-0-0-1", "10-0-0-1"),
            (Some("a.b"), None, "10.0.0.1", "10-0-0-1", "10-0-0-1"),
            (Some("DB-0"), None, "10.0.0.1", "db-0", "db-0"),
        ];
        for (hostname, pod, ip, plain, with_pods) in table {
            let mut endpoint = Endpoint::new(ip.parse().unwrap());
            let (hostname, pod) = (hostname.map(Into::into), pod.map(Into::into));
            endpoint.dns = EndpointDns { hostname, pod, zone: None }.boxed();
            assert_eq!(Label::of(&endpoint, false).as_bytes(), plain.as_bytes());
            assert_eq!(Label::of(&endpoint, true).as_bytes(), with_pods.as_bytes());
        }
    }

    #[test]
    fn labels_of_pods_are_addresses() {
        let table: [(&[u8], Option<&str>); 13] = [
            (b"10-244-7-7", Some("10.244.7.7")),
            (b"fd00-10-244-5--8", Some("fd00:10:244:5::8")),
            (b"1--1", Some("1::1")),
            (b"0-0-0-0-0-ffff-102-304", Some("1.2.3.4")),
            (b"--ffff-102-304", Some("1.2.3.4")),
            (b"--ffff-1-2-3-4", Some("::ffff:1:2:3:4")),
            (b"256-1-1-1", None),
            (b"1-2-3", None),
            (b"01-2-3-4", None),
            (b"blah", None),
            (b"1.2.3.4", None),
            (b"fd00::1", None),
            (b"\xff-1-1-1", None),
        ];
        for (label, want) in table {
            assert_eq!(undashed(label), want.map(|ip| ip.parse().unwrap()), "{label:?}");
        }
    }
}
