//! Checks of fields that are text, and advice about settings that are allowed and rarely meant.

use ipnet::IpNet;
use model::IpFamily;

use crate::problem::Problems;
use crate::proxy::KubeProxyConfiguration;
use crate::reading::{LocalMode, NodePortAddress, ProxyMode, node_port_address};

/// One CIDR, or one of each family.
pub(crate) fn cluster_cidrs(text: &str, problems: &mut Problems) {
    let mut nets: Vec<IpNet> = Vec::new();
    for item in text.split(',').filter(|_| !text.is_empty()) {
        match model::parse_net(item) {
            Ok(net) => nets.push(net),
            Err(_) => {
                let message =
                    format!("{item:?} is not a CIDR: write 10.244.0.0/16 or 10.244.0.0/16,fd00::/48");
                problems.add("clusterCIDR", text, message);
            }
        }
    }
    for family in IpFamily::ALL {
        let count = nets.iter().filter(|net| IpFamily::of(net.addr()) == family).count();
        if count > 1 {
            let message = format!("has {count} CIDRs of {family}: write at most one of each family");
            problems.add("clusterCIDR", text, message);
        }
    }
}

/// A link's name has 1 to 15 bytes, without `/`, spaces or what nft and iptables read as a wildcard.
pub(crate) fn link_name(field: &str, name: &str, problems: &mut Problems) {
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && !b"/*+\"\\".contains(&b));
    let message = match name.len() {
        0 => "is empty: this detectLocalMode needs it",
        1..=15 if plain => return,
        1..=15 => "cannot be the name of an interface: write letters, digits and the like",
        _ => "is longer than the 15 bytes of an interface's name",
    };
    problems.add(field, name, message);
}

/// CIDRs, or `primary` alone.
pub(crate) fn node_port_addresses(list: &[String], problems: &mut Problems) {
    for (i, text) in list.iter().enumerate() {
        let message = match node_port_address(text) {
            Err(message) => message,
            Ok(items) if items == [NodePortAddress::Primary] && list.len() > 1 => {
                "stands alone: leave out either it or the CIDRs".into()
            }
            Ok(_) => continue,
        };
        problems.add(format!("nodePortAddresses[{i}]"), text, message);
    }
}

/// Nothing, `300`, `300-2000` or `300+100`, as kube-proxy still checks it.
pub(crate) fn port_range(text: &str, problems: &mut Problems) {
    let port = |text: &str| text.trim().parse::<u16>().ok();
    let is_range = match (text.split_once('-'), text.split_once('+')) {
        _ if text.trim().is_empty() => true,
        (Some((low, high)), None) => port(low).zip(port(high)).is_some_and(|(low, high)| low <= high),
        (None, Some((low, more))) => {
            port(low).zip(port(more)).is_some_and(|(l, m)| l.checked_add(m).is_some())
        }
        _ => port(text).is_some(),
    };
    if !is_range {
        problems.add("portRange", text, "is not a range of ports: leave it out, it has no meaning any more");
    }
}

/// Nothing, or `<major>.<minor>`.
pub(crate) fn version(text: &str, problems: &mut Problems) {
    let number = |text: &str| text.parse::<u16>().is_ok();
    let is_version = text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor));
    if !text.is_empty() && !is_version {
        let message = "is not a version: leave it out, or write <major>.<minor> as in 1.35";
        problems.add("showHiddenMetricsForVersion", text, message);
    }
}

/// Sentences about settings that are allowed and rarely meant.
pub(crate) fn advice(config: &KubeProxyConfiguration) -> Vec<String> {
    let mut all = crate::gates::unknown(config);
    let selectors = config.node_port_selectors();
    for family in IpFamily::ALL {
        let names = |item: &NodePortAddress| match item {
            NodePortAddress::Primary => true,
            NodePortAddress::Net(net) => IpFamily::of(net.addr()) == family,
        };
        if !selectors.is_empty() && !selectors.iter().any(names) {
            all.push(format!(
                "nodePortAddresses names no {family} CIDR, so NodePorts answer on every {family} address of the \
                 node, as kube-proxy has it; name one to limit them"
            ));
        }
    }
    if config.local_mode() == LocalMode::ClusterCidr && config.cluster_cidrs().is_empty() {
        all.push(
            "no clusterCIDR: local pods cannot be told from other sources, so traffic to ClusterIPs is never \
             masqueraded and pods get no short-circuit under externalTrafficPolicy Local"
                .into(),
        );
    }
    // In mode ipvs it is refused.
    if config.proxy_mode() != Some(ProxyMode::Ipvs)
        && let Some(message) = crate::ipvs::unknown_scheduler(config)
    {
        all.push(format!("ipvs.scheduler: {:?} {message}", config.ipvs.scheduler));
    }
    all.extend(odd_node_name(config));
    all
}

/// `$(NODE_NAME)` that nothing has replaced is the usual case.
fn odd_node_name(config: &KubeProxyConfiguration) -> Option<String> {
    let name = config.node_name_override()?;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    (!plain)
        .then(|| format!("hostnameOverride: {name} cannot be the name of a Node, so nothing will be local"))
}
