//! Local routes of ours: they bring packets to addresses that no interface has to this node (`linux/rtnetlink.h`).
//!
//! Each is `local NET dev lo table local proto 107 metric 107`; those of DNS have 108 ([`RouteOwner`]). The kernel's own local routes, those of the node's
//! addresses, have metric 0: they stand beside ours, win, and are never replaced by them.

mod batch;
mod watch;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::TRIES;
use crate::attr::Buffer;
use crate::conntrack::Family;
use crate::{NetlinkError, Socket};

pub use watch::RouteWatch;

/// The protocol of our routes (`rtm_protocol`): whose they are. Numbers from 5 on are free for anybody; those that
/// `iproute2` gives names to are others.
pub const TOWPATH_PROTOCOL: u8 = 107;

/// Which part of the program a route belongs to. Each sees and touches its own only, and both may have one of the same
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteOwner {
    /// VIPs of Services: protocol and metric [`TOWPATH_PROTOCOL`].
    Services,
    /// VIPs that DNS on the node answers: protocol and metric 108.
    Dns,
}

impl RouteOwner {
    /// The protocol of its routes, which is their metric too.
    pub fn number(self) -> u8 {
        match self {
            RouteOwner::Services => TOWPATH_PROTOCOL,
            RouteOwner::Dns => TOWPATH_PROTOCOL + 1,
        }
    }
}

const EXCLUSIVE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
const REPLACE: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

/// A local route of ours: packets to these addresses are for this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalRoute {
    /// The first address; bits past the prefix are zero (the kernel refuses others for IPv4).
    pub address: IpAddr,
    /// Length of the prefix, in bits: to 32, or to 128.
    pub prefix: u8,
    /// The source address of connections that this node makes to these addresses. It must be an address of this
    /// node, of the same family, and usable. `None`: for IPv4 the destination itself, for IPv6 what the kernel
    /// chooses.
    pub source: Option<IpAddr>,
}

/// The addresses of a route, whatever its source: no two of ours have the same.
type Net = (IpAddr, u8);

impl LocalRoute {
    fn net(&self) -> Net {
        (self.address, self.prefix)
    }
}

/// Our local routes of both families: protocol [`TOWPATH_PROTOCOL`], table `local`, type local, metric 107; in the
/// kernel's order, IPv4 first. `socket` is one of [`super::open`].
///
/// Errors: the socket failed, the kernel refused, or [`NetlinkError::Interrupted`] when changes came between the
/// parts of every try.
pub fn local_routes(socket: &mut Socket) -> Result<Vec<LocalRoute>, NetlinkError> {
    local_routes_of(socket, RouteOwner::Services)
}

/// The same for another part of the program.
pub fn local_routes_of(socket: &mut Socket, owner: RouteOwner) -> Result<Vec<LocalRoute>, NetlinkError> {
    let mut found = list(socket, owner, Family::V4)?;
    found.extend(list(socket, owner, Family::V6)?);
    Ok(found)
}

/// Deletes and adds routes of ours, many to a datagram, and returns what the kernel refused. There is no
/// transaction: a refusal stops nothing. `socket` is one of [`super::open`].
///
/// * A route to add takes the place of one of ours with the same addresses and another source, in one step of the kernel.
///   One that is there already stays.
/// * A route to delete goes whatever its source is. One that is gone already is no refusal. Deletions come first;
///   one of addresses that are added too is left out.
/// * Another program's route of the same addresses and metric is not touched; ours is refused with EEXIST then.
///
/// When a source is taken from the node, the route stays, and nobody is told. IPv4 and IPv6 of Linux 6.1 keep the source
/// too, to which no answer comes then; IPv6 of Linux 6.18 takes it off the route. So give these routes another source
/// when addresses change ([`super::AddressWatch`]).
///
/// Refusals are [`NetlinkError::Refused`] whose `index` is of no use: EINVAL where the source is not an address of this
/// node, EACCES where IPv6 is disabled on `lo`. Errors: the socket failed; how far it came is unknown then.
pub fn apply_local_routes(
    socket: &mut Socket,
    add: &[LocalRoute],
    delete: &[LocalRoute],
) -> Result<Vec<(LocalRoute, NetlinkError)>, NetlinkError> {
    apply_local_routes_of(socket, RouteOwner::Services, add, delete)
}

