//! The link that carries the `--dns-listen` addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink::route::{
    Address, Link, add_address, addresses, create_bridge, create_dummy, delete_address, delete_link, link,
    set_up,
};
use netlink::{NetlinkError, Socket};

use crate::error::{NodeError, trying};

/// Its name.
pub const LINK: &str = "towpath-dns";
/// What it is; the second where the kernel has no dummy links.
const KINDS: [&str; 2] = ["dummy", "bridge"];
/// The scope of addresses that the kernel makes itself for each link (`RT_SCOPE_LINK`).
const SCOPE_LINK: u8 = 253;

const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const EOPNOTSUPP: i32 = 95;
const EAFNOSUPPORT: i32 = 97;

/// Makes the link and its addresses what is wanted, or deletes it where no address needs it; says whether anything was
/// written. An address that another link has stays there. Errors: the kernel refused, or the link is somebody else's.
pub fn converge(socket: &mut Socket, listen: &[IpAddr]) -> Result<bool, NodeError> {
    let there = ours(socket)?;
    let index = there.as_ref().map(|link| link.index);
    let all = addresses(socket).map_err(trying("reading addresses"))?;
    let (own, others): (Vec<Address>, Vec<Address>) =
        all.into_iter().partition(|address| Some(address.index) == index);
    let elsewhere = |ip: &IpAddr| ip.is_loopback() || others.iter().any(|address| address.ip == *ip);
    let wanted: BTreeSet<IpAddr> = listen.iter().filter(|ip| !elsewhere(ip)).copied().collect();
    if wanted.is_empty() {
        return there.map_or(Ok(false), |link| delete(socket, &link));
    }
    let (link, made) = match there {
        Some(link) => (link, false),
        None => (make(socket)?, true),
    };
    let raised = !link.up;
    if raised {
        set_up(socket, link.index).map_err(trying("setting the link towpath-dns up"))?;
    }
    Ok(change_addresses(socket, link.index, &own, &wanted)? || made || raised)
}

fn change_addresses(
    socket: &mut Socket,
    index: u32,
    own: &[Address],
    wanted: &BTreeSet<IpAddr>,
) -> Result<bool, NodeError> {
    let mut changed = false;
    let given = |address: &&Address| address.ip.is_ipv4() || address.scope != SCOPE_LINK;
    for address in own.iter().filter(given).filter(|address| !is_wanted(address, wanted)) {
        changed |= delete_address(socket, index, address.ip, address.prefix)
            .map_err(trying("deleting an address of the link towpath-dns"))?;
    }
    for ip in wanted {
        let there = own.iter().any(|address| address.ip == *ip && is_wanted(address, wanted));
        changed |= !there && add(socket, index, *ip)?;
    }
    Ok(changed)
}

fn is_wanted(address: &Address, wanted: &BTreeSet<IpAddr>) -> bool {
    wanted.contains(&address.ip) && address.prefix == whole(address.ip)
}

fn add(socket: &mut Socket, index: u32, ip: IpAddr) -> Result<bool, NodeError> {
    match add_address(socket, index, ip, whole(ip)) {
        Err(error) if ip.is_ipv6() && is_off(&error) => {
            tracing::warn!(%ip, "IPv6 is off on this node: DNS does not listen on this address");
            Ok(false)
        }
        answer => answer.map_err(trying("adding an address to the link towpath-dns")),
    }
}

/// Whether the kernel refused since IPv6 is off, as a whole or on this link.
pub fn is_off(error: &NetlinkError) -> bool {
    matches!(error.errno(), Some(EACCES | EOPNOTSUPP | EAFNOSUPPORT))
}

/// The length of a prefix that is one address.
pub fn whole(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Our link, if it is there. Errors: it is none that we would make.
fn ours(socket: &mut Socket) -> Result<Option<Link>, NodeError> {
    let found = link(socket, LINK).map_err(trying("looking for the link towpath-dns"))?;
    match found {
        Some(Link { kind: None, .. }) => Err(NodeError::ForeignLink("hardware".to_owned())),
        Some(Link { kind: Some(kind), .. }) if !KINDS.contains(&kind.as_str()) => {
            Err(NodeError::ForeignLink(kind))
        }
        found => Ok(found),
    }
}

fn make(socket: &mut Socket) -> Result<Link, NodeError> {
    let made = match create_dummy(socket, LINK) {
        Err(error) if error.errno() == Some(EOPNOTSUPP) => create_bridge(socket, LINK),
        answer => answer,
    };
    match made {
        Err(error) if error.errno() == Some(EOPNOTSUPP) => Err(NodeError::NoLinks),
        answer => answer.map_err(trying("making the link towpath-dns")),
    }?;
    let gone = NetlinkError::Refused { errno: ENODEV, index: 0, extended: LINK.to_owned() };
    ours(socket)?.ok_or(NodeError::Kernel { what: "making the link towpath-dns", source: gone })
}

fn delete(socket: &mut Socket, link: &Link) -> Result<bool, NodeError> {
    delete_link(socket, link.index).map_err(trying("deleting the link towpath-dns"))
}

/// Deletes the link; says whether it was there. A link of another kind stays. Errors: the kernel refused.
pub fn remove(socket: &mut Socket) -> Result<bool, NodeError> {
    match ours(socket) {
        Ok(Some(link)) => delete(socket, &link),
        Ok(None) | Err(NodeError::ForeignLink(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
