//! Which virtual servers are kube-proxy's. IPVS itself tells nothing of who made one. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink::ipset::Member;
use netlink::ipvs::Key;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Sets of `address,protocol:port` that are frontends. Those in the nodePort sets are one for each node address.
const FRONTENDS: [&str; 7] = [
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "LOAD-BALANCER",
    "LOAD-BALANCER-LOCAL",
    "NODE-PORT-LOCAL-SCTP-HASH",
    "NODE-PORT-SCTP-HASH",
];

/// Sets of ports at the node's addresses, with their protocol.
const NODE_PORTS: [(&str, u8); 4] = [
    ("NODE-PORT-LOCAL-TCP", TCP),
    ("NODE-PORT-LOCAL-UDP", UDP),
    ("NODE-PORT-TCP", TCP),
    ("NODE-PORT-UDP", UDP),
];

/// What else kube-proxy has programmed, by which its virtual servers are known.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Addresses on `kube-ipvs0`.
    on_link: BTreeSet<IpAddr>,
    /// The node's addresses on all other links.
    on_node: BTreeSet<IpAddr>,
    /// Frontends that its ipsets name.
    frontends: BTreeSet<(IpAddr, u8, u16)>,
    /// Whether IPv6, protocol and number of its nodePorts.
    node_ports: BTreeSet<(bool, u8, u16)>,
}

/// Whether the members of a set of this purpose tell anything.
pub(super) fn tells_frontends(purpose: &str) -> bool {
    FRONTENDS.contains(&purpose) || node_port_protocol(purpose).is_some()
}

fn node_port_protocol(purpose: &str) -> Option<u8> {
    NODE_PORTS.into_iter().find(|(name, _)| *name == purpose).map(|(_, protocol)| protocol)
}

impl Evidence {
    /// Takes note of an address of this node.
    pub fn address(&mut self, ip: IpAddr, is_on_link: bool) {
        if is_on_link { &mut self.on_link } else { &mut self.on_node }.insert(ip);
    }

    /// Takes note of a member of one of kube-proxy's sets.
    pub fn member(&mut self, purpose: &str, set: &str, member: &Member) {
        let Some(port) = member.port else { return };
        if let Some(protocol) = node_port_protocol(purpose) {
            self.node_ports.insert((set.starts_with("KUBE-6-"), protocol, port));
        } else if let (Some(ip), Some(protocol)) = (member.ip, member.protocol) {
            self.frontends.insert((ip, protocol, port));
        }
    }

    /// Whether a virtual server is kube-proxy's. It makes none for marks.
    pub fn is_kube_proxys(&self, key: &Key) -> bool {
        let Key::Address { address, protocol, port } = *key else { return false };
        self.on_link.contains(&address)
            || self.frontends.contains(&(address, protocol, port))
            || (self.on_node.contains(&address)
                && self.node_ports.contains(&(address.is_ipv6(), protocol, port)))
    }
}

#[cfg(test)]
mod tests {
    use netlink::conntrack::Family;

    use super::*;

    const SCTP: u8 = 132;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A node 192.0.2.10 with a ClusterIP 10.96.0.20, nodePort 30080 and an external address that eth0 has.
    fn evidence() -> Evidence {
        let mut evidence = Evidence::default();
        evidence.address(ip("10.96.0.20"), true);
        for address in ["192.0.2.10", "192.0.2.99", "fd00::10", "127.0.0.1"] {
            evidence.address(ip(address), false);
        }
        let port = Member { port: Some(30080), ..Member::default() };
        evidence.member("NODE-PORT-TCP", "KUBE-NODE-PORT-TCP", &port);
        let port = Member { port: Some(30086), ..Member::default() };
        evidence.member("NODE-PORT-LOCAL-UDP", "KUBE-6-NODE-PORT-LOCAL-UDP", &port);
        let pair = |address, protocol, port| Member {
            ip: Some(ip(address)),
            port: Some(port),
            protocol: Some(protocol),
            ..Member::default()
        };
        evidence.member("EXTERNAL-IP", "KUBE-EXTERNAL-IP", &pair("192.0.2.99", TCP, 443));
        evidence.member("NODE-PORT-SCTP-HASH", "KUBE-NODE-PORT-SCTP-HASH", &pair("192.0.2.10", SCTP, 30090));
        evidence
    }

    #[test]
    fn whose_virtual_server_it_is() {
        let cases = [
            ("10.96.0.20", TCP, 80, true),
            ("10.96.0.20", UDP, 53, true),
            ("192.0.2.10", TCP, 30080, true),
            ("127.0.0.1", TCP, 30080, true),
            ("192.0.2.10", UDP, 30080, false),
            ("fd00::10", TCP, 30080, false),
            ("fd00::10", UDP, 30086, true),
            ("192.0.2.10", UDP, 30086, false),
            ("192.0.2.10", SCTP, 30090, true),
            ("192.0.2.99", SCTP, 30090, false),
            ("192.0.2.99", TCP, 443, true),
            ("192.0.2.99", TCP, 80, false),
            ("192.0.2.10", TCP, 80, false),
            ("203.0.113.1", TCP, 30080, false),
        ];
        let evidence = evidence();
        for (address, protocol, port, expected) in cases {
            let key = Key::Address { address: ip(address), protocol, port };
            assert_eq!(evidence.is_kube_proxys(&key), expected, "{key:?}");
        }
        assert!(!evidence.is_kube_proxys(&Key::Mark { mark: 1, family: Family::V4 }));
    }

    #[test]
    fn without_evidence_nothing_is_kube_proxys() {
        let key = Key::Address { address: ip("10.96.0.1"), protocol: TCP, port: 443 };
        assert!(!Evidence::default().is_kube_proxys(&key));
    }
}
