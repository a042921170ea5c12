//! Short names for long ones: what chains of one ServicePort are called.

use std::fmt;
use std::net::IpAddr;

use model::{EndpointAddr, ServicePortName};

use crate::hash::sha256;

/// 80 bits that stand for a ServicePort, or for one of its endpoints or VIPs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 10]);

impl Digest {
    /// Of a ServicePort.
    pub fn of_port(name: &ServicePortName) -> Self {
        Self::of(&format!("{name}/{}", name.protocol))
    }

    /// Of one endpoint of a ServicePort.
    pub fn of_endpoint(name: &ServicePortName, endpoint: &EndpointAddr) -> Self {
        Self::of(&format!("{name}/{}/{endpoint}", name.protocol))
    }

    /// Of one VIP of a ServicePort.
    pub fn of_vip(name: &ServicePortName, vip: IpAddr) -> Self {
        Self::of(&format!("{name}/{}/{vip}", name.protocol))
    }

    /// Of the nodePort of a ServicePort.
    pub fn of_node_port(name: &ServicePortName) -> Self {
        Self::of(&format!("{name}/{}/nodePort", name.protocol))
    }

    /// Of any text.
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&sha256(text.as_bytes())[..10]);
        Self(bytes)
    }

    /// From its 16 characters.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut all: u128 = 0;
        for letter in text.bytes() {
            let value = ALPHABET.iter().position(|a| *a == letter)?;
            all = all << 5 | value as u128;
        }
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&all.to_be_bytes()[6..]);
        (text.len() == 16).then_some(Self(bytes))
    }
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl fmt::Display for Digest {
    /// 16 characters of base 32.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.iter().fold(0u128, |all, byte| all << 8 | u128::from(*byte));
        (0..16).rev().try_for_each(|place| {
            let letter = ALPHABET[(all >> (place * 5)) as usize & 31];
            write!(f, "{}", char::from(letter))
        })
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names must not change between versions: an update would rewrite everything.
    #[test]
    fn digests_are_stable() {
        assert_eq!(Digest::of("default/web:http/tcp").to_string().len(), 16);
        let digest = Digest::of("abc");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(digest.to_string(), "XJ4BNP4PAHH6UQKB");
    }
}
