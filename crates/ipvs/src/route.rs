//! Routes that make addresses local, so that their packets come to IPVS on this node.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink::route::{LocalRoute, apply_local_routes};
use netlink::{NetlinkError, Socket};

use crate::objects::{Key, Value};

/// The route of an object.
pub fn local_route(net: IpNet, value: &Value) -> LocalRoute {
    let source = match value {
        Value::Route(source) => *source,
        _ => None,
    };
    LocalRoute { address: net.network(), prefix: net.prefix_len(), source }
}

/// The object of a route; `None` for a prefix that cannot be.
pub fn object(route: &LocalRoute) -> Option<(Key, Value)> {
    Some((Key::Route(net_of(route)?), Value::Route(route.source)))
}

/// The addresses of a route; `None` for a prefix that cannot be.
pub fn net_of(route: &LocalRoute) -> Option<IpNet> {
    IpNet::new(route.address, route.prefix).ok()
}

/// Makes routes, and takes others away. A route whose source the node does not have (yet, or any more) is made without
/// one; an address that is local anyway needs none. Errors: the socket failed, or the kernel refused for another reason.
pub fn apply(socket: &mut Socket, add: &[LocalRoute], delete: &[LocalRoute]) -> Result<(), NetlinkError> {
    let mut again = Vec::new();
    for (route, error) in apply_local_routes(socket, add, delete)? {
        match error.errno() {
            Some(EINVAL) if route.source.is_some() => again.push(LocalRoute { source: None, ..route }),
            Some(EEXIST) => tracing::debug!(address = %route.address, "the address is routed here by others"),
            Some(EACCES | EOPNOTSUPP | EAFNOSUPPORT) if route.address.is_ipv6() => {
                tracing::warn!(address = %route.address, "IPv6 is off on this node: no route for this VIP");
            }
            _ => return Err(error),
        }
    }
    if again.is_empty() {
        return Ok(());
    }
    let source: Option<IpAddr> = add.iter().find_map(|route| route.source);
    tracing::debug!(
        ?source,
        routes = again.len(),
        "the node does not have this address: routes without a source"
    );
    match apply_local_routes(socket, &again, &[])?
        .into_iter()
        .find(|(_, error)| error.errno() != Some(EEXIST))
    {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const EACCES: i32 = 13;
const EOPNOTSUPP: i32 = 95;
const EAFNOSUPPORT: i32 = 97;
