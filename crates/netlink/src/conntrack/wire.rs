//! ctnetlink messages. Names and numbers are those of `linux/netfilter/nfnetlink_conntrack.h`.
//!
//! What the kernel's dump filter does (`ctnetlink_alloc_filter` and `ctnetlink_filter_match_tuple` in
//! `net/netfilter/nf_conntrack_netlink.c`, since 5.8), and what follows for us:
//! * `CTA_FILTER_ORIG_FLAGS` (host byte order) says which parts of `CTA_TUPLE_ORIG` count; each part that counts must
//!   be there, and a port counts only together with the protocol, or else the answer is EINVAL;
//! * the same of `CTA_FILTER_REPLY_FLAGS` and `CTA_TUPLE_REPLY`;
//! * ports are compared for TCP and UDP only, so a filter on SCTP lets every SCTP flow through;
//! * IPv6 addresses are compared the wrong way round (`!ipv6_addr_cmp`, so that equal ones are left out; seen on
//!   6.18.44), so they must not be given to the kernel: protocol and port are;
//! * `CTA_STATUS` with `CTA_STATUS_MASK`: of the bits of the mask exactly those of the status are set (since 6.0; kernels
//!   before let every flow through).

use std::net::IpAddr;

use super::{Account, Counters, Family, Filter, Flow, Tuple};
use crate::Reply;
use crate::attr::{Attrs, Buffer};

const SUBSYSTEM: u16 = 1 << 8;
const CT_NEW: u16 = SUBSYSTEM;
const CT_GET: u16 = SUBSYSTEM | 1;
const CT_DELETE: u16 = SUBSYSTEM | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TIMESTAMP: u16 = 20;
const CTA_FILTER: u16 = 25;
const CTA_STATUS_MASK: u16 = 26;

const CTA_COUNTERS_PACKETS: u16 = 1;
const CTA_COUNTERS_BYTES: u16 = 2;
const CTA_TIMESTAMP_START: u16 = 1;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_SCTP: u16 = 3;
/// `CTA_PROTOINFO_TCP_STATE` and `CTA_PROTOINFO_SCTP_STATE`.
const CTA_PROTOINFO_STATE: u16 = 1;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_TUPLE_ZONE: u16 = 3;

const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;

const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const FLAG_IP_SRC: u32 = 1 << 0;
const FLAG_IP_DST: u32 = 1 << 1;
const FLAG_PROTO_NUM: u32 = 1 << 3;
const FLAG_PROTO_SRC_PORT: u32 = 1 << 4;
const FLAG_PROTO_DST_PORT: u32 = 1 << 5;

const NFGENMSG: usize = 4;
const WITH_PORTS: [i32; 3] = [libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_SCTP];

/// Writes a dump request, with as much of the filter as the kernel applies rightly if `in_kernel`.
pub(super) fn put_dump(buffer: &mut Buffer, filter: &Filter, in_kernel: bool, sequence: u32) {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mark = buffer.begin_message(CT_GET, flags, sequence);
    put_nfgenmsg(buffer, filter.family);
    if in_kernel {
        put_filter(buffer, filter);
    }
    buffer.end_message(mark);
}

/// Writes a deletion of exactly this flow; only a refusal is answered unless `acknowledge`.
pub(super) fn put_delete(buffer: &mut Buffer, flow: &Flow, acknowledge: bool, sequence: u32) {
    let flags = libc::NLM_F_REQUEST | if acknowledge { libc::NLM_F_ACK } else { 0 };
    let mark = buffer.begin_message(CT_DELETE, flags as u16, sequence);
    put_nfgenmsg(buffer, Family::of(flow.original.dst));
    buffer.nested(CTA_TUPLE_ORIG, |b| put_tuple(b, flow.protocol, &flow.original));
    buffer.put_be32(CTA_ID, flow.id);
    if flow.zone != 0 {
        buffer.put(CTA_ZONE, &flow.zone.to_be_bytes());
    }
    buffer.end_message(mark);
}

