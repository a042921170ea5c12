//! What kube-proxy 1.36 leaves on a node: its rules in each mode, kubelet's, and those of others beside them.
//!
//! ```text
//!   Cluster --iptables(family)--> text for iptables-restore --noflush    (kube-proxy's chains and jumps)
//!           --nft(family)------> text for nft -f                         (table ip kube-proxy, ip6 kube-proxy)
//!           --ipsets(family)---> text for ipset restore, and then
//!           --ipvs_iptables()--> text for iptables-restore --noflush     (ipvs mode)
//!           --ipvs_link()------> text for ip -batch, and then
//!           --ipvs_servers()---> text for ipvsadm --restore
//!   kubelet(family), foreign(family), ipvs_chains(family)                (texts for iptables-restore)
//! ```
//!
//! The texts are written from the upstream rules (`pkg/proxy/{iptables,nftables}/proxier.go`, 1.36.2), in its order,
//! with its comments; packets that go through them reach endpoints. Hashes in names only look like upstream's.

mod example;
mod iptables;
mod ipvs;
mod ipvs_servers;
mod nft;
mod others;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use model::{IpFamily, Protocol};

pub use others::{foreign, ipvs_chains, kubelet};

/// kube-proxy's masquerade mark (`iptablesMasqueradeBit: 14`).
const MARK: &str = "0x4000";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What kube-proxy knows. Each family shows those Services whose ClusterIP is of it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// `--cluster-cidr`, one of each family; a family without has no detection of pods.
    pub pod_cidrs: Vec<String>,
    /// ServiceCIDRs; traffic to addresses in them that no Service has is dropped in nftables mode.
    pub service_cidrs: Vec<String>,
    /// The node's addresses that accept nodePorts; the iptables rules ask the kernel instead.
    pub node_ips: Vec<IpAddr>,
    /// Service ports.
    pub ports: Vec<Port>,
}

/// One port of a Service of one family.
#[derive(Clone, Debug)]
pub struct Port {
    /// `namespace/name`.
    pub service: String,
    /// Its name; empty for none.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// The ClusterIP with the port.
    pub cluster_ip: SocketAddr,
    /// The nodePort.
    pub node_port: Option<u16>,
    /// External addresses.
    pub external_ips: Vec<IpAddr>,
    /// The load balancer's addresses.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `loadBalancerSourceRanges`.
    pub source_ranges: Vec<String>,
    /// `externalTrafficPolicy: Local`.
    pub external_local: bool,
    /// `healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// Seconds of `ClientIP` affinity.
    pub affinity: Option<u32>,
    /// Ready endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// On this node.
    pub local: bool,
}

impl Cluster {
    fn ports(&self, family: IpFamily) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(move |port| port.family() == family)
    }

    fn pod_cidr(&self, family: IpFamily) -> Option<&str> {
        of_family(&self.pod_cidrs, family).next()
    }
}

impl Port {
    /// A port with nothing but a ClusterIP and endpoints elsewhere.
    pub fn new(service: &str, name: &str, cluster_ip: SocketAddr, endpoints: &[SocketAddr]) -> Self {
        let remote = |address: &SocketAddr| Endpoint { address: *address, local: false };
        Self {
            service: service.to_owned(),
            name: name.to_owned(),
            protocol: Protocol::Tcp,
            cluster_ip,
            node_port: None,
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            external_local: false,
            health_check_node_port: None,
            affinity: None,
            endpoints: endpoints.iter().map(remote).collect(),
        }
    }

    fn family(&self) -> IpFamily {
        IpFamily::of(self.cluster_ip.ip())
    }

    /// `tcp`, `udp` or `sctp`.
    fn protocol(&self) -> &'static str {
        self.protocol.as_str()
    }

    fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.load_balancer_ips.is_empty()
    }

    fn local_endpoints(&self) -> Vec<Endpoint> {
        self.endpoints.iter().copied().filter(|endpoint| endpoint.local).collect()
    }

    /// Whether traffic from outside finds an endpoint.
    fn has_external_endpoints(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.local || !self.external_local)
    }

    /// Whether some address of the load balancer is open to some clients only.
    fn is_restricted(&self) -> bool {
        !self.source_ranges.is_empty()
    }
}

impl fmt::Display for Port {
    /// `namespace/name:port`, or `namespace/name` for a port without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return f.write_str(&self.service);
        }
        write!(f, "{}:{}", self.service, self.name)
    }
}

fn of_family(cidrs: &[String], family: IpFamily) -> impl Iterator<Item = &str> {
    cidrs.iter().map(String::as_str).filter(move |cidr| cidr.contains(':') == (family == IpFamily::V6))
}

/// Characters that look like kube-proxy's: base32 of a hash of the text (FNV-1a, 128 bits; theirs is SHA-256).
pub fn hash(text: &str, characters: usize) -> String {
    let fnv = |state: u128, byte: &u8| {
        (state ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B)
    };
    let state = text.as_bytes().iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, fnv);
    (0..characters).map(|i| char::from(BASE32[(state >> (5 * i + 20)) as usize % 32])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_look_like_upstreams() {
        let one = hash("default/web:httptcp", 16);
        assert!(one.len() == 16 && one.bytes().all(|byte| BASE32.contains(&byte)), "{one}");
        assert_ne!(one, hash("default/web:httpudp", 16));
    }

    #[test]
    fn every_chain_of_the_example_is_declared_and_every_kind_is_there() {
        for family in IpFamily::ALL {
            let text = Cluster::example().iptables(family);
            for kind in ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"] {
                assert!(text.contains(&format!("\n:{kind}")), "{kind}\n{text}");
            }
            for target in text.lines().filter_map(|line| line.split(" -j ").nth(1)) {
                let name = target.split(' ').next().unwrap();
                assert!(!name.starts_with("KUBE-") || text.contains(&format!("\n:{name} ")), "{name}");
            }
        }
    }
}
