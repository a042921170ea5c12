//! Where NodePorts answer.

use config::{NodePortAddress, ProxyMode};
use ipnet::IpNet;
use model::{IpFamily, Service};

use super::{ANY, IPTABLES, IPTABLES_AND_IPVS, IPVS_AND_NFTABLES, NFTABLES, Rule};
use crate::report::Severity::{Breaks, Differs, Note};
use crate::view::{Subjects, View, has_external_address, has_node_port, some};

const ON_LOOPBACK: &str = "NodePorts do not answer on loopback addresses";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "nodeport-localhost",
        severity: Breaks,
        from: IPTABLES,
        to: IPVS_AND_NFTABLES,
        title: ON_LOOPBACK,
        why: "kube-proxy's mode iptables serves them on 127.0.0.0/8 (localhostNodePorts); no other mode does.",
        remedy: "Let programs on the node use its address, or the ClusterIP. kube-proxy counts such packets in \
                 kubeproxy_iptables_localhost_nodeports_accepted_packets_total: 0 on every node is nobody.",
        subjects: |view| {
            let on = view.config.iptables.localhost_node_ports && covers_loopback(view);
            view.services_if(on, |s| has_node_port(s) && s.cluster_ip(IpFamily::V4).is_some())
        },
    },
    Rule {
        id: "nodeport-localhost",
        severity: Breaks,
        from: NFTABLES,
        to: IPVS_AND_NFTABLES,
        title: ON_LOOPBACK,
        why: "The gate KubeProxyNFTablesLocalhostNodePorts is on and nodePortAddresses names loopback addresses, so \
              kube-proxy serves them with a TCP proxy; towpath has none.",
        remedy: "Let programs on the node use its address, or the ClusterIP.",
        subjects: |view| view.services_if(!proxied_loopbacks(view).is_empty(), has_node_port),
    },
    Rule {
        id: "nodeport-localhost",
        severity: Breaks,
        from: NFTABLES,
        to: IPTABLES,
        title: ON_LOOPBACK,
        why: "The gate KubeProxyNFTablesLocalhostNodePorts is on and nodePortAddresses names loopback addresses, so \
              kube-proxy serves them with a TCP proxy. Mode iptables serves those of IPv4 only, and only with \
              iptables.localhostNodePorts.",
        remedy: "Let programs on the node use its address, or the ClusterIP.",
        subjects: |view| {
            let is_lost = |net: &IpNet| net.addr().is_ipv6() || !view.config.iptables.localhost_node_ports;
            view.services_if(proxied_loopbacks(view).iter().any(is_lost), has_node_port)
        },
    },
    Rule {
        id: "nodeport-localhost-opened",
        severity: Differs,
        from: IPVS_AND_NFTABLES,
        to: IPTABLES,
        title: "NodePorts answer on 127.0.0.0/8 too, for programs on the node",
        why: "iptables.localhostNodePorts is true, as by default. For it the sysctl route_localnet becomes 1, and a rule \
              keeps the network from 127.0.0.0/8.",
        remedy: "Write iptables.localhostNodePorts: false if nobody needs them there.",
        subjects: |view| {
            let before = proxied_loopbacks(view).iter().any(|net| net.addr().is_ipv4());
            let on = view.config.iptables.localhost_node_ports && covers_loopback(view) && !before;
            view.services_if(on, |s| has_node_port(s) && s.cluster_ip(IpFamily::V4).is_some())
        },
    },
    Rule {
        id: "nodeport-addresses",
        severity: Breaks,
        from: IPTABLES_AND_IPVS,
        to: NFTABLES,
        title: "NodePorts answer on the primary address of each node only",
        why: "nodePortAddresses is empty. In mode nftables that is the Node's first address of each family, in the \
              others every address that the node has.",
        remedy: "Nothing changes on nodes with one address of each family. Otherwise write nodePortAddresses; \
                 [0.0.0.0/0, \"::/0\"] is every address but loopback.",
        subjects: |view| view.services_if(view.default_node_ports(), has_node_port),
    },
    Rule {
        id: "nodeport-on-vip",
        severity: Differs,
        from: IPTABLES_AND_IPVS,
        to: NFTABLES,
        title: "NodePorts do not answer on addresses of load balancers that a node owns",
        why: "A load balancer's address or externalIP that is also an address of the node is not its primary one.",
        remedy: "Nothing, if clients use the Service's own port there. Otherwise see nodeport-addresses.",
        subjects: |view| {
            view.services_if(view.default_node_ports(), |s| has_node_port(s) && has_external_address(s))
        },
    },
    Rule {
        id: "health-check-addresses",
        severity: Breaks,
        from: IPTABLES_AND_IPVS,
        to: NFTABLES,
        title: "healthCheckNodePorts answer on the primary address of each node only",
        why: "nodePortAddresses also says where the servers listen, and its default differs between the modes. A load \
              balancer that asks on another address takes the node for dead.",
        remedy: "Look which address the load balancer asks. If it is not the primary one, see nodeport-addresses.",
        subjects: |view| view.services_if(view.default_node_ports(), Service::has_health_check),
    },
    Rule {
        id: "nodeport-all-addresses",
        severity: Breaks,
        from: NFTABLES,
        to: IPTABLES_AND_IPVS,
        title: "NodePorts answer on every address of each node",
        why: "nodePortAddresses is empty. In modes iptables and ipvs that is every address that the node has, those \
              of load balancers too; in mode nftables the Node's first address of each family.",
        remedy: "Nothing changes on nodes with one address of each family. Otherwise write nodePortAddresses: [primary].",
        subjects: |view| view.services_if(view.default_node_ports(), has_node_port),
    },
    Rule {
        id: "health-check-all-addresses",
        severity: Differs,
        from: NFTABLES,
        to: IPTABLES_AND_IPVS,
        title: "healthCheckNodePorts answer on every address of each node",
        why: "nodePortAddresses also says where the servers listen, and its default differs between the modes.",
        remedy: "See nodeport-all-addresses.",
        subjects: |view| view.services_if(view.default_node_ports(), Service::has_health_check),
    },
    Rule {
        id: "nodeport-other-family",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "NodePorts of this family are open on all addresses",
        why: "nodePortAddresses is given and names no address of the family: as in kube-proxy, that is all of them.",
        remedy: "Name a CIDR of the family to limit it.",
        subjects: open_families,
    },
];

