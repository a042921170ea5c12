//! IPVS: virtual servers, their real servers, timeouts (generic netlink family `IPVS`).
//!
//! ```text
//!   server   Key, VirtualServer, RealServer, Command   (values)
//!   wire     values <-> messages                       (pure)
//!   batch    many commands to a datagram               (I/O)
//!   here     open, lists, one command                  (I/O)
//! ```
//!
//! Invariants:
//! * every command names what it means; there is no way to delete what was not named (the kernel's flush is not
//!   here at all);
//! * values are compared as they are: what was added reads back equal;
//! * everything is of the network namespace in which the socket was opened.
//!
//! `CAP_NET_ADMIN` in the first user namespace is needed, also for reading.

mod batch;
mod server;
mod wire;

pub use batch::apply;
pub use server::{
    Command, Destination, Forwarding, HASH_FALLBACK, HASH_PORT, Key, ONE_PACKET, PERSISTENT, RealServer,
    Stats, Timeouts, VirtualServer,
};

use crate::attr::Buffer;
use crate::{NetlinkError, Reply, Socket, genl};
use wire::Question;

const FAMILY: &str = "IPVS";

/// An open socket to IPVS.
#[derive(Debug)]
pub struct Ipvs {
    socket: Socket,
    family: u16,
}

/// Opens a socket for the functions of this module; `None`: the kernel has no IPVS. Where there is a module `ip_vs`,
/// asking loads it. Errors: the socket failed, or the kernel refused.
pub fn open() -> Result<Option<Ipvs>, NetlinkError> {
    let mut socket = Socket::open(libc::NETLINK_GENERIC)?;
    Ok(genl::family(&mut socket, FAMILY)?.map(|family| Ipvs { socket, family }))
}

/// Whether IPVS is there already, in the kernel or as a loaded module; asking loads nothing. Where this is `false`
/// there can be no virtual server, but [`open`] may still succeed. Errors: the socket failed, or the kernel refused.
pub fn available() -> Result<bool, NetlinkError> {
    genl::is_registered(&mut Socket::open(libc::NETLINK_GENERIC)?, FAMILY)
}

/// All virtual servers, in the kernel's order (none to rely on).
///
/// The kernel does not tell whether changes came between the parts of its answer: one that another program adds or
/// deletes meanwhile can hide or double a third. Errors: the socket failed, the kernel refused, or its answer lacks
/// something.
pub fn services(ipvs: &mut Ipvs) -> Result<Vec<VirtualServer>, NetlinkError> {
    let family = ipvs.family;
    list(ipvs, Question::Services, |reply| wire::service(reply, family))
}

/// One virtual server; `None`: there is none of this key. Errors: as with [`services`].
pub fn service(ipvs: &mut Ipvs, key: &Key) -> Result<Option<VirtualServer>, NetlinkError> {
    let family = ipvs.family;
    match one(ipvs, Question::Service(key), |reply| wire::service(reply, family)) {
        Err(NetlinkError::Refused { errno: libc::ESRCH, .. }) => Ok(None),
        result => result?.map(Some).ok_or(INCOMPLETE),
    }
}

/// The real servers of a virtual server; also none where there is no such virtual server. Errors: as with
/// [`services`].
pub fn destinations(ipvs: &mut Ipvs, key: &Key) -> Result<Vec<Destination>, NetlinkError> {
    let family = ipvs.family;
    list(ipvs, Question::Destinations(key), |reply| wire::destination(reply, family, key.family()))
}

/// Carries out one command. Errors: the socket failed, or the kernel refused; ESRCH is a virtual server that is not
/// there, EEXIST one thing that is there already, ENOENT a scheduler or a real server that is not there.
pub fn run(ipvs: &mut Ipvs, command: &Command) -> Result<(), NetlinkError> {
    apply(ipvs, std::slice::from_ref(command))?.pop().map_or(Ok(()), Err)
}

/// Deletes a virtual server with its real servers. `false`: it was gone already. Errors: the socket failed, or the
/// kernel refused for another reason than that.
pub fn delete(ipvs: &mut Ipvs, key: &Key) -> Result<bool, NetlinkError> {
    match run(ipvs, &Command::Delete(*key)) {
        Err(NetlinkError::Refused { errno: libc::ESRCH, .. }) => Ok(false),
        result => result.map(|()| true),
    }
}

/// How long idle connections are kept. Errors: as with [`services`].
pub fn timeouts(ipvs: &mut Ipvs) -> Result<Timeouts, NetlinkError> {
    let family = ipvs.family;
    one(ipvs, Question::Timeouts, |reply| wire::timeouts(reply, family))?.ok_or(INCOMPLETE)
}

/// Sets how long idle connections are kept; 0 leaves a value as it is. Errors: the socket failed, or the kernel
/// refused (EINVAL: a value is larger than it can count).
pub fn set_timeouts(ipvs: &mut Ipvs, timeouts: &Timeouts) -> Result<(), NetlinkError> {
    one(ipvs, Question::SetTimeouts(timeouts), |_| None::<()>).map(drop)
}

const INCOMPLETE: NetlinkError = NetlinkError::Malformed("IPVS leaves something out");

fn list<T>(
    ipvs: &mut Ipvs,
    question: Question<'_>,
    read: impl Fn(&Reply<'_>) -> Option<T>,
) -> Result<Vec<T>, NetlinkError> {
    let (request, sequence) = ask(ipvs, question);
    let mut found = Some(Vec::new());
    ipvs.socket.dump(request.bytes(), sequence, |reply| match (read(&reply), &mut found) {
        (Some(item), Some(found)) => found.push(item),
        _ => found = None,
    })?;
    found.ok_or(INCOMPLETE)
}

fn one<T>(
    ipvs: &mut Ipvs,
    question: Question<'_>,
    read: impl Fn(&Reply<'_>) -> Option<T>,
) -> Result<Option<T>, NetlinkError> {
    let (request, sequence) = ask(ipvs, question);
    let mut found = None;
    ipvs.socket.request(request.bytes(), sequence, |reply| found = found.take().or(read(&reply)))?;
    Ok(found)
}

fn ask(ipvs: &mut Ipvs, question: Question<'_>) -> (Buffer, u32) {
    let sequence = ipvs.socket.sequences(1);
    let mut request = Buffer::default();
    wire::put_question(&mut request, ipvs.family, question, sequence);
    (request, sequence)
}
