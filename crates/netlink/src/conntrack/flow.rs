//! Flows and filters as values.

use std::net::IpAddr;

const IPS_DST_NAT: u32 = 1 << 5;

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port, in host byte order.
    pub sport: u16,
    /// Destination port, in host byte order.
    pub dport: u16,
}

/// A tracked TCP, UDP or SCTP flow (`enum ctattr_type` in `linux/netfilter/nfnetlink_conntrack.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The protocol number of the IP header: 6, 17 or 132.
    pub protocol: u8,
    /// What the first packet had before any translation.
    pub original: Tuple,
    /// What answers have when they arrive; its source is the endpoint that was chosen.
    pub reply: Tuple,
    /// The conntrack zone of the original direction; 0 is the default one.
    pub zone: u16,
    /// The kernel's id of the flow. Opaque.
    pub id: u32,
    /// `enum ip_conntrack_status` in `linux/netfilter/nf_conntrack_common.h`.
    pub status: u32,
}

impl Flow {
    /// Whether the destination is translated (`IPS_DST_NAT`). The kernel sets this only where translation
    /// changed something: a flow that met a `dnat` rule to its own destination is not one.
    pub fn is_dnat(&self) -> bool {
        self.status & IPS_DST_NAT != 0
    }
}

/// Which flows to dump; `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The IP family.
    pub family: Family,
    /// The protocol number of the IP header.
    pub protocol: Option<u8>,
    /// The destination of the original direction: what the client addressed.
    pub original_dst: Option<IpAddr>,
    /// The destination port of the original direction.
    pub original_dport: Option<u16>,
}

impl Filter {
    /// Every flow of a family.
    pub fn all(family: Family) -> Self {
        Self { family, protocol: None, original_dst: None, original_dport: None }
    }

    /// Whether a flow passes.
    pub fn matches(&self, flow: &Flow) -> bool {
        let Tuple { dst, dport, .. } = flow.original;
        Family::of(dst) == self.family
            && self.protocol.is_none_or(|wanted| wanted == flow.protocol)
            && self.original_dst.is_none_or(|wanted| wanted == dst)
            && self.original_dport.is_none_or(|wanted| wanted == dport)
    }

    /// Whether no flow can pass: an address of the other family.
    pub(super) fn is_contradiction(&self) -> bool {
        self.original_dst.is_some_and(|ip| Family::of(ip) != self.family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let original = Tuple {
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.96.0.10".parse().unwrap(),
            sport: 40_000,
            dport: 53,
        };
        Flow { protocol: 17, original, reply: original, zone: 0, id: 7, status: 0x1aa }
    }

    #[test]
    fn each_field_of_a_filter_counts() {
        let exact = Filter {
            protocol: Some(17),
            original_dst: Some(flow().original.dst),
            original_dport: Some(53),
            ..Filter::all(Family::V4)
        };
        assert!(Filter::all(Family::V4).matches(&flow()));
        assert!(exact.matches(&flow()));
        for other in [
            Filter { family: Family::V6, ..exact },
            Filter { protocol: Some(6), ..exact },
            Filter { original_dst: Some("10.96.0.11".parse().unwrap()), ..exact },
            Filter { original_dport: Some(54), ..exact },
        ] {
            assert!(!other.matches(&flow()), "{other:?}");
        }
    }

    #[test]
    fn an_address_of_the_other_family_contradicts() {
        let ip = Some("fd00::1".parse().unwrap());
        assert!(Filter { original_dst: ip, ..Filter::all(Family::V4) }.is_contradiction());
        assert!(!Filter { original_dst: ip, ..Filter::all(Family::V6) }.is_contradiction());
    }

    #[test]
    fn dnat_is_bit_five() {
        assert!(flow().is_dnat());
        assert!(!Flow { status: 0x18a, ..flow() }.is_dnat());
    }
}
