//! Packets to no frontend: a VIP's other ports, addresses that could be VIPs, health checks, or nothing of ours.

use std::net::IpAddr;

use model::{EndpointAddr, FrontendKey, IpFamily, Protocol, Store};

use crate::{Explanation, Mode, Packet, PacketVerdict, ProxyConfig};

/// Explains a packet to no frontend. (Of ICMP, which has no ports and is no [`Packet`]: in mode ipvs the node answers echo
/// requests to every address that a Service has.)
pub(crate) fn elsewhere(store: &Store, config: &ProxyConfig, packet: &Packet) -> Explanation {
    match config.mode {
        Mode::Iptables => health_check(store, packet).unwrap_or_else(|| nothing(store, packet)),
        Mode::Nftables | Mode::Ipvs => {
            let routed = (config.mode == Mode::Ipvs).then(|| routed_vip(store, packet.to.ip)).flatten();
            cluster_ip(store, packet)
                .or(routed)
                .or_else(|| unused(store, packet))
                .unwrap_or_else(|| nothing(store, packet))
        }
    }
}

fn nothing(store: &Store, packet: &Packet) -> Explanation {
    let reason = closed_node_port(store, packet);
    let reason = reason.unwrap_or_else(|| "no Service has this address, port and protocol".into());
    Explanation::of(PacketVerdict::None, reason)
}

/// A NodePort does not answer at every address of the node.
fn closed_node_port(store: &Store, packet: &Packet) -> Option<String> {
    let EndpointAddr { ip, port } = packet.to;
    let key = FrontendKey::NodePort { family: IpFamily::of(ip), protocol: packet.protocol, port };
    let service = store.winner(&key).filter(|_| ip.is_loopback() || store.facts().owns(ip))?;
    let why = if ip.is_loopback() { "at loopback addresses" } else { "at this address (nodePortAddresses)" };
    Some(format!("the NodePort of {service}, which does not answer {why}"))
}

/// In mode iptables a rule accepts them ahead of a host firewall's.
fn health_check(store: &Store, packet: &Packet) -> Option<Explanation> {
    let service = store.health_check_service(packet.to.port)?;
    let ours = packet.protocol == Protocol::Tcp && store.facts().owns(packet.to.ip);
    ours.then(|| Explanation::of(PacketVerdict::Accept, format!("healthCheckNodePort of {service}")))
}

fn cluster_ip(store: &Store, packet: &Packet) -> Option<Explanation> {
    let reason = "a ClusterIP, but no Service has this port and protocol";
    store.is_cluster_ip(packet.to.ip).then(|| Explanation::of(PacketVerdict::Reject, reason))
}

/// In mode ipvs external addresses of Services are routed to this node, so that nobody else could answer. Where one is an address of
/// the node anyway, its other ports are the node's.
fn routed_vip(store: &Store, ip: IpAddr) -> Option<Explanation> {
    if store.facts().owns(ip) {
        return None;
    }
    let family = IpFamily::of(ip);
    let mut services = store.entries().filter_map(|(_, entry)| entry.service.as_deref());
    let has = |service: &&model::Service| {
        !service.ports.is_empty()
            && service.families().any(|f| f == family)
            && service.external_addresses(family).contains(&ip)
    };
    services.find(has)?;
    let reason = "an external address of a Service, which mode ipvs routes to this node, but no Service has this port and \
                  protocol";
    Some(Explanation::of(PacketVerdict::Reject, reason))
}

fn unused(store: &Store, packet: &Packet) -> Option<Explanation> {
    let reserved = store.service_cidrs().iter().any(|net| net.contains(&packet.to.ip));
    let reason = "in a ServiceCIDR, but no Service has this address";
    reserved.then(|| Explanation::of(PacketVerdict::Drop, reason))
}
