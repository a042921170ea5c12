//! Dispatch: how a packet finds the rule of its frontend without walking all of them.
//!
//! ```text
//! VIPs       root --last hexadecimal digit--> VIP-4 --the digit before--> VIP-a4 --address, protocol, port--> ...
//! nodePorts  NODEPORTS --protocol, first digit--> NP-tcp-7 --second--> NP-tcp-75 --third--> NP-tcp-753 --port--> ...
//! ```
//!
//! The last byte of an address is uniform both for addresses drawn at random and for addresses counted up. There are
//! at most 272 chains for VIPs, however many Services there are. A first packet walks at most 32 rules to a leaf of
//! VIPs, and at most 96 to the rule of a nodePort, were all 65,535 taken for each protocol.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use model::{IpFamily, Protocol};

use crate::names::{ChainId, Tree};
use crate::objects::{Entry, Key, Value};
use crate::rule::Rule;

/// The chains and rules that lead to a VIP's leaf, and the leaf.
pub fn vip_path(tree: Tree, vip: IpAddr) -> (Vec<(Key, Value)>, ChainId) {
    let family = IpFamily::of(vip);
    let (high, low) = (last_byte(vip) >> 4, last_byte(vip) & 15);
    let branch = ChainId::Vips { tree, low, high: None };
    let leaf = ChainId::Vips { tree, low, high: Some(high) };
    let objects = vec![
        head(family, &branch),
        digit(family, ChainId::Root(tree), low, 0, &branch),
        head(family, &leaf),
        digit(family, branch, high, 4, &leaf),
    ];
    (objects, leaf)
}

/// The chains and rules that lead to a nodePort's leaf, and the leaf.
pub fn port_path(
    tree: Tree,
    family: IpFamily,
    protocol: Protocol,
    port: u16,
) -> (Vec<(Key, Value)>, ChainId) {
    let mut objects = Vec::with_capacity(6);
    let mut above = ChainId::Ports(tree);
    for digits in 1..=3u8 {
        let shift = 16 - 4 * u16::from(digits);
        let prefix = port >> shift;
        let chain = ChainId::PortRange { tree, protocol, digits, prefix };
        let first = prefix << shift;
        let rule =
            Rule::new().protocol(protocol).ports(protocol, first, first | ((1 << shift) - 1)).jump(&chain);
        objects.push(head(family, &chain));
        objects.push((Key::new(family, above, Entry::Range(protocol, digits, prefix)), Arc::from(rule)));
        above = chain;
    }
    (objects, above)
}

/// A shared chain.
pub fn head(family: IpFamily, chain: &ChainId) -> (Key, Value) {
    (Key::new(family, chain.clone(), Entry::Head), Arc::from(""))
}

fn digit(family: IpFamily, from: ChainId, digit: u8, shift: u8, to: &ChainId) -> (Key, Value) {
    let address = |byte: u8| match family {
        IpFamily::V4 => IpAddr::from(Ipv4Addr::new(0, 0, 0, byte)),
        IpFamily::V6 => IpAddr::from(Ipv6Addr::from(u128::from(byte))),
    };
    let rule = Rule::new().masked(address(digit << shift), address(15 << shift)).jump(to);
    (Key::new(family, from, Entry::Digit(digit)), Arc::from(rule))
}

fn last_byte(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(objects: &[(Key, Value)]) -> Vec<String> {
        objects.iter().map(|(key, value)| format!("{} {value}", key.place.chain)).collect()
    }

    #[test]
    fn a_vip_is_found_by_its_last_byte() {
        for (ip, want) in [
            (
                "10.96.0.20",
                [
                    "TOWPATH-VIP-4 ",
                    "TOWPATH-SERVICES -d 0.0.0.4/0.0.0.15 -j TOWPATH-VIP-4",
                    "TOWPATH-VIP-14 ",
                    "TOWPATH-VIP-4 -d 0.0.0.16/0.0.0.240 -j TOWPATH-VIP-14",
                ],
            ),
            (
                "fd00::a0",
                [
                    "TOWPATH-VIP-0 ",
                    "TOWPATH-SERVICES -d ::/::f -j TOWPATH-VIP-0",
                    "TOWPATH-VIP-a0 ",
                    "TOWPATH-VIP-0 -d ::a0/::f0 -j TOWPATH-VIP-a0",
                ],
            ),
        ] {
            let (objects, leaf) = vip_path(Tree::Served, ip.parse().unwrap());
            assert_eq!(show(&objects), want);
            assert_eq!(leaf, objects[2].0.place.chain);
        }
    }

    #[test]
    fn a_port_is_found_by_its_digits() {
        let (objects, leaf) = port_path(Tree::Idle, IpFamily::V4, Protocol::Udp, 30_080);
        let want = [
            "TOWPATH-IDLE-NP-udp-7 ",
            "TOWPATH-IDLE-NODEPORTS -p udp -m udp --dport 28672:32767 -j TOWPATH-IDLE-NP-udp-7",
            "TOWPATH-IDLE-NP-udp-75 ",
            "TOWPATH-IDLE-NP-udp-7 -p udp -m udp --dport 29952:30207 -j TOWPATH-IDLE-NP-udp-75",
            "TOWPATH-IDLE-NP-udp-758 ",
            "TOWPATH-IDLE-NP-udp-75 -p udp -m udp --dport 30080:30095 -j TOWPATH-IDLE-NP-udp-758",
        ];
        assert_eq!(show(&objects), want);
        assert_eq!(leaf.to_string(), "TOWPATH-IDLE-NP-udp-758");
        let (last, _) = port_path(Tree::Served, IpFamily::V6, Protocol::Tcp, 65_535);
        assert!(last[5].1.contains("65520:65535"), "{}", last[5].1);
        let (first, _) = port_path(Tree::Served, IpFamily::V6, Protocol::Tcp, 1);
        assert!(first[1].1.contains(" 0:4095 "), "{}", first[1].1);
    }
}
