//! Links by name, dummy links, and addresses on them (`linux/if_link.h`).

use std::net::IpAddr;

use super::{Address, IFA_ADDRESS, IFA_FLAGS, IFA_LOCAL, addresses};
use crate::attr::{Attrs, Buffer};
use crate::conntrack::Family;
use crate::{NetlinkError, Reply, Socket};

const IFINFOMSG: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFA_F_NODAD: u32 = 0x02;
/// Longest name of a link, in bytes (IFNAMSIZ without the NUL).
const NAME: usize = 15;

const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What made it, as `dummy`; hardware has none.
    pub kind: Option<String>,
    /// Whether it is up (`IFF_UP`), with or without a carrier.
    pub up: bool,
}

/// The link of a name; `None`: there is none. `socket` is one of [`super::open`].
/// Errors: the socket failed, or the kernel refused.
pub fn link(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetlinkError> {
    if name.is_empty() || name.len() > NAME {
        return Ok(None);
    }
    let mut found = None;
    let answer = request(
        socket,
        libc::RTM_GETLINK,
        0,
        |b| put_link(b, 0, name),
        |reply| found = found.take().or(read(&reply)),
    );
    match answer {
        Err(NetlinkError::Refused { errno: libc::ENODEV, .. }) => Ok(None),
        result => result.map(|()| found),
    }
}

/// The addresses of a link, in the kernel's order. Errors: as with [`addresses`].
pub fn addresses_of(socket: &mut Socket, index: u32) -> Result<Vec<Address>, NetlinkError> {
    let all = addresses(socket)?;
    Ok(all.into_iter().filter(|address| address.index == index).collect())
}

/// Makes a dummy link, down. Errors: the socket failed, or the kernel refused: EEXIST where the name is taken,
/// EOPNOTSUPP where the kernel has no such links (module `dummy`).
pub fn create_dummy(socket: &mut Socket, name: &str) -> Result<(), NetlinkError> {
    create(socket, name, "dummy")
}

/// Makes a bridge without ports, down: it carries addresses as a dummy link does, where the kernel has none of these.
/// Errors: as with [`create_dummy`]; EOPNOTSUPP where the kernel has no bridges.
pub fn create_bridge(socket: &mut Socket, name: &str) -> Result<(), NetlinkError> {
    create(socket, name, "bridge")
}

fn create(socket: &mut Socket, name: &str, kind: &str) -> Result<(), NetlinkError> {
    request(socket, libc::RTM_NEWLINK, CREATE, |b| put_new(b, name, kind), |_| {})
}

/// Sets a link up. Errors: the socket failed, or the kernel refused: ENODEV where there is no such link.
pub fn set_up(socket: &mut Socket, index: u32) -> Result<(), NetlinkError> {
    request(socket, libc::RTM_NEWLINK, 0, |b| put_up(b, index), |_| {})
}

/// Deletes a link with its addresses. `false`: it was gone already. The index is never used twice soon, so this
/// means the link that was seen. Errors: the socket failed, or the kernel refused (EOPNOTSUPP: hardware).
pub fn delete_link(socket: &mut Socket, index: u32) -> Result<bool, NetlinkError> {
    let answer = request(socket, libc::RTM_DELLINK, 0, |b| put_ifinfomsg(b, index, 0), |_| {});
    unless(answer, libc::ENODEV)
}

/// Adds an address to a link, without detection of duplicates (IPv6). `false`: it has the address already.
/// `prefix` is in bits. Errors: the socket failed, or the kernel refused: ENODEV where there is no such link.
pub fn add_address(socket: &mut Socket, index: u32, ip: IpAddr, prefix: u8) -> Result<bool, NetlinkError> {
    let fill = |b: &mut Buffer| {
        put_address(b, index, ip, prefix);
        b.put_u32(IFA_FLAGS, IFA_F_NODAD);
    };
    unless(request(socket, libc::RTM_NEWADDR, CREATE, fill, |_| {}), libc::EEXIST)
}

/// Deletes an address from a link. `false`: it was gone already.
/// Errors: the socket failed, or the kernel refused: ENODEV where there is no such link.
pub fn delete_address(socket: &mut Socket, index: u32, ip: IpAddr, prefix: u8) -> Result<bool, NetlinkError> {
    let answer = request(socket, libc::RTM_DELADDR, 0, |b| put_address(b, index, ip, prefix), |_| {});
    unless(answer, libc::EADDRNOTAVAIL)
}

fn request(
    socket: &mut Socket,
    kind: u16,
    flags: i32,
    fill: impl FnOnce(&mut Buffer),
    each: impl FnMut(Reply<'_>),
) -> Result<(), NetlinkError> {
    let sequence = socket.sequences(1);
    let mut buffer = Buffer::default();
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
    let mark = buffer.begin_message(kind, flags, sequence);
    fill(&mut buffer);
    buffer.end_message(mark);
    socket.request(buffer.bytes(), sequence, each)
}

/// `false` for one refusal that means that there was nothing to do.
fn unless(answer: Result<(), NetlinkError>, expected: i32) -> Result<bool, NetlinkError> {
    match answer {
        Err(NetlinkError::Refused { errno, .. }) if errno == expected => Ok(false),
        result => result.map(|()| true),
    }
}

/// A `struct ifinfomsg`: family, padding, type, index, flags, and which flags are meant.
fn put_ifinfomsg(buffer: &mut Buffer, index: u32, flags: u32) {
    buffer.raw(&[0; 4]);
    for number in [index, flags, flags] {
        buffer.raw(&number.to_ne_bytes());
    }
}

fn put_link(buffer: &mut Buffer, index: u32, name: &str) {
    put_ifinfomsg(buffer, index, 0);
    buffer.put_str(IFLA_IFNAME, name);
}

fn put_new(buffer: &mut Buffer, name: &str, kind: &str) {
    put_link(buffer, 0, name);
    buffer.nested(IFLA_LINKINFO, |b| b.put_str(IFLA_INFO_KIND, kind));
}

fn put_up(buffer: &mut Buffer, index: u32) {
    put_ifinfomsg(buffer, index, libc::IFF_UP as u32);
}

/// A `struct ifaddrmsg` (family, prefix, flags, scope, index) and the address.
fn put_address(buffer: &mut Buffer, index: u32, ip: IpAddr, prefix: u8) {
    let family = match Family::of(ip) {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    buffer.raw(&[family as u8, prefix, 0, 0]);
    buffer.raw(&index.to_ne_bytes());
    for kind in [IFA_LOCAL, IFA_ADDRESS] {
        match ip {
            IpAddr::V4(ip) => buffer.put(kind, &ip.octets()),
            IpAddr::V6(ip) => buffer.put(kind, &ip.octets()),
        }
    }
}

/// Reads a `struct ifinfomsg` and its attributes; `None` for other messages.
fn read(reply: &Reply<'_>) -> Option<Link> {
    let (header, rest) = reply.payload.split_first_chunk::<IFINFOMSG>()?;
    if reply.kind != libc::RTM_NEWLINK {
        return None;
    }
    let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
    let attrs = Attrs(rest);
    let kind = attrs.find(IFLA_LINKINFO).and_then(|info| info.nested().text(IFLA_INFO_KIND));
    Some(Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: attrs.text(IFLA_IFNAME)?.to_owned(),
        kind: kind.map(str::to_owned),
        up: u32::from_ne_bytes([f0, f1, f2, f3]) & libc::IFF_UP as u32 != 0,
    })
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
