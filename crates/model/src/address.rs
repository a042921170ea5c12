//! Reading addresses as the Kubernetes API has always accepted them.
//!
//! Old objects may spell IPv4 octets and prefix lengths with leading zeros; Kubernetes reads these as
//! decimal (`172.30.0.041` is `172.30.0.41`). Everything that leaves this module is canonical.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// A text that is no address or no prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// The text as it was found.
    pub text: String,
    /// What was expected there: "an IP address" or "a CIDR".
    pub expected: &'static str,
}

impl std::fmt::Display for AddressError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not {}", self.text, self.expected)
    }
}

impl std::error::Error for AddressError {}

/// Parses an IPv4 or IPv6 address; surrounding spaces and leading zeros of IPv4 octets are allowed.
/// An IPv4-mapped IPv6 address becomes the IPv4 address, as in Go's `net.ParseIP`.
pub fn parse_ip(text: &str) -> Result<IpAddr, AddressError> {
    let trimmed = text.trim();
    trimmed
        .parse::<IpAddr>()
        .ok()
        .map(|ip| ip.to_canonical())
        .or_else(|| sloppy_v4(trimmed).map(IpAddr::V4))
        .ok_or_else(|| AddressError { text: text.to_owned(), expected: "an IP address" })
}

/// Parses a CIDR, with the same tolerance as [`parse_ip`]; host bits are cleared.
pub fn parse_net(text: &str) -> Result<IpNet, AddressError> {
    let error = || AddressError { text: text.to_owned(), expected: "a CIDR" };
    let (ip, length) = text.trim().split_once('/').ok_or_else(error)?;
    let ip = parse_ip(ip).map_err(|_| error())?;
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    let length: u8 = length.parse().map_err(|_| error())?;
    IpNet::new(ip, length).map(|net| net.trunc()).map_err(|_| error())
}

fn sloppy_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_are_decimal() {
        assert_eq!(parse_ip("172.30.0.041").unwrap().to_string(), "172.30.0.41");
        assert_eq!(parse_ip(" 10.180.00.001 ").unwrap().to_string(), "10.180.0.1");
        assert_eq!(parse_net(" 203.0.113.000/025").unwrap().to_string(), "203.0.113.0/25");
    }

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!(parse_net("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(parse_net("fd00::1/64").unwrap().to_string(), "fd00::/64");
    }

    #[test]
    fn refusals_name_the_text() {
        for bad in ["", "10.0.0", "10.0.0.256", "10.0.0.0.1", "0x1.0.0.0", "fd00::zz"] {
            assert_eq!(parse_ip(bad).unwrap_err().text, bad);
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "/8"] {
            assert_eq!(parse_net(bad).unwrap_err().text, bad);
        }
    }
}
