//! kube-proxy in ipvs mode: virtual servers, and the link `kube-ipvs0` with the addresses of Services.
//!
//! Virtual servers have no names, so a frontend's Service is not known; sources and masquerade are in ipsets, which are
//! not read. A virtual server on an address of another link of the node is a NodePort. An external address that the node
//! has on another link anyway cannot be told from one, and is taken for one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{EndpointAddr, FrontendKey, IpFamily, Protocol};
use netlink::ipvs::{self, Destination, Forwarding, Ipvs, Key, PERSISTENT, VirtualServer};
use netlink::{NetlinkError, route};
use resolve::Mode;
use rustc_hash::FxHashSet;

use crate::{Frontend, Outcome, Programmed};

/// The link that holds the addresses of Services.
pub(crate) const LINK: &str = "kube-ipvs0";

/// A virtual server with its real servers.
#[derive(Clone, Debug)]
pub struct Server {
    /// The virtual server.
    pub server: VirtualServer,
    /// Its real servers.
    pub destinations: Vec<Destination>,
}

/// The node's addresses.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Those of kube-proxy's link.
    pub bound: FxHashSet<IpAddr>,
    /// Those of all other links.
    pub node: FxHashSet<IpAddr>,
}

/// Whether kube-proxy's link is there and the kernel has IPVS; nothing is loaded by asking.
pub(crate) fn is_there() -> Result<bool, NetlinkError> {
    Ok(route::link(&mut route::open()?, LINK)?.is_some() && ipvs::available()?)
}

/// Reads what a kube-proxy in ipvs mode has programmed in this network namespace; `None` if it is not there. Errors: a
/// socket failed, or the kernel refused.
pub fn read() -> Result<Option<Programmed>, NetlinkError> {
    let mut socket = route::open()?;
    let Some(link) = route::link(&mut socket, LINK)? else { return Ok(None) };
    if !ipvs::available()? {
        return Ok(None);
    }
    let Some(mut ipvs) = ipvs::open()? else { return Ok(None) };
    let mut addresses = Addresses::default();
    for address in route::addresses(&mut socket)? {
        let list = if address.index == link.index { &mut addresses.bound } else { &mut addresses.node };
        list.insert(address.ip);
    }
    let (servers, consistent) = servers(&mut ipvs)?;
    let found = format!("virtual servers of IPVS, link {LINK}");
    let frontends = parse(&servers, &addresses);
    Ok(Some(Programmed { mode: Mode::Ipvs, found, consistent, frontends }))
}

/// All virtual servers, and whether the list was the same afterwards: the kernel itself does not tell.
fn servers(ipvs: &mut Ipvs) -> Result<(Vec<Server>, bool), NetlinkError> {
    let before = ipvs::services(ipvs)?;
    let mut all = Vec::with_capacity(before.len());
    for server in &before {
        let destinations = ipvs::destinations(ipvs, &server.key)?;
        all.push(Server { server: server.clone(), destinations });
    }
    let after: FxHashSet<VirtualServer> = ipvs::services(ipvs)?.into_iter().collect();
    let consistent = after == before.into_iter().collect();
    Ok((all, consistent))
}

/// The frontends that these virtual servers mean. Those on addresses that the node does not have are none of
/// kube-proxy's. Pure.
pub fn parse(servers: &[Server], addresses: &Addresses) -> BTreeMap<FrontendKey, Frontend> {
    let mut all: BTreeMap<FrontendKey, (Vec<EndpointAddr>, u32)> = BTreeMap::new();
    for server in servers {
        let Some(key) = frontend_key(&server.server.key, addresses) else { continue };
        let entry = all.entry(key).or_default();
        entry.0.extend(server.destinations.iter().filter_map(endpoint));
        entry.1 = affinity(&server.server);
    }
    all.into_iter().map(|(key, (endpoints, affinity))| (key, frontend(endpoints, affinity))).collect()
}

fn frontend_key(key: &Key, addresses: &Addresses) -> Option<FrontendKey> {
    let Key::Address { address: ip, protocol, port } = *key else { return None };
    let protocol = Protocol::from_number(protocol)?;
    if addresses.bound.contains(&ip) {
        return Some(FrontendKey::Vip { ip, protocol, port });
    }
    let family = IpFamily::of(ip);
    addresses.node.contains(&ip).then_some(FrontendKey::NodePort { family, protocol, port })
}

/// A real server that gets new connections. kube-proxy sets weight 0 for one that is going.
fn endpoint(destination: &Destination) -> Option<EndpointAddr> {
    let server = &destination.server;
    let used = server.weight > 0 && server.forwarding == Forwarding::Masquerade;
    used.then(|| EndpointAddr { ip: server.address.ip(), port: server.address.port() })
}

fn affinity(server: &VirtualServer) -> u32 {
    if server.flags & PERSISTENT == 0 { 0 } else { server.timeout }
}

/// A virtual server without any real server refuses.
fn frontend(endpoints: Vec<EndpointAddr>, affinity: u32) -> Frontend {
    Frontend {
        name: None,
        ordinary: Outcome::dnat(endpoints).unwrap_or(Outcome::Reject),
        from_node: None,
        masquerades: None,
        sources: None,
        affinity_seconds: Some(affinity),
    }
}
