//! ipset messages. Names and numbers are those of `linux/netfilter/ipset/ip_set.h`; what the kernel makes of them is
//! in `net/netfilter/ipset/ip_set_core.c`. Numbers are in network byte order.

use std::net::IpAddr;

use super::{Member, Set};
use crate::Reply;
use crate::attr::{Attr, Attrs, Buffer};
use crate::conntrack::Family;

const SUBSYSTEM: u16 = 6 << 8;
const CMD_PROTOCOL: u16 = SUBSYSTEM | 1;
const CMD_DESTROY: u16 = SUBSYSTEM | 3;
const CMD_LIST: u16 = SUBSYSTEM | 7;

const ATTR_PROTOCOL: u16 = 1;
const ATTR_SETNAME: u16 = 2;
const ATTR_TYPENAME: u16 = 3;
const ATTR_FAMILY: u16 = 5;
const ATTR_FLAGS: u16 = 6;
const ATTR_DATA: u16 = 7;
const ATTR_ADT: u16 = 8;
const ATTR_PROTOCOL_MIN: u16 = 10;

const DATA_IP: u16 = 1;
const DATA_CIDR: u16 = 3;
const DATA_PORT: u16 = 4;
const DATA_PROTO: u16 = 7;
const DATA_IP2: u16 = 20;
const DATA_CIDR2: u16 = 21;
const HEADER_REFERENCES: u16 = 25;

const IPADDR_IPV4: u16 = 1;
const IPADDR_IPV6: u16 = 2;

const FLAG_LIST_HEADER: u32 = 1 << 2;
const NFGENMSG: usize = 4;

/// The newest protocol that is spoken here.
pub(super) const NEWEST: u8 = 7;

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// The protocol's versions.
    Protocol,
    /// All sets without their members.
    Headers,
    /// One set with its members.
    Members(&'a str),
    /// Destroy one set.
    Destroy(&'a str),
}

/// Writes a question; lists are asked for as dumps, anything else with an acknowledgement.
pub(super) fn put_question(buffer: &mut Buffer, protocol: u8, question: Question<'_>, sequence: u32) {
    let (kind, flag) = match question {
        Question::Protocol => (CMD_PROTOCOL, libc::NLM_F_ACK),
        Question::Headers | Question::Members(_) => (CMD_LIST, libc::NLM_F_DUMP),
        // Without NLM_F_EXCL newer kernels are content where there is no such set (`flag_exist`).
        Question::Destroy(_) => (CMD_DESTROY, libc::NLM_F_ACK | libc::NLM_F_EXCL),
    };
    let mark = buffer.begin_message(kind, (libc::NLM_F_REQUEST | flag) as u16, sequence);
    buffer.raw(&[libc::AF_INET as u8, 0, 0, 0]);
    buffer.put(ATTR_PROTOCOL, &[protocol]);
    match question {
        Question::Protocol => {}
        Question::Headers => buffer.put_be32(ATTR_FLAGS, FLAG_LIST_HEADER),
        Question::Members(name) | Question::Destroy(name) => buffer.put_str(ATTR_SETNAME, name),
    }
    buffer.end_message(mark);
}

/// Reads the oldest and the newest protocol that the kernel speaks. Kernels before 4.20 know one only.
pub(super) fn protocols(reply: &Reply<'_>) -> Option<(u8, u8)> {
    let attrs = attributes(reply, CMD_PROTOCOL)?;
    let newest = attrs.number(ATTR_PROTOCOL)?;
    let oldest = attrs.number(ATTR_PROTOCOL_MIN).unwrap_or(newest);
    Some((oldest.try_into().ok()?, newest.try_into().ok()?))
}

/// Reads the header of a set; `None` for other messages.
pub(super) fn set(reply: &Reply<'_>) -> Option<Set> {
    let attrs = attributes(reply, CMD_LIST)?;
    let details = attrs.find(ATTR_DATA).map(|a| a.nested());
    Some(Set {
        name: attrs.text(ATTR_SETNAME)?.to_owned(),
        kind: attrs.text(ATTR_TYPENAME)?.to_owned(),
        family: attrs.number(ATTR_FAMILY).and_then(family),
        references: details.and_then(|d| d.number(HEADER_REFERENCES)).unwrap_or(0),
    })
}

/// Reads the members in one part of a list.
pub(super) fn members<'a>(reply: &Reply<'a>) -> impl Iterator<Item = Member> + use<'a> {
    let all = attributes(reply, CMD_LIST).and_then(|attrs| attrs.find(ATTR_ADT));
    let all = all.map(|a| a.nested()).into_iter().flatten();
    all.filter(|attr| attr.kind == ATTR_DATA).map(|attr| member(attr.nested()))
}

fn attributes<'a>(reply: &Reply<'a>, kind: u16) -> Option<Attrs<'a>> {
    (reply.kind == kind).then(|| reply.payload.get(NFGENMSG..).map(Attrs))?
}

fn member(attrs: Attrs<'_>) -> Member {
    let small = |kind| attrs.number(kind).and_then(|n| n.try_into().ok());
    Member {
        ip: attrs.find(DATA_IP).and_then(address),
        cidr: small(DATA_CIDR),
        port: attrs.number(DATA_PORT).and_then(|n| n.try_into().ok()),
        protocol: small(DATA_PROTO),
        ip2: attrs.find(DATA_IP2).and_then(address),
        cidr2: small(DATA_CIDR2),
    }
}

fn address(attr: Attr<'_>) -> Option<IpAddr> {
    let attrs = attr.nested();
    if let Some(ip) = attrs.find(IPADDR_IPV4) {
        return <[u8; 4]>::try_from(ip.payload).ok().map(IpAddr::from);
    }
    <[u8; 16]>::try_from(attrs.find(IPADDR_IPV6)?.payload).ok().map(IpAddr::from)
}

/// bitmap:port has none.
fn family(number: u32) -> Option<Family> {
    match number as i32 {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
