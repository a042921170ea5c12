//! From flags to settings, with one clear sentence for each that cannot be.

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use model::{IpFamily, parse_net};
use resolve::{DetectLocal, Mode, NodePortSelector, ProxyConfig};

use crate::cli::{DetectLocalMode, MeaningArgs};

/// The settings that the flags mean.
pub(crate) fn proxy_config(args: &MeaningArgs) -> Result<ProxyConfig> {
    let mode: Mode = match args.proxy_mode.as_str() {
        "" => Mode::Nftables,
        text => text.parse().map_err(|e: String| anyhow::anyhow!("--proxy-mode: {e}"))?,
    };
    ensure!(args.iptables_masquerade_bit <= 31, "--iptables-masquerade-bit: a mark has bits 0 to 31");
    Ok(ProxyConfig {
        mode,
        detect_local: detect_local(args)?,
        masquerade_all: args.masquerade_all,
        nodeport_addresses: nodeport_addresses(&args.nodeport_addresses)?,
        localhost_nodeports: args.iptables_localhost_nodeports,
        masquerade_bit: args.iptables_masquerade_bit,
        node_hints: true,
    })
}

fn detect_local(args: &MeaningArgs) -> Result<DetectLocal> {
    let cidrs = cluster_cidrs(&args.cluster_cidr)?;
    Ok(match args.detect_local_mode {
        DetectLocalMode::ClusterCidr => DetectLocal::ClusterCidr(cidrs),
        DetectLocalMode::NodeCidr => DetectLocal::NodeCidr,
        DetectLocalMode::BridgeInterface => {
            let name = &args.pod_bridge_interface;
            link_name(name).context("--detect-local-mode BridgeInterface needs --pod-bridge-interface")?;
            DetectLocal::BridgeInterface(name.clone())
        }
        DetectLocalMode::InterfaceNamePrefix => {
            let prefix = &args.pod_interface_name_prefix;
            link_name(prefix)
                .context("--detect-local-mode InterfaceNamePrefix needs --pod-interface-name-prefix")?;
            DetectLocal::InterfaceNamePrefix(prefix.clone())
        }
    })
}

/// A link's name has 1 to 15 bytes, without `/`, spaces or what nft reads as a wildcard.
fn link_name(name: &str) -> Result<()> {
    ensure!(!name.is_empty(), "it is empty");
    ensure!(name.len() <= 15, "{name:?} is longer than the 15 bytes of a link's name");
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && !b"/*\"\\".contains(&b));
    ensure!(plain, "{name:?} cannot be the name of a link");
    Ok(())
}

fn cluster_cidrs(texts: &[String]) -> Result<Vec<IpNet>> {
    let nets: Vec<IpNet> = texts
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| parse_net(text).context("--cluster-cidr"))
        .collect::<Result<_>>()?;
    for family in IpFamily::ALL {
        let count = nets.iter().filter(|net| IpFamily::of(net.addr()) == family).count();
        ensure!(count <= 1, "--cluster-cidr: {count} CIDRs of {family}, at most one of each family");
    }
    Ok(nets)
}

fn nodeport_addresses(texts: &[String]) -> Result<Vec<NodePortSelector>> {
    let mut selectors = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        selectors.push(match text.as_str() {
            "primary" => NodePortSelector::Primary,
            net => NodePortSelector::Net(parse_net(net).context("--nodeport-addresses")?),
        });
    }
    if selectors.contains(&NodePortSelector::Primary) && selectors.len() > 1 {
        bail!("--nodeport-addresses: `primary` stands alone, it cannot be mixed with CIDRs");
    }
    Ok(selectors)
}

/// Warnings about settings that are allowed and rarely meant.
pub(crate) fn warnings(config: &ProxyConfig) -> Vec<String> {
    let mut all = Vec::new();
    let has = |family| {
        let of_family = |s: &NodePortSelector| match s {
            NodePortSelector::Primary => true,
            NodePortSelector::Net(net) => IpFamily::of(net.addr()) == family,
        };
        config.nodeport_addresses.iter().any(of_family)
    };
    for family in IpFamily::ALL {
        if !config.nodeport_addresses.is_empty() && !has(family) {
            all.push(format!(
                "--nodeport-addresses names no {family} CIDR, so NodePorts answer on every {family} address of the \
                 node, as kube-proxy has it; name one to limit them"
            ));
        }
    }
    if config.detect_local == DetectLocal::ClusterCidr(Vec::new()) {
        all.push(
            "no --cluster-cidr: local pods cannot be told from other sources, so traffic to ClusterIPs is never \
             masqueraded and pods get no short-circuit under externalTrafficPolicy Local"
                .into(),
        );
    }
    all
}
