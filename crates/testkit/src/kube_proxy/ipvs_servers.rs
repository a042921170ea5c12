//! ipvs mode: the link `kube-ipvs0` as text for `ip -batch`, and virtual servers as text for `ipvsadm --restore`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use model::{IpFamily, Protocol};

use super::{Cluster, Endpoint, Port};

impl Cluster {
    /// Makes the link with all VIPs of both families; an address of the node stays where it is.
    pub fn ipvs_link(&self) -> String {
        let vips = self.ports.iter().flat_map(Port::vips).filter(|ip| !self.node_ips.contains(ip));
        let mut text = String::from("link add name kube-ipvs0 type dummy\nlink set kube-ipvs0 up\n");
        for ip in vips.collect::<BTreeSet<_>>() {
            let rest = if ip.is_ipv4() { "/32 dev kube-ipvs0" } else { "/128 dev kube-ipvs0 nodad" };
            // Writing to a String can't fail.
            let _ = writeln!(text, "addr add {ip}{rest}");
        }
        text
    }

    /// The virtual servers of a family with their real servers.
    pub fn ipvs_servers(&self, family: IpFamily) -> String {
        let mut text = String::new();
        for port in self.ports(family) {
            port.push_server(&mut text, port.cluster_ip, &port.endpoints);
            let external = port.endpoints_for_outside();
            for ip in port.external_ips.iter().chain(&port.load_balancer_ips) {
                port.push_server(&mut text, SocketAddr::new(*ip, port.cluster_ip.port()), &external);
            }
            for ip in self.node_ips.iter().filter(|ip| IpFamily::of(**ip) == family) {
                let at = port.node_port.map(|number| SocketAddr::new(*ip, number));
                at.into_iter().for_each(|at| port.push_server(&mut text, at, &external));
            }
        }
        text
    }
}

impl Port {
    fn vips(&self) -> impl Iterator<Item = IpAddr> {
        let more = self.external_ips.iter().chain(&self.load_balancer_ips).copied();
        [self.cluster_ip.ip()].into_iter().chain(more)
    }

    /// Under policy Local those of the node, or all where it has none.
    fn endpoints_for_outside(&self) -> Vec<Endpoint> {
        let local = self.local_endpoints();
        if self.external_local && !local.is_empty() { local } else { self.endpoints.clone() }
    }

    fn push_server(&self, text: &mut String, at: SocketAddr, endpoints: &[Endpoint]) {
        let flag = match self.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
            Protocol::Sctp => "--sctp-service",
        };
        let persistent = self.affinity.map(|seconds| format!(" -p {seconds}")).unwrap_or_default();
        let _ = writeln!(text, "-A {flag} {at} -s rr{persistent}");
        for Endpoint { address, .. } in endpoints {
            let _ = writeln!(text, "-a {flag} {at} -r {address} -m -w 1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frontend_is_a_virtual_server() {
        let text = Cluster::example().ipvs_servers(IpFamily::V4);
        for line in [
            "-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1\n",
            "-A -t 10.96.0.13:80 -s rr -p 10800\n",
            "-A -u 10.96.0.16:80 -s rr\n",
            "-A -t 192.168.0.2:30082 -s rr\n-a -t 192.168.0.2:30082 -r 10.244.1.5:8080 -m -w 1\n-A",
            "-A -t 192.168.0.2:30085 -s rr\n-a -t 192.168.0.2:30085 -r 10.244.2.7:8080 -m -w 1\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(Cluster::example().ipvs_servers(IpFamily::V6).contains("-A -t [fd00:96::10]:80 -s rr\n"));
    }

    #[test]
    fn the_link_has_every_vip_once() {
        let text = Cluster::example().ipvs_link();
        for ip in ["10.96.0.10/32", "5.5.5.11/32", "fd00:96::16/128"] {
            assert_eq!(text.matches(&format!("addr add {ip} ")).count(), 1, "{ip}\n{text}");
        }
        assert!(!text.contains("192.168.0.2"), "{text}");
    }
}
