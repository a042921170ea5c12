//! ipset: names and members of sets, and their destruction (nfnetlink subsystem 6). Nothing here makes a set.
//!
//! ```text
//!   wire       values <-> messages        (pure)
//!   presence   is it there already?       (I/O)
//!   here       open, lists, destroy       (I/O)
//! ```
//!
//! Invariants:
//! * a set is destroyed by its name only (without a name the kernel would destroy all);
//! * members of sets of any type are read; what is not known of them is skipped.

mod presence;
mod wire;

use std::net::IpAddr;

use crate::attr::Buffer;
use crate::conntrack::Family;
use crate::{NetlinkError, Reply, Socket};
use wire::Question;

/// A set, without its members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Its name, at most 31 bytes.
    pub name: String,
    /// Its type, as `hash:ip,port`.
    pub kind: String,
    /// The family of its addresses, if its type has any.
    pub family: Option<Family>,
    /// How many rules and sets use it. It can't be destroyed while there are any.
    pub references: u32,
}

/// A member of a set; which parts there are depends on the set's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// The first address.
    pub ip: Option<IpAddr>,
    /// Length of the first address's prefix, in bits; types with `net` only.
    pub cidr: Option<u8>,
    /// The port, in host byte order.
    pub port: Option<u16>,
    /// The protocol number of the IP header.
    pub protocol: Option<u8>,
    /// The second address.
    pub ip2: Option<IpAddr>,
    /// Length of the second address's prefix, in bits; types with `net` only.
    pub cidr2: Option<u8>,
}

/// An open socket to ipset.
#[derive(Debug)]
pub struct Ipset {
    socket: Socket,
    protocol: u8,
}

/// Opens a socket for the functions of this module; `None`: the kernel has no ipset (where there is a module, asking
/// loads it). Errors: the socket failed, the kernel refused (`CAP_NET_ADMIN`), or it speaks only newer protocols
/// than 7.
pub fn open() -> Result<Option<Ipset>, NetlinkError> {
    let socket = match Socket::open(libc::NETLINK_NETFILTER) {
        // Not even nfnetlink is there.
        Err(error) if error.errno() == Some(libc::EPROTONOSUPPORT) => return Ok(None),
        result => result?,
    };
    let mut ipset = Ipset { socket, protocol: wire::NEWEST };
    negotiate(&mut ipset).map(|speaks| speaks.then_some(ipset))
}

/// Agrees on a protocol; `false`: nobody answers for ipset.
fn negotiate(ipset: &mut Ipset) -> Result<bool, NetlinkError> {
    let mut range = None;
    match one(ipset, Question::Protocol, |reply| range = range.or(wire::protocols(&reply))) {
        // nfnetlink's answer where nobody has registered the subsystem.
        Err(NetlinkError::Refused { errno: libc::EINVAL | libc::EOPNOTSUPP, .. }) => return Ok(false),
        result => result?,
    }
    let (oldest, newest) = range.ok_or(NetlinkError::Malformed("ipset does not tell its protocol"))?;
    if oldest > wire::NEWEST {
        return Err(NetlinkError::Malformed("this kernel's ipset speaks only protocols newer than 7"));
    }
    ipset.protocol = newest.min(wire::NEWEST);
    Ok(true)
}

/// Whether ipset is there already, in the kernel or as a loaded module; asking loads nothing. Where this is `false`
/// there can be no set, but [`open`] may still succeed. Errors: no socket, or the kernel refused (`CAP_NET_ADMIN`).
pub fn available() -> Result<bool, NetlinkError> {
    presence::is_registered()
}

/// All sets, without their members, in the kernel's order. Errors: the socket failed, or the kernel refused.
pub fn names(ipset: &mut Ipset) -> Result<Vec<Set>, NetlinkError> {
    let mut found = Vec::new();
    list(ipset, Question::Headers, |reply| found.extend(wire::set(&reply)))?;
    Ok(found)
}

/// The members of a set, in the kernel's order; `None`: there is no such set.
/// Errors: the socket failed, or the kernel refused.
pub fn members(ipset: &mut Ipset, name: &str) -> Result<Option<Vec<Member>>, NetlinkError> {
    let mut found = Vec::new();
    match list(ipset, Question::Members(name), |reply| found.extend(wire::members(&reply))) {
        Err(NetlinkError::Refused { errno: libc::ENOENT, .. }) => Ok(None),
        result => result.map(|()| Some(found)),
    }
}

/// Destroys a set. `false`: there is none of this name. Errors: the socket failed, or the kernel refused: a rule or
/// another set still uses it.
pub fn destroy(ipset: &mut Ipset, name: &str) -> Result<bool, NetlinkError> {
    match one(ipset, Question::Destroy(name), |_| {}) {
        Err(NetlinkError::Refused { errno: libc::ENOENT, .. }) => Ok(false),
        result => result.map(|()| true),
    }
}

fn list(ipset: &mut Ipset, question: Question<'_>, each: impl FnMut(Reply<'_>)) -> Result<(), NetlinkError> {
    let (request, sequence) = ask(ipset, question);
    ipset.socket.dump(request.bytes(), sequence, each).map(drop).map_err(explained)
}

fn one(ipset: &mut Ipset, question: Question<'_>, each: impl FnMut(Reply<'_>)) -> Result<(), NetlinkError> {
    let (request, sequence) = ask(ipset, question);
    ipset.socket.request(request.bytes(), sequence, each).map_err(explained)
}

fn ask(ipset: &mut Ipset, question: Question<'_>) -> (Buffer, u32) {
    let sequence = ipset.socket.sequences(1);
    let mut request = Buffer::default();
    wire::put_question(&mut request, ipset.protocol, question, sequence);
    (request, sequence)
}

/// ipset has error numbers of its own (`enum ipset_errno`), which no table of the system explains.
fn explained(mut error: NetlinkError) -> NetlinkError {
    if let NetlinkError::Refused { errno, extended, .. } = &mut error
        && extended.is_empty()
    {
        *extended = match *errno {
            4097 => "ipset speaks another protocol".to_owned(),
            4100 => "a rule or another set still uses the set".to_owned(),
            _ => String::new(),
        };
    }
    error
}
