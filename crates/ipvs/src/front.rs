//! What of the node shapes virtual servers: where NodePorts answer, and how packets to VIPs come to this node.

use std::net::IpAddr;

use dataplane::Ground;
use ipnet::IpNet;
use model::{IpFamily, Scheduler, is_link_local};
use resolve::{LocalSource, NodePortScope};

use crate::objects::{Key, Value};

/// The facts of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// The family.
    pub family: IpFamily,
    /// The scheduler of Services that ask for none.
    pub scheduler: Scheduler,
    /// Addresses of the node on which NodePorts answer.
    pub node_ports: Vec<IpAddr>,
    /// Addresses that the node's kernel has.
    own: Vec<IpAddr>,
    /// Prefixes that are routed here as a whole.
    routed: Vec<IpNet>,
    /// The source of connections of the node to a VIP.
    source: Option<IpAddr>,
}

impl Front {
    /// What the configuration and the node mean for a family.
    pub fn new(ground: &Ground<'_>, family: IpFamily) -> Self {
        // Links of pods that come and go have link-local addresses; these must not have every Service lowered again.
        let matters = |ip: &IpAddr| IpFamily::of(*ip) == family && !is_link_local(ip);
        let own: Vec<IpAddr> = ground.facts.kernel_or_node_addresses().into_iter().filter(matters).collect();
        let scope = NodePortScope::new(ground.config, ground.facts, family);
        let node_ports = own.iter().filter(|ip| scope.accepts(ground.facts, **ip));
        let primary = ground.facts.primary(family);
        Self {
            family,
            scheduler: ground.config.scheduler,
            node_ports: node_ports.copied().collect(),
            routed: routed(ground, family, &own),
            // An address that the kernel does not have cannot be a source.
            source: primary.filter(|ip| ground.facts.kernel_addresses.contains(ip)),
            own,
        }
    }

    /// The routes that belong to no Service.
    pub fn routes(&self) -> impl Iterator<Item = (Key, Value)> + '_ {
        self.routed.iter().map(|net| (Key::Route(*net), Value::Route(self.source)))
    }

    /// The route that a VIP needs for itself, if it does.
    pub fn route(&self, vip: IpAddr) -> Option<(Key, Value)> {
        let there = self.own.contains(&vip) || self.routed.iter().any(|net| net.contains(&vip));
        (!there && !vip.is_loopback()).then(|| (Key::Route(IpNet::from(vip)), Value::Route(self.source)))
    }
}

/// The ServiceCIDRs that can be routed here as a whole: all but those in which nodes or pods live too.
fn routed(ground: &Ground<'_>, family: IpFamily, own: &[IpAddr]) -> Vec<IpNet> {
    let pods = match LocalSource::new(ground.config, ground.facts, family) {
        LocalSource::Net(net) => Some(net),
        _ => None,
    };
    let of_node = ground.facts.node.iter().flat_map(|node| &node.pod_cidrs).copied();
    let taken: Vec<IpNet> = own.iter().map(|ip| IpNet::from(*ip)).chain(pods).chain(of_node).collect();
    let overlaps = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let mine = ground.service_cidrs.iter().filter(|net| IpFamily::of(net.addr()) == family);
    let free = mine.filter(|net| net.prefix_len() > 0 && !taken.iter().any(|other| overlaps(net, other)));
    let mut nets: Vec<IpNet> = free.map(IpNet::trunc).collect();
    nets.sort_unstable();
    nets.dedup();
    nets
}

#[cfg(test)]
mod tests {
    use model::{NodeFacts, parse_net};
    use resolve::{DetectLocal, Mode, ProxyConfig};

    use super::*;

    fn front(cluster_cidr: &str, service_cidrs: &[&str]) -> Front {
        let ips = ["127.0.0.1", "192.168.0.2", "169.254.1.1", "2001:db8::1", "fe80::1"];
        let kernel_addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let facts = NodeFacts { kernel_addresses, ..NodeFacts::default() };
        let detect_local = DetectLocal::ClusterCidr(vec![parse_net(cluster_cidr).unwrap()]);
        let config = ProxyConfig { mode: Mode::Ipvs, detect_local, ..ProxyConfig::default() };
        let nets: Vec<IpNet> = service_cidrs.iter().map(|net| parse_net(net).unwrap()).collect();
        Front::new(&Ground { config: &config, facts: &facts, service_cidrs: &nets }, IpFamily::V4)
    }

    fn texts(routes: impl Iterator<Item = (Key, Value)>) -> Vec<String> {
        let text = |(key, _)| match key {
            Key::Route(net) => net.to_string(),
            other => format!("{other:?}"),
        };
        routes.map(text).collect()
    }

    #[test]
    fn service_cidrs_are_routed_where_nobody_else_lives() {
        for (pods, cidrs, want) in [
            ("10.244.0.0/16", &["10.96.0.0/12", "fd00:96::/112"][..], &["10.96.0.0/12"][..]),
            ("10.244.0.0/16", &["10.0.0.0/8"], &[]),
            ("10.244.0.0/16", &["10.244.3.0/24", "10.96.0.0/16"], &["10.96.0.0/16"]),
            ("10.244.0.0/16", &["192.168.0.0/24"], &[]),
            ("10.244.0.0/16", &["0.0.0.0/0"], &[]),
        ] {
            assert_eq!(texts(front(pods, cidrs).routes()), want, "{pods} {cidrs:?}");
        }
    }

    #[test]
    fn a_vip_outside_of_them_has_a_route_of_its_own() {
        let front = front("10.244.0.0/16", &["10.96.0.0/12"]);
        for (vip, want) in
            [("10.96.0.10", &[][..]), ("1.2.3.4", &["1.2.3.4/32"]), ("192.168.0.2", &[]), ("127.0.0.1", &[])]
        {
            assert_eq!(texts(front.route(vip.parse().unwrap()).into_iter()), want, "{vip}");
        }
    }

    #[test]
    fn node_ports_answer_on_addresses_that_others_can_use() {
        let ips: Vec<String> =
            front("10.244.0.0/16", &[]).node_ports.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["192.168.0.2"]);
    }
}
