//! From kube-proxy's settings to what a Service means. The settings were checked when they were read.

use std::collections::BTreeSet;
use std::time::Duration;

use config::{KubeProxyConfiguration, LocalMode, NodePortAddress, ProxyMode, Settings};
use model::NamespacedName;
use netlink::ipvs::Timeouts;
use resolve::{DetectLocal, Mode, NodePortSelector, ProxyConfig};

/// The feature gate of hints for nodes, GA in Kubernetes 1.35.
const NODE_HINTS: &str = "PreferSameTrafficDistribution";

/// The meaning of the settings in a mode.
pub(crate) fn proxy_config(settings: &Settings, mode: Mode) -> ProxyConfig {
    let dns = &settings.towpath.dns;
    let settings = &settings.proxy;
    let of_mode = settings.mode_settings(proxy_mode(mode));
    ProxyConfig {
        mode,
        detect_local: detect_local(settings),
        masquerade_all: of_mode.masquerade_all,
        nodeport_addresses: settings.node_port_selectors().into_iter().map(selector).collect(),
        localhost_nodeports: settings.iptables.localhost_node_ports,
        masquerade_bit: of_mode.masquerade_bit,
        node_hints: settings.gate(NODE_HINTS).unwrap_or(true),
        scheduler: settings.ipvs_scheduler(),
        by_rules: dns
            .service_name()
            .filter(|_| dns.intercept)
            .map(|(namespace, name)| NamespacedName::new(namespace, name)),
    }
}

/// The settings that are of mode ipvs alone. Nothing is adopted.
pub(crate) fn ipvs_settings(settings: &Settings) -> ipvs::Settings {
    let proxy = &settings.proxy;
    let timeouts = proxy.ipvs_timeouts();
    ipvs::Settings {
        exclude: proxy.ipvs_exclude_cidrs(),
        drain: settings.towpath.ipvs_drain_timeout.as_std(),
        adopt: BTreeSet::new(),
        strict_arp: proxy.ipvs_strict_arp(),
        timeouts: Timeouts { tcp: timeouts.tcp, tcp_fin: timeouts.tcp_fin, udp: timeouts.udp },
    }
}

/// Warnings about settings that are allowed and rarely meant in their mode.
pub(crate) fn warnings(config: &ProxyConfig) -> Vec<String> {
    let selectors = &config.nodeport_addresses;
    let loopback = |s: &NodePortSelector| matches!(s, NodePortSelector::Net(net) if net.addr().is_loopback());
    let nowhere = config.mode == Mode::Nftables && !selectors.is_empty() && selectors.iter().all(loopback);
    let text = "nodePortAddresses (--nodeport-addresses) has loopback addresses only, on which NodePorts never answer in \
                mode nftables: they answer nowhere";
    if nowhere { vec![text.into()] } else { Vec::new() }
}

/// The mode as the settings name it.
pub(crate) fn proxy_mode(mode: Mode) -> ProxyMode {
    match mode {
        Mode::Iptables => ProxyMode::Iptables,
        Mode::Ipvs => ProxyMode::Ipvs,
        Mode::Nftables => ProxyMode::Nftables,
    }
}

/// A change that waits longer than this makes `/healthz` fail: twice the syncPeriod of the mode, as in kube-proxy.
pub(crate) fn late(settings: &KubeProxyConfiguration, mode: Mode) -> Duration {
    settings.mode_settings(proxy_mode(mode)).sync_period * 2
}

fn detect_local(settings: &KubeProxyConfiguration) -> DetectLocal {
    let of = &settings.detect_local;
    match settings.local_mode() {
        LocalMode::ClusterCidr => DetectLocal::ClusterCidr(settings.cluster_cidrs()),
        LocalMode::NodeCidr => DetectLocal::NodeCidr,
        LocalMode::BridgeInterface => DetectLocal::BridgeInterface(of.bridge_interface.clone()),
        LocalMode::InterfaceNamePrefix => DetectLocal::InterfaceNamePrefix(of.interface_name_prefix.clone()),
    }
}

fn selector(address: NodePortAddress) -> NodePortSelector {
    match address {
        NodePortAddress::Primary => NodePortSelector::Primary,
        NodePortAddress::Net(net) => NodePortSelector::Net(net),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_mode_ipvs() {
        let text = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\nipvs:\n  \
                    excludeCIDRs: [10.0.0.0/8]\n  scheduler: lc\n  strictARP: true\n  tcpTimeout: 90s\n---\napiVersion: \
                    towpath.dev/v1alpha1\nkind: TowpathConfiguration\nipvsDrainTimeout: 20s\n";
        let settings = config::load(Some(text), &Default::default(), &Default::default()).unwrap();
        let own = ipvs_settings(&settings);
        assert_eq!(own.exclude, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!((own.drain, own.strict_arp), (Duration::from_secs(20), true));
        assert_eq!(own.timeouts, Timeouts { tcp: 90, tcp_fin: 0, udp: 0 });
        assert!(own.adopt.is_empty());
        assert_eq!(proxy_config(&settings, Mode::Ipvs).scheduler.as_str(), "lc");
    }
}
