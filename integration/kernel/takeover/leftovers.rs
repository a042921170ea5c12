//! What kube-proxy has left for the scene of `modes`, and whether it is still there.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use model::IpFamily;
use testkit::cases::{Policy, PortSpec, ServiceSpec, SliceSpec};
use testkit::kube_proxy::{self, Cluster, Endpoint, Port};
use testkit::scene::{NODE_NAME, Scene};

use crate::stage::Stage;
use crate::xt::Variant;

/// A Service of kube-proxy's that the scene does not have; its endpoints are nobody, so it is tried only when it is gone.
pub(super) const STALE: &str = "192.168.0.2:30080";
/// The Service of the example that has the same addresses as one of the scene.
const SAME_ADDRESSES: &str = "default/web";

/// A mode of kube-proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    /// iptables, over x_tables.
    Legacy,
    /// iptables, over nf_tables.
    NftVariant,
    /// nftables.
    Nftables,
    /// ipvs: its chains, of x_tables. This kernel has no IPVS, so they serve nobody.
    IpvsChains,
}

impl Leftover {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Legacy, Self::NftVariant, Self::Nftables, Self::IpvsChains];

    /// Whether Services are served by it.
    pub(super) fn serves(self) -> bool {
        self != Self::IpvsChains
    }

    /// Puts it into the kernel.
    pub(super) fn load(self, stage: &Stage) -> Result<()> {
        let cluster = cluster(&stage.scene);
        for family in IpFamily::ALL {
            let loaded = match self {
                Self::Legacy => stage.restore(Variant::Legacy, family, &cluster.iptables(family)),
                Self::NftVariant => stage.restore(Variant::Nft, family, &cluster.iptables(family)),
                Self::Nftables => stage.node().nft(&cluster.nft(family)),
                Self::IpvsChains => stage.restore(Variant::Legacy, family, &kube_proxy::ipvs_chains(family)),
            };
            loaded.with_context(|| format!("loading {self:?} of {family:?}"))?;
        }
        Ok(())
    }
}

/// kubelet's rules, a network plugin's, a container engine's.
pub(super) fn load_foreign(stage: &Stage, variant: Variant) -> Result<()> {
    for family in IpFamily::ALL {
        for text in [kube_proxy::kubelet(family), kube_proxy::foreign(family)] {
            stage.restore(variant, family, &text).with_context(|| format!("of others: {text}"))?;
        }
    }
    Ok(())
}

/// Names of chains that only kube-proxy has: the first of a mode, and one for each kind of Service.
const CHAINS: &[&str] = &[
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-MARK-MASQ",
    "KUBE-FORWARD",
    "KUBE-PROXY-FIREWALL",
    "KUBE-PROXY-CANARY",
    "KUBE-NODE-PORT",
    "KUBE-LOAD-BALANCER",
    "KUBE-SOURCE-RANGES-FIREWALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
];
/// So begin chains of single Services; 16 characters of a hash follow.
const PREFIXES: &[&str] = &["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"];
const HASH: usize = 16;

fn is_kube_proxys(chain: &str) -> bool {
    let of_service = |prefix: &str| chain.strip_prefix(prefix).is_some_and(|rest| rest.len() == HASH);
    CHAINS.contains(&chain) || PREFIXES.iter().any(|prefix| of_service(prefix))
}

/// Every chain and every table of kube-proxy's that is in the kernel, and every rule that leads there.
pub(super) fn found(stage: &Stage) -> Result<Vec<String>> {
    let tables = stage.node().command("nft", &["list", "tables"])?;
    let is_table = |line: &&str| matches!(*line, "table ip kube-proxy" | "table ip6 kube-proxy");
    let mut found: Vec<String> = tables.lines().filter(is_table).map(str::to_owned).collect();
    for variant in Variant::ALL {
        for ((family, table, chain), rules) in &stage.saved(variant)?.0 {
            let place = format!("{variant:?} {family:?} {table} {chain}");
            if is_kube_proxys(chain) {
                found.push(place.clone());
            }
            let leads = |rule: &&String| rule.split_whitespace().any(is_kube_proxys);
            found.extend(rules.iter().filter(leads).map(|rule| format!("{place} {rule}")));
        }
    }
    Ok(found)
}

/// What kube-proxy knew: the scene, and Services that are there no more.
pub(super) fn cluster(scene: &Scene) -> Cluster {
    let example = Cluster::example();
    let stale = example.ports.into_iter().map(|port| match port.service == SAME_ADDRESSES {
        true => Port { cluster_ip: other_address(port.cluster_ip), ..port },
        false => port,
    });
    let known = scene.services.iter().flat_map(|service| {
        let ports = service.ports.iter();
        ports.flat_map(move |port| service.cluster_ips.iter().map(move |ip| of(scene, service, port, *ip)))
    });
    Cluster { ports: known.chain(stale).collect(), ..example }
}

fn other_address(of: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match of.ip() {
        IpAddr::V4(_) => [10, 96, 0, 99].into(),
        IpAddr::V6(_) => [0xfd00, 0x96, 0, 0, 0, 0, 0, 0x99].into(),
    };
    SocketAddr::new(ip, of.port())
}

/// One port of a Service in one family.
fn of(scene: &Scene, service: &ServiceSpec, port: &PortSpec, cluster_ip: IpAddr) -> Port {
    let same = |ip: &IpAddr| ip.is_ipv4() == cluster_ip.is_ipv4();
    let affinity = service.session_affinity.as_deref() == Some("ClientIP");
    let slices = scene.slices.iter().filter(|slice| slice.service == service.name);
    Port {
        protocol: port.protocol.0,
        node_port: port.node_port,
        load_balancer_ips: service.lb_ingress.iter().map(|ingress| ingress.ip).filter(same).collect(),
        external_local: service.external_traffic_policy == Some(Policy::Local),
        affinity: affinity.then_some(service.affinity_timeout.unwrap_or(10_800)),
        endpoints: slices
            .flat_map(|slice| endpoints(slice, &port.name))
            .filter(|e| same(&e.address.ip()))
            .collect(),
        ..Port::new(&service.name, &port.name, SocketAddr::new(cluster_ip, port.port), &[])
    }
}

fn endpoints(slice: &SliceSpec, port: &str) -> Vec<Endpoint> {
    let number = slice.ports.iter().find(|spec| spec.name == port).map(|spec| spec.port);
    let endpoint = |number| {
        slice.endpoints.iter().map(move |spec| Endpoint {
            address: SocketAddr::new(spec.ip, number),
            local: spec.node.as_deref() == Some(NODE_NAME),
        })
    };
    number.into_iter().flat_map(endpoint).collect()
}