/// Reads one message of a dump; `None` for flows of other protocols, and for what is no flow.
pub(super) fn flow(reply: &Reply<'_>) -> Option<Flow> {
    if reply.kind != CT_NEW {
        return None;
    }
    flow_of(Attrs(reply.payload.get(NFGENMSG..)?))
}

/// Reads one message of a dump, or news that a flow is gone, with all that the kernel counts.
pub(super) fn account(reply: &Reply<'_>) -> Option<Account> {
    if reply.kind != CT_NEW && reply.kind != CT_DELETE {
        return None;
    }
    let attrs = Attrs(reply.payload.get(NFGENMSG..)?);
    let counters = [CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY].map(|kind| counters(attrs, kind));
    Some(Account {
        flow: flow_of(attrs)?,
        counters: counters[0].zip(counters[1]).map(|(original, reply)| [original, reply]),
        state: state(attrs),
        timeout: attrs.number(CTA_TIMEOUT).filter(|_| reply.kind == CT_NEW),
        started: attrs.find(CTA_TIMESTAMP).and_then(|times| times.nested().number64(CTA_TIMESTAMP_START)),
    })
}

fn counters(attrs: Attrs<'_>, kind: u16) -> Option<Counters> {
    let inside = attrs.find(kind)?.nested();
    let (packets, bytes) = (inside.number64(CTA_COUNTERS_PACKETS)?, inside.number64(CTA_COUNTERS_BYTES)?);
    Some(Counters { packets, bytes })
}

fn state(attrs: Attrs<'_>) -> Option<u8> {
    let info = attrs.find(CTA_PROTOINFO)?.nested();
    let of_protocol = info.find(CTA_PROTOINFO_TCP).or_else(|| info.find(CTA_PROTOINFO_SCTP))?;
    of_protocol.nested().number(CTA_PROTOINFO_STATE)?.try_into().ok()
}

fn flow_of(attrs: Attrs<'_>) -> Option<Flow> {
    let original = attrs.find(CTA_TUPLE_ORIG)?.nested();
    let zone = attrs.number(CTA_ZONE).or_else(|| original.number(CTA_TUPLE_ZONE)).unwrap_or(0);
    Some(Flow {
        protocol: protocol(original)?,
        original: tuple(original)?,
        reply: tuple(attrs.find(CTA_TUPLE_REPLY)?.nested())?,
        zone: u16::try_from(zone).ok()?,
        id: attrs.number(CTA_ID)?,
        status: attrs.number(CTA_STATUS)?,
    })
}

fn put_filter(buffer: &mut Buffer, filter: &Filter) {
    let [original, reply] = KernelPart::both(filter);
    for (kind, part) in [(CTA_TUPLE_ORIG, &original), (CTA_TUPLE_REPLY, &reply)] {
        if part.flags() != 0 {
            buffer.nested(kind, |b| part.put(b));
        }
    }
    if original.flags() | reply.flags() != 0 {
        buffer.nested(CTA_FILTER, |b| {
            for (kind, part) in [(CTA_FILTER_ORIG_FLAGS, &original), (CTA_FILTER_REPLY_FLAGS, &reply)] {
                if part.flags() != 0 {
                    b.put(kind, &part.flags().to_ne_bytes());
                }
            }
        });
    }
    if filter.status != 0 {
        buffer.put_be32(CTA_STATUS, filter.status);
        buffer.put_be32(CTA_STATUS_MASK, filter.status);
    }
}

/// The part of a filter that is left to the kernel, of one direction.
#[derive(Default)]
struct KernelPart {
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    protocol: Option<u8>,
    sport: Option<u16>,
    dport: Option<u16>,
}

impl KernelPart {
    /// Of the original direction and of the replies.
    fn both(filter: &Filter) -> [Self; 2] {
        let original = Self {
            src: filter.original_src.filter(IpAddr::is_ipv4),
            dst: filter.original_dst.filter(IpAddr::is_ipv4),
            protocol: filter.protocol,
            dport: filter.protocol.and(filter.original_dport),
            ..Self::default()
        };
        let sport = filter.protocol.and(filter.reply_sport);
        let reply = Self {
            src: filter.reply_src.filter(IpAddr::is_ipv4),
            protocol: filter.protocol.filter(|_| sport.is_some()),
            sport,
            ..Self::default()
        };
        [original, reply]
    }

