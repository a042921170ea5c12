//! Addresses, endpoints and prefixes from the bytes of registers and elements.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use model::{EndpointAddr, IpFamily};
use netlink::nft::ForeignElement;

/// An address of the family from its bytes; fewer bytes are the first ones.
pub(super) fn address(family: IpFamily, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        IpFamily::V4 => padded::<4>(bytes).map(IpAddr::from),
        IpFamily::V6 => padded::<16>(bytes).map(IpAddr::from),
    }
}

fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut all = [0; N];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(all)
}

/// An endpoint: address and port, each padded to four bytes.
pub(super) fn endpoint(family: IpFamily, bytes: &[u8]) -> Option<EndpointAddr> {
    let (ip, port) = bytes.split_at_checked(usize::from(family.bits() / 8))?;
    let port = u16::from_be_bytes([*port.first()?, *port.get(1)?]);
    Some(EndpointAddr { ip: address(family, ip)?, port })
}

/// The prefix that a comparison of whole bytes, or of masked ones, means.
pub(super) fn prefix(family: IpFamily, value: &[u8], mask: Option<&[u8]>) -> Option<IpNet> {
    let length = match mask {
        None => value.len() as u32 * 8,
        Some(mask) => mask.iter().map(|byte| byte.count_ones()).sum(),
    };
    IpNet::new(address(family, value)?, u8::try_from(length).ok()?).ok()
}

/// The prefixes of a set: of single addresses, or of intervals as pairs of a first key and the first one behind.
pub(super) fn ranges(family: IpFamily, elements: &[ForeignElement]) -> Vec<IpNet> {
    if !elements.iter().any(|e| e.ends_interval) {
        let single = elements.iter().filter_map(|e| address(family, &e.element.key));
        return single.map(IpNet::from).collect();
    }
    let mut sorted: Vec<&ForeignElement> = elements.iter().collect();
    // Where one interval ends and the next begins, the end comes first.
    sorted.sort_by(|a, b| a.element.key.cmp(&b.element.key).then(b.ends_interval.cmp(&a.ends_interval)));
    let mut nets = Vec::new();
    for (i, first) in sorted.iter().enumerate().filter(|(_, e)| !e.ends_interval) {
        let Some(from) = address(family, &first.element.key) else { continue };
        let behind = sorted.get(i + 1).and_then(|e| address(family, &e.element.key));
        nets.extend(subnets(from, behind));
    }
    nets
}

/// All prefixes from `first` up to the address before `behind`, or up to the last one.
fn subnets(first: IpAddr, behind: Option<IpAddr>) -> Vec<IpNet> {
    match (first, behind) {
        (IpAddr::V4(first), behind) => {
            let last = match behind {
                Some(IpAddr::V4(ip)) => u32::from(ip).wrapping_sub(1),
                _ => u32::MAX,
            };
            Ipv4Subnets::new(first, last.into(), 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), behind) => {
            let last = match behind {
                Some(IpAddr::V6(ip)) => u128::from(ip).wrapping_sub(1),
                _ => u128::MAX,
            };
            Ipv6Subnets::new(first, last.into(), 0).map(IpNet::V6).collect()
        }
    }
}
