//! Local routes of intercepted VIPs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::IpFamily;
use netlink::route::{LocalRoute, RouteOwner, apply_local_routes_of, local_routes_of};
use netlink::{NetlinkError, Socket};

use crate::error::{NodeError, trying};
use crate::link::{is_off, whole};

const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

/// What to do with the routes.
#[derive(Debug, Default)]
pub struct Plan {
    add: Vec<LocalRoute>,
    delete: Vec<LocalRoute>,
}

/// The routes of these VIPs against those that are there. `node`: the source of the node's own packets to a VIP, the first
/// of each family. Without one it is the VIP itself (IPv4), whose replies would not come back from another node.
pub fn plan(socket: &mut Socket, vips: &[IpAddr], node: &[IpAddr]) -> Result<Plan, NodeError> {
    let found: BTreeSet<LocalRoute> = list(socket)?.into_iter().collect();
    let wanted: BTreeSet<LocalRoute> = vips.iter().map(|vip| route(*vip, node)).collect();
    let add: Vec<LocalRoute> = wanted.difference(&found).copied().collect();
    let delete = found.difference(&wanted).filter(|route| !vips.contains(&route.address)).copied().collect();
    Ok(Plan { add, delete })
}

fn route(vip: IpAddr, node: &[IpAddr]) -> LocalRoute {
    let source = node.iter().find(|ip| IpFamily::of(**ip) == IpFamily::of(vip)).copied();
    LocalRoute { address: vip, prefix: whole(vip), source }
}

fn list(socket: &mut Socket) -> Result<Vec<LocalRoute>, NodeError> {
    local_routes_of(socket, RouteOwner::Dns).map_err(trying("reading local routes"))
}

impl Plan {
    /// Makes routes; says whether any is new. A source that the node does not have (any more) is left out.
    /// Errors: the kernel refused.
    pub fn add(&self, socket: &mut Socket) -> Result<bool, NodeError> {
        if self.add.is_empty() {
            return Ok(false);
        }
        let before = list(socket)?;
        let bare = carry_out(socket, &self.add, &[])?;
        if !bare.is_empty() {
            tracing::debug!(
                routes = bare.len(),
                "the node does not have the source: routes to VIPs without one"
            );
            carry_out(socket, &bare, &[])?;
        }
        Ok(list(socket)? != before)
    }

    /// Deletes routes; says whether there were any. Errors: the kernel refused.
    pub fn delete(&self, socket: &mut Socket) -> Result<bool, NodeError> {
        carry_out(socket, &[], &self.delete).map(|_| !self.delete.is_empty())
    }
}

/// Returns the routes to try again without their source.
fn carry_out(
    socket: &mut Socket,
    add: &[LocalRoute],
    delete: &[LocalRoute],
) -> Result<Vec<LocalRoute>, NodeError> {
    let apply = |socket: &mut Socket| apply_local_routes_of(socket, RouteOwner::Dns, add, delete);
    let refused = apply(socket).map_err(trying("making local routes"))?;
    let mut again = Vec::new();
    for (route, error) in refused {
        if error.errno() == Some(EINVAL) && route.source.is_some() {
            again.push(LocalRoute { source: None, ..route });
        } else {
            unless_local(&route, error)?;
        }
    }
    Ok(again)
}

fn unless_local(route: &LocalRoute, error: NetlinkError) -> Result<(), NodeError> {
    if error.errno() == Some(EEXIST) {
        tracing::debug!(vip = %route.address, "the VIP is routed here by others");
    } else if route.address.is_ipv6() && is_off(&error) {
        tracing::warn!(vip = %route.address, "IPv6 is off on this node: this VIP is not intercepted");
    } else {
        return Err(trying("making local routes")(error));
    }
    Ok(())
}

/// Deletes all of ours; says whether there were any. Errors: the kernel refused.
pub fn remove(socket: &mut Socket) -> Result<bool, NodeError> {
    let found = list(socket)?;
    carry_out(socket, &[], &found).map(|_| !found.is_empty())
}