    fn flags(&self) -> u32 {
        let flag = |present: bool, flag: u32| if present { flag } else { 0 };
        flag(self.src.is_some(), FLAG_IP_SRC)
            | flag(self.dst.is_some(), FLAG_IP_DST)
            | flag(self.protocol.is_some(), FLAG_PROTO_NUM)
            | flag(self.sport.is_some(), FLAG_PROTO_SRC_PORT)
            | flag(self.dport.is_some(), FLAG_PROTO_DST_PORT)
    }

    fn put(&self, buffer: &mut Buffer) {
        if self.src.or(self.dst).is_some() {
            buffer.nested(CTA_TUPLE_IP, |b| {
                self.src.into_iter().for_each(|ip| put_ip(b, CTA_IP_V4_SRC, CTA_IP_V6_SRC, ip));
                self.dst.into_iter().for_each(|ip| put_ip(b, CTA_IP_V4_DST, CTA_IP_V6_DST, ip));
            });
        }
        if let Some(protocol) = self.protocol {
            buffer.nested(CTA_TUPLE_PROTO, |b| put_protocol(b, protocol, self.sport, self.dport));
        }
    }
}

fn put_nfgenmsg(buffer: &mut Buffer, family: Family) {
    let family = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    buffer.raw(&[family as u8, 0, 0, 0]);
}

fn put_tuple(buffer: &mut Buffer, protocol: u8, tuple: &Tuple) {
    buffer.nested(CTA_TUPLE_IP, |b| {
        put_ip(b, CTA_IP_V4_SRC, CTA_IP_V6_SRC, tuple.src);
        put_ip(b, CTA_IP_V4_DST, CTA_IP_V6_DST, tuple.dst);
    });
    buffer.nested(CTA_TUPLE_PROTO, |b| put_protocol(b, protocol, Some(tuple.sport), Some(tuple.dport)));
}

fn put_ip(buffer: &mut Buffer, v4: u16, v6: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => buffer.put(v4, &ip.octets()),
        IpAddr::V6(ip) => buffer.put(v6, &ip.octets()),
    }
}

fn put_protocol(buffer: &mut Buffer, protocol: u8, sport: Option<u16>, dport: Option<u16>) {
    buffer.put(CTA_PROTO_NUM, &[protocol]);
    if let Some(port) = sport {
        buffer.put(CTA_PROTO_SRC_PORT, &port.to_be_bytes());
    }
    if let Some(port) = dport {
        buffer.put(CTA_PROTO_DST_PORT, &port.to_be_bytes());
    }
}

fn protocol(tuple: Attrs<'_>) -> Option<u8> {
    let number = tuple.find(CTA_TUPLE_PROTO)?.nested().number(CTA_PROTO_NUM)?;
    WITH_PORTS.iter().any(|p| *p as u32 == number).then_some(number as u8)
}

fn tuple(attrs: Attrs<'_>) -> Option<Tuple> {
    let ip = attrs.find(CTA_TUPLE_IP)?.nested();
    let ports = attrs.find(CTA_TUPLE_PROTO)?.nested();
    let port = |kind| u16::try_from(ports.number(kind)?).ok();
    Some(Tuple {
        src: address(ip, CTA_IP_V4_SRC, CTA_IP_V6_SRC)?,
        dst: address(ip, CTA_IP_V4_DST, CTA_IP_V6_DST)?,
        sport: port(CTA_PROTO_SRC_PORT)?,
        dport: port(CTA_PROTO_DST_PORT)?,
    })
}

fn address(attrs: Attrs<'_>, v4: u16, v6: u16) -> Option<IpAddr> {
    if let Some(attr) = attrs.find(v4) {
        return <[u8; 4]>::try_from(attr.payload).ok().map(IpAddr::from);
    }
    <[u8; 16]>::try_from(attrs.find(v6)?.payload).ok().map(IpAddr::from)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
