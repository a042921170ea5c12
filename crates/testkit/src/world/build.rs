//! From a [`Layout`] to running namespaces.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use model::Protocol;

use super::{Layout, World};
use crate::netns::NetNs;
use crate::probe::{Outcome, probe};
use crate::server::Greeters;
use crate::wait;

/// A port at which nothing listens: it refuses, and that shows that the path is there.
const CLOSED_PORT: u16 = 1;
const PATIENCE: Duration = Duration::from_secs(5);

/// Settings before any link exists. Duplicate address detection off: an address can be used at once.
const QUIET: [(&str, &str); 6] = [
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
];
const ROUTER: [(&str, &str); 2] = [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];
const ACCEPTS_ITSELF: [(&str, &str); 2] =
    [("ipv4/conf/all/accept_local", "1"), ("ipv4/conf/default/accept_local", "1")];

/// Builds everything and waits until it works.
pub(super) fn build(layout: &Layout) -> Result<World> {
    let node = router()?;
    let outside = quiet()?;
    node.ip_batch(&uplink_of_node(layout, &outside)).context("the node's uplink")?;
    outside.ip_batch(&uplink_of_outside(layout)).context("the outside")?;
    let hosts = build_hosts(layout, &node)?;
    let mut world = World {
        _greeters: Vec::new(),
        node,
        outside,
        hosts,
        node_addresses: layout.node.clone(),
        gateways: (0..layout.hosts.len()).flat_map(|i| [gateway_v4(i), gateway_v6(i)]).collect(),
    };
    world._greeters = start_servers(&world, layout)?;
    await_paths(&world, layout)?;
    Ok(world)
}

fn quiet() -> Result<NetNs> {
    let ns = NetNs::new()?;
    ns.set_sysctls(&QUIET)?;
    Ok(ns)
}

fn router() -> Result<NetNs> {
    let ns = NetNs::new()?;
    ns.set_sysctls(&ROUTER)?;
    ns.set_sysctls(&QUIET)?;
    Ok(ns)
}

fn uplink_of_node(layout: &Layout, outside: &NetNs) -> String {
    let mut batch = link("eth0", outside);
    layout.node.iter().for_each(|ip| push_address(&mut batch, *ip, "eth0"));
    batch.push_str("route add 0.0.0.0/0 dev eth0\nroute add ::/0 dev eth0\n");
    batch
}

fn uplink_of_outside(layout: &Layout) -> String {
    let mut batch = String::from("link set eth0 up\n");
    layout.outside.iter().for_each(|ip| push_address(&mut batch, *ip, "eth0"));
    for v6 in [false, true] {
        if let Some(node) = layout.node.iter().find(|ip| ip.is_ipv6() == v6) {
            push_default_route(&mut batch, *node, "");
        }
    }
    batch
}

/// One namespace for each host, all links of the node in one batch, then the hosts side by side.
fn build_hosts(layout: &Layout, node: &NetNs) -> Result<BTreeMap<IpAddr, NetNs>> {
    let mut hosts = Vec::new();
    let mut links = String::new();
    for (i, ip) in layout.hosts.iter().enumerate() {
        let ns = quiet()?;
        let name = layout.links.get(ip).cloned().unwrap_or_else(|| format!("h{i}"));
        links.push_str(&link_to_host(i, *ip, &name, &ns));
        hosts.push((*ip, ns));
    }
    node.ip_batch(&links).context("links to hosts")?;
    thread::scope(|scope| {
        let workers: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(i, (ip, ns))| {
                scope.spawn(move || set_up_host(ns, i, *ip, layout.talks_to_itself.contains(ip)))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(hosts.into_iter().collect())
}

fn link_to_host(i: usize, ip: IpAddr, name: &str, ns: &NetNs) -> String {
    let mut batch = link(name, ns);
    push_address(&mut batch, gateway(i, ip), name);
    push(&mut batch, format_args!("route add {ip} dev {name}"));
    batch
}

fn set_up_host(ns: &NetNs, i: usize, ip: IpAddr, talks_to_itself: bool) -> Result<()> {
    let mut batch = String::from("link set eth0 up\n");
    push_address(&mut batch, ip, "eth0");
    push_default_route(&mut batch, gateway(i, ip), "");
    if talks_to_itself {
        ns.set_sysctls(&ACCEPTS_ITSELF)?;
        push_detour(&mut batch, ip, gateway(i, ip));
    }
    ns.ip_batch(&batch).with_context(|| format!("host {ip}"))
}

/// What the host sends to its own address leaves by the gateway; what comes back is still its own.
fn push_detour(batch: &mut String, ip: IpAddr, gateway: IpAddr) {
    let everyone = everyone(ip);
    push(batch, format_args!("rule add from {everyone} pref 10 lookup local"));
    push(batch, format_args!("rule add from {everyone} pref 5 iif lo to {ip} lookup 100"));
    push(batch, format_args!("rule del from {everyone} pref 0"));
    push_default_route(batch, gateway, " table 100");
}

fn link(name: &str, peer: &NetNs) -> String {
    let path = peer.path();
    format!("link add name {name} type veth peer name eth0 netns {path}\nlink set {name} up\n")
}

fn push_address(batch: &mut String, ip: IpAddr, link: &str) {
    let (length, flags) = if ip.is_ipv4() { (32, "") } else { (128, " nodad") };
    push(batch, format_args!("addr add {ip}/{length} dev {link}{flags}"));
}

fn push_default_route(batch: &mut String, gateway: IpAddr, table: &str) {
    let everyone = everyone(gateway);
    push(batch, format_args!("route add {everyone} via {gateway} dev eth0 onlink{table}"));
}

fn push(batch: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = writeln!(batch, "{line}");
}

/// The whole of an address's family; in a batch it is the prefix that tells `ip` the family.
fn everyone(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "0.0.0.0/0" } else { "::/0" }
}

fn gateway(i: usize, ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { gateway_v4(i) } else { gateway_v6(i) }
}

fn gateway_v4(i: usize) -> IpAddr {
    let low = u32::try_from(i).unwrap_or(u32::MAX).saturating_add(1);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)).saturating_add(low)).into()
}

fn gateway_v6(i: usize) -> IpAddr {
    let low = i.saturating_add(1) as u128;
    Ipv6Addr::from(u128::from(Ipv6Addr::new(0xfd00, 0xffff, 0, 0, 0, 0, 0, 0)).saturating_add(low)).into()
}

/// One thread of servers for each namespace that has any.
fn start_servers(world: &World, layout: &Layout) -> Result<Vec<Greeters>> {
    let of = |ns: &NetNs| -> Vec<SocketAddr> {
        layout.servers.iter().copied().filter(|s| std::ptr::eq(world.namespace(s.ip()), ns)).collect()
    };
    let all = [&world.node, &world.outside].into_iter().chain(world.hosts.values());
    all.map(|ns| (ns, of(ns)))
        .filter(|(_, mine)| !mine.is_empty())
        .map(|(ns, mine)| Greeters::start(ns, &mine))
        .collect()
}

/// A link carries packets only some time after it is up: the node asks everyone once. This also fills the
/// neighbour tables.
fn await_paths(world: &World, layout: &Layout) -> Result<()> {
    for ip in layout.hosts.iter().chain(&layout.outside) {
        let closed = SocketAddr::new(*ip, CLOSED_PORT);
        wait::until(&format!("a path to {ip}"), PATIENCE, || {
            let outcome = probe(world.node(), None, closed, Protocol::Tcp, Duration::from_millis(50))?;
            Ok((outcome == Outcome::Refused).then_some(()))
        })?;
    }
    Ok(())
}
