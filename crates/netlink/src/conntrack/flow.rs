//! Flows and filters as values.

use std::net::IpAddr;

/// The source is translated (`IPS_SRC_NAT`).
pub const SRC_NAT: u32 = 1 << 4;
/// The destination is translated (`IPS_DST_NAT`).
pub const DST_NAT: u32 = 1 << 5;
/// Packets went both ways (`IPS_SEEN_REPLY`).
pub const SEEN_REPLY: u32 = 1 << 1;

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
        self.status & DST_NAT != 0
    }

    /// Whether the source is translated (`IPS_SRC_NAT`): the endpoint sees another address than the client's.
    pub fn is_snat(&self) -> bool {
        self.status & SRC_NAT != 0
    }

    /// Whether the endpoint has answered (`IPS_SEEN_REPLY`).
    pub fn is_answered(&self) -> bool {
        self.status & SEEN_REPLY != 0
    }
}

/// What one direction of a flow has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP headers included.
    pub bytes: u64,
}

/// A flow with what the kernel counts and knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// The flow.
    pub flow: Flow,
    /// What the original direction and the replies have carried; `None` where `nf_conntrack_acct` was off when the flow
    /// began.
    pub counters: Option<[Counters; 2]>,
    /// The state of its protocol: `enum tcp_conntrack` of `linux/netfilter/nf_conntrack_tcp.h`, or `enum sctp_conntrack`
    /// of `nf_conntrack_sctp.h`. UDP has none.
    pub state: Option<u8>,
    /// Seconds until it is forgotten, if no further packet comes; `None` in news that it is gone.
    pub timeout: Option<u32>,
    /// When it began, in nanoseconds since 1970; `None` where `nf_conntrack_timestamp` was off.
    pub started: Option<u64>,
}

/// Which flows to dump; `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The IP family.
    pub family: Family,
    /// The protocol number of the IP header.
    pub protocol: Option<u8>,
    /// The destination of the original direction: what the client addressed.
    pub original_dst: Option<IpAddr>,
    /// The destination port of the original direction.
    pub original_dport: Option<u16>,
    /// The source of the original direction: the client.
    pub original_src: Option<IpAddr>,
    /// The source of the replies: the endpoint.
    pub reply_src: Option<IpAddr>,
    /// The source port of the replies.
    pub reply_sport: Option<u16>,
    /// Bits of [`Flow::status`] that must be set, as [`DST_NAT`]; 0 is any.
    pub status: u32,
}

impl Filter {
    /// Every flow of a family.
    pub fn all(family: Family) -> Self {
        Self {
            family,
            protocol: None,
            original_dst: None,
            original_dport: None,
            original_src: None,
            reply_src: None,
            reply_sport: None,
            status: 0,
        }
    }

    /// Whether a flow passes.
    pub fn matches(&self, flow: &Flow) -> bool {
        let Tuple { src, dst, dport, .. } = flow.original;
        Family::of(dst) == self.family
            && flow.status & self.status == self.status
            && is(self.protocol, flow.protocol)
            && is(self.original_dst, dst)
            && is(self.original_dport, dport)
            && is(self.original_src, src)
            && is(self.reply_src, flow.reply.src)
            && is(self.reply_sport, flow.reply.sport)
    }

    /// Whether no flow can pass: an address of the other family.
    pub(super) fn is_contradiction(&self) -> bool {
        let ips = [self.original_dst, self.original_src, self.reply_src];
        ips.into_iter().flatten().any(|ip| Family::of(ip) != self.family)
    }
}

fn is<T: PartialEq>(wanted: Option<T>, value: T) -> bool {
    wanted.is_none_or(|wanted| wanted == value)
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
            original_src: Some(flow().original.src),
            reply_src: Some(flow().reply.src),
            reply_sport: Some(flow().reply.sport),
            status: DST_NAT,
            ..Filter::all(Family::V4)
        };
        assert!(Filter::all(Family::V4).matches(&flow()));
        assert!(exact.matches(&flow()));
        for other in [
            Filter { family: Family::V6, ..exact },
            Filter { protocol: Some(6), ..exact },
            Filter { original_dst: Some("10.96.0.11".parse().unwrap()), ..exact },
            Filter { original_dport: Some(54), ..exact },
            Filter { original_src: Some("10.0.0.2".parse().unwrap()), ..exact },
            Filter { reply_src: Some("10.0.0.2".parse().unwrap()), ..exact },
            Filter { reply_sport: Some(1), ..exact },
            Filter { status: DST_NAT | SRC_NAT, ..exact },
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
