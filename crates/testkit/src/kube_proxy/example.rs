//! Clusters for tests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use model::Protocol;

use super::{Cluster, Endpoint, Port};

impl Cluster {
    /// A small cluster of both families with one Service of each kind. The node has 192.168.0.2 and fd00:192::2; the
    /// endpoints are 10.244.1.5 and fd00:244:1::5 on this node, and 10.244.2.7 and fd00:244:2::7 elsewhere, port 8080.
    ///
    /// | Service, port 80 | ClusterIP 10.96.0.x, fd00:96::x | and |
    /// |---|---|---|
    /// | default/web:http | 10 | nodePort 30080, both endpoints |
    /// | default/lb:http | 11 | nodePort 30081, LB 5.5.5.11, fd00:5::11 from 203.0.113.0/24, fd00:203::/64; both |
    /// | default/local:http | 12 | nodePort 30082, LB 5.5.5.12, fd00:5::12, eTP Local, health check 30500; both |
    /// | default/sticky | 13 | affinity 10,800 s, both endpoints, port without a name |
    /// | default/none:http | 14 | nodePort 30084, no endpoint |
    /// | default/away:http | 15 | nodePort 30085, eTP Local, only the endpoint elsewhere |
    /// | kube-system/dns:dns | 16 | UDP, both endpoints |
    pub fn example() -> Self {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            pod_cidrs: text(&["10.244.0.0/16", "fd00:244::/32"]),
            service_cidrs: text(&["10.96.0.0/16", "fd00:96::/112"]),
            node_ips: vec![[192, 168, 0, 2].into(), [0xfd00, 0x192, 0, 0, 0, 0, 0, 2].into()],
            ports: [false, true].into_iter().flat_map(ports).collect(),
        }
    }

    /// Many ClusterIP Services of one port, IPv4, each with some endpoints elsewhere.
    pub fn of_size(services: usize, endpoints: usize) -> Self {
        let port = |i: usize| {
            let cluster_ip = SocketAddr::new(nth(Ipv4Addr::new(10, 96, 0, 1), i), 80);
            let first = i * endpoints;
            let addresses: Vec<SocketAddr> = (first..first + endpoints)
                .map(|e| SocketAddr::new(nth(Ipv4Addr::new(10, 128, 0, 1), e), 8080))
                .collect();
            Port::new(&format!("load/service-{i}"), "http", cluster_ip, &addresses)
        };
        let pod_cidrs = vec!["10.128.0.0/9".to_owned()];
        Self { pod_cidrs, ports: (0..services).map(port).collect(), ..Self::default() }
    }
}

fn nth(first: Ipv4Addr, number: usize) -> IpAddr {
    Ipv4Addr::from(u32::from(first) + u32::try_from(number).unwrap_or(u32::MAX >> 8)).into()
}

fn ports(v6: bool) -> Vec<Port> {
    let pod = |node: u16, last: u16| -> SocketAddr {
        let v4 = IpAddr::from([10, 244, node as u8, last as u8]);
        let ip = if v6 { [0xfd00, 0x244, node, 0, 0, 0, 0, last].into() } else { v4 };
        SocketAddr::new(ip, 8080)
    };
    let near = Endpoint { address: pod(1, 5), local: true };
    let far = Endpoint { address: pod(2, 7), local: false };
    let port = |name: &str, last: u16, node_port: Option<u16>, endpoints: &[Endpoint]| {
        let ip = if v6 {
            [0xfd00, 0x96, 0, 0, 0, 0, 0, 0x10 * (last / 10) + last % 10].into()
        } else {
            IpAddr::from([10, 96, 0, last as u8])
        };
        let (service, port_name) = name.split_once(':').unwrap_or((name, ""));
        let mut port = Port::new(service, port_name, SocketAddr::new(ip, 80), &[]);
        (port.node_port, port.endpoints) = (node_port, endpoints.to_vec());
        port
    };
    let load_balancer = |last: u16| -> Vec<IpAddr> {
        let v4 = IpAddr::from([5, 5, 5, last as u8]);
        vec![if v6 { [0xfd00, 5, 0, 0, 0, 0, 0, 0x10 + last - 10].into() } else { v4 }]
    };
    let both = [near, far];
    let range = if v6 { "fd00:203::/64" } else { "203.0.113.0/24" };
    vec![
        port("default/web:http", 10, Some(30080), &both),
        Port {
            load_balancer_ips: load_balancer(11),
            source_ranges: vec![range.to_owned()],
            ..port("default/lb:http", 11, Some(30081), &both)
        },
        Port {
            load_balancer_ips: load_balancer(12),
            external_local: true,
            health_check_node_port: Some(30500),
            ..port("default/local:http", 12, Some(30082), &both)
        },
        Port { affinity: Some(10_800), ..port("default/sticky", 13, None, &both) },
        port("default/none:http", 14, Some(30084), &[]),
        Port { external_local: true, ..port("default/away:http", 15, Some(30085), &[far]) },
        Port { protocol: Protocol::Udp, ..port("kube-system/dns:dns", 16, None, &both) },
    ]
}