/// The same for another part of the program.
pub fn apply_local_routes_of(
    socket: &mut Socket,
    owner: RouteOwner,
    add: &[LocalRoute],
    delete: &[LocalRoute],
) -> Result<Vec<(LocalRoute, NetlinkError)>, NetlinkError> {
    let mut refused = delete_all(socket, owner, add, delete)?;
    let answers = batch::carry_out(socket, owner, libc::RTM_NEWROUTE, EXCLUSIVE, add)?;
    let (there, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, error)| error.errno() == Some(libc::EEXIST));
    refused.extend(others);
    if !there.is_empty() {
        refused.extend(replace_ours(socket, owner, there)?);
    }
    Ok(refused)
}

fn delete_all(
    socket: &mut Socket,
    owner: RouteOwner,
    add: &[LocalRoute],
    delete: &[LocalRoute],
) -> Result<Vec<(LocalRoute, NetlinkError)>, NetlinkError> {
    let added: BTreeSet<Net> = add.iter().map(LocalRoute::net).collect();
    let only: Vec<_> = delete.iter().filter(|route| !added.contains(&route.net())).copied().collect();
    let mut refused = batch::carry_out(socket, owner, libc::RTM_DELROUTE, 0, &only)?;
    refused.retain(|(_, error)| error.errno() != Some(libc::ESRCH));
    Ok(refused)
}

/// What to do with routes whose place is taken: nothing if it is by the same, a change if it is by one of ours.
fn replace_ours(
    socket: &mut Socket,
    owner: RouteOwner,
    there: Vec<(LocalRoute, NetlinkError)>,
) -> Result<Vec<(LocalRoute, NetlinkError)>, NetlinkError> {
    let ours: BTreeMap<Net, Option<IpAddr>> =
        local_routes_of(socket, owner)?.iter().map(|route| (route.net(), route.source)).collect();
    let (mut changed, mut refused) = (Vec::new(), Vec::new());
    for (route, error) in there {
        match ours.get(&route.net()) {
            None => refused.push((route, in_the_way(error))),
            Some(source) if *source == route.source => {}
            Some(_) => changed.push(route),
        }
    }
    refused.extend(batch::carry_out(socket, owner, libc::RTM_NEWROUTE, REPLACE, &changed)?);
    Ok(refused)
}

/// The kernel says only that the file exists.
fn in_the_way(mut error: NetlinkError) -> NetlinkError {
    if let NetlinkError::Refused { extended, .. } = &mut error {
        *extended = "a route of the same addresses and metric in table local is another program's".to_owned();
    }
    error
}

fn list(socket: &mut Socket, owner: RouteOwner, family: Family) -> Result<Vec<LocalRoute>, NetlinkError> {
    for _ in 0..TRIES {
        let mut found = Vec::new();
        if list_once(socket, owner, family, &mut found)? {
            return Ok(found);
        }
    }
    Err(NetlinkError::Interrupted(TRIES))
}

fn list_once(
    socket: &mut Socket,
    owner: RouteOwner,
    family: Family,
    found: &mut Vec<LocalRoute>,
) -> Result<bool, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut request = Buffer::default();
    wire::put_list(&mut request, owner, family, sequence);
    socket.filter_lists(true);
    let answer = socket.dump(request.bytes(), sequence, |reply| {
        found.extend(wire::route(&reply, owner).filter(|route| Family::of(route.address) == family));
    });
    socket.filter_lists(false);
    match answer {
        // The kernel makes the table when it makes the first route in it.
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(true),
        answer => answer,
    }
}
