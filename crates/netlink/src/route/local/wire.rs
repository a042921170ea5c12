//! Local routes as messages, and back.

use std::net::IpAddr;

use super::{LocalRoute, RouteOwner};
use crate::Reply;
use crate::attr::{Attrs, Buffer};
use crate::conntrack::Family;
use crate::route::ip;

/// Size of a `struct rtmsg`: family, prefix, source's prefix, TOS, table, protocol, scope, type, and four of flags.
const RTMSG: usize = 12;
/// `lo` has this index in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// Asks for the list of our routes of a family.
pub(super) fn put_list(buffer: &mut Buffer, owner: RouteOwner, family: Family, sequence: u32) {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mark = buffer.begin_message(libc::RTM_GETROUTE, flags, sequence);
    put_rtmsg(buffer, owner, family, 0, 0);
    buffer.end_message(mark);
}

/// The body of a message that adds one (`RTM_NEWROUTE`) or deletes one. A deletion names no source: it means whichever
/// the route has.
pub(super) fn put_route(buffer: &mut Buffer, owner: RouteOwner, kind: u16, route: &LocalRoute) {
    let family = Family::of(route.address);
    let scope = if family == Family::V4 { libc::RT_SCOPE_HOST } else { 0 };
    put_rtmsg(buffer, owner, family, route.prefix, scope);
    put_ip(buffer, libc::RTA_DST, route.address);
    buffer.put_u32(libc::RTA_OIF, LOOPBACK);
    buffer.put_u32(libc::RTA_PRIORITY, metric(owner));
    if let Some(source) = route.source.filter(|_| kind == libc::RTM_NEWROUTE) {
        put_ip(buffer, libc::RTA_PREFSRC, source);
    }
}

/// Another than the kernel's own (0), so that one of ours never takes the place of one of the kernel's.
fn metric(owner: RouteOwner) -> u32 {
    owner.number().into()
}

fn put_rtmsg(buffer: &mut Buffer, owner: RouteOwner, family: Family, prefix: u8, scope: u8) {
    let family = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    buffer.raw(&[family as u8, prefix, 0, 0]);
    buffer.raw(&[libc::RT_TABLE_LOCAL, owner.number(), scope, libc::RTN_LOCAL]);
    buffer.raw(&[0; 4]);
}

fn put_ip(buffer: &mut Buffer, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => buffer.put(kind, &ip.octets()),
        IpAddr::V6(ip) => buffer.put(kind, &ip.octets()),
    }
}

/// Whether it tells of a route of ours.
pub(super) fn is_ours(reply: &Reply<'_>, owner: RouteOwner) -> bool {
    let is_route = matches!(reply.kind, libc::RTM_NEWROUTE | libc::RTM_DELROUTE);
    let ours = [libc::RT_TABLE_LOCAL, owner.number()];
    is_route && reply.payload.len() >= RTMSG && reply.payload[4..6] == ours
}

/// Reads one of ours out of a list; `None` for other routes and other messages.
pub(super) fn route(reply: &Reply<'_>, owner: RouteOwner) -> Option<LocalRoute> {
    let (header, rest) = reply.payload.split_first_chunk::<RTMSG>()?;
    let [family, prefix, .., kind, _, _, _, _] = *header;
    if reply.kind != libc::RTM_NEWROUTE || !is_ours(reply, owner) || kind != libc::RTN_LOCAL {
        return None;
    }
    let attrs = Attrs(rest);
    if attrs.find(libc::RTA_PRIORITY)?.payload != metric(owner).to_ne_bytes() {
        return None;
    }
    let address = match attrs.find(libc::RTA_DST) {
        Some(attr) => ip(family, attr)?,
        None => unspecified(family)?,
    };
    let source = attrs.find(libc::RTA_PREFSRC).and_then(|attr| ip(family, attr));
    Some(LocalRoute { address, prefix, source })
}

/// Where a route is for all addresses, the kernel names none.
fn unspecified(family: u8) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some([0; 4].into()),
        libc::AF_INET6 => Some([0; 16].into()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
