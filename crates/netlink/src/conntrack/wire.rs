//! ctnetlink messages. Names and numbers are those of `linux/netfilter/nfnetlink_conntrack.h`.
//!
//! What the kernel's dump filter does (`ctnetlink_alloc_filter` and `ctnetlink_filter_match_tuple` in
//! `net/netfilter/nf_conntrack_netlink.c`, since 5.8), and what follows for us:
//! * `CTA_FILTER_ORIG_FLAGS` (host byte order) says which parts of `CTA_TUPLE_ORIG` count; each part that counts must
//!   be there, and a port counts only together with the protocol, or else the answer is EINVAL;
//! * ports are compared for TCP and UDP only, so a filter on SCTP lets every SCTP flow through;
//! * IPv6 addresses are compared the wrong way round (`!ipv6_addr_cmp`, so that equal ones are left out; seen on
//!   6.18.44), so they must not be given to the kernel: protocol and port are.

use std::net::IpAddr;

use super::{Family, Filter, Flow, Tuple};
use crate::Reply;
use crate::attr::{Attrs, Buffer};

const SUBSYSTEM: u16 = 1 << 8;
const CT_NEW: u16 = SUBSYSTEM;
const CT_GET: u16 = SUBSYSTEM | 1;
const CT_DELETE: u16 = SUBSYSTEM | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;

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
const FLAG_IP_DST: u32 = 1 << 1;
const FLAG_PROTO_NUM: u32 = 1 << 3;
const FLAG_PROTO_DST_PORT: u32 = 1 << 5;

const NFGENMSG: usize = 4;
const WITH_PORTS: [i32; 3] = [libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_SCTP];

/// Writes a dump request, with as much of the filter as the kernel applies rightly if `in_kernel`.
pub(super) fn put_dump(buffer: &mut Buffer, filter: &Filter, in_kernel: bool, sequence: u32) {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mark = buffer.begin_message(CT_GET, flags, sequence);
    put_nfgenmsg(buffer, filter.family);
    let part = KernelPart::of(filter);
    if in_kernel && part.flags() != 0 {
        buffer.nested(CTA_TUPLE_ORIG, |b| part.put(b));
        buffer.nested(CTA_FILTER, |b| b.put(CTA_FILTER_ORIG_FLAGS, &part.flags().to_ne_bytes()));
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
    let attrs = Attrs(reply.payload.get(NFGENMSG..)?);
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

/// The part of a filter that is left to the kernel.
struct KernelPart {
    dst: Option<IpAddr>,
    protocol: Option<u8>,
    dport: Option<u16>,
}

impl KernelPart {
    fn of(filter: &Filter) -> Self {
        Self {
            dst: filter.original_dst.filter(IpAddr::is_ipv4),
            protocol: filter.protocol,
            dport: filter.protocol.and(filter.original_dport),
        }
    }

    fn flags(&self) -> u32 {
        let flag = |present: bool, flag: u32| if present { flag } else { 0 };
        flag(self.dst.is_some(), FLAG_IP_DST)
            | flag(self.protocol.is_some(), FLAG_PROTO_NUM)
            | flag(self.dport.is_some(), FLAG_PROTO_DST_PORT)
    }

    fn put(&self, buffer: &mut Buffer) {
        if let Some(dst) = self.dst {
            buffer.nested(CTA_TUPLE_IP, |b| put_ip(b, CTA_IP_V4_DST, CTA_IP_V6_DST, dst));
        }
        if let Some(protocol) = self.protocol {
            buffer.nested(CTA_TUPLE_PROTO, |b| put_protocol(b, protocol, None, self.dport));
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