fn nets(view: &View<'_>) -> Vec<IpNet> {
    let selectors = view.config.node_port_selectors().into_iter();
    let net = |item| match item {
        NodePortAddress::Net(net) => Some(net),
        NodePortAddress::Primary => None,
    };
    selectors.filter_map(net).collect()
}

/// Loopback addresses on which kube-proxy's mode nftables serves NodePorts with a TCP proxy.
fn proxied_loopbacks(view: &View<'_>) -> Vec<IpNet> {
    let gate = view.config.gate("KubeProxyNFTablesLocalhostNodePorts") == Some(true);
    let found = if gate { nets(view) } else { Vec::new() };
    found.into_iter().filter(|net| view.from == ProxyMode::Nftables && net.addr().is_loopback()).collect()
}

/// As kube-proxy: no CIDR of the family is all addresses, and `primary` is none of these.
fn covers_loopback(view: &View<'_>) -> bool {
    let covers = |net: &IpNet| net.addr().is_loopback() || net.contains(&LOCALHOST);
    !view.selects(IpFamily::V4) || nets(view).iter().any(covers)
}

const LOCALHOST: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn open_families(view: &View<'_>) -> Subjects {
    let used = |f: IpFamily| view.services.iter().any(|s| has_node_port(s) && s.cluster_ip(f).is_some());
    let open = |f: &&IpFamily| !view.default_node_ports() && !view.selects(**f) && used(**f);
    some(IpFamily::ALL.iter().filter(open).map(ToString::to_string).collect())
}
