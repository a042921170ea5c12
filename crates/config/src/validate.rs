//! The checks of kube-proxy's `validation.Validate` (Kubernetes 1.36), and a few that it leaves to the
//! kernel.
//!
//! Stricter than kube-proxy, where a value could never work:
//! * names of interfaces have at most 15 bytes and no wildcard;
//! * in mode ipvs, the scheduler is one that Linux ships, and no timeout is above what the kernel takes.
//!
//! More tolerant, where nothing depends on it:
//! * an unknown feature gate is a warning, and the alpha options of the log need no gate;
//! * `showHiddenMetricsForVersion` may be any version, not only the one before;
//! * `metricsBindAddress` may be empty, which flags can bring about;
//! * `nodePortAddresses` may have 1.37's words `localhost` and `all`.

use crate::address::parse_address;
use crate::duration::GoDuration;
use crate::problem::Problems;
use crate::proxy::KubeProxyConfiguration;
use crate::reading::{LocalMode, ProxyMode};
use crate::validate_text::{cluster_cidrs, link_name, node_port_addresses, port_range, version};

/// All that is wrong with complete settings; empty = nothing.
pub fn validate(config: &KubeProxyConfiguration) -> Problems {
    let mut problems = Problems::default();
    addresses(config, &mut problems);
    modes(config, &mut problems);
    periods(config, &mut problems);
    numbers(config, &mut problems);
    local_detection(config, &mut problems);
    logging(config, &mut problems);
    let list = &config.node_port_addresses;
    node_port_addresses(list, &mut problems);
    port_range(&config.port_range, &mut problems);
    version(&config.show_hidden_metrics_for_version, &mut problems);
    problems
}

fn addresses(config: &KubeProxyConfiguration, problems: &mut Problems) {
    if model::parse_ip(&config.bind_address).is_err() {
        let message =
            "is not an IP address: write this node's primary IP, or 0.0.0.0 to take it from the Node";
        problems.add("bindAddress", &config.bind_address, message);
    }
    for (field, text) in [
        ("healthzBindAddress", &config.healthz_bind_address),
        ("metricsBindAddress", &config.metrics_bind_address),
    ] {
        if text.is_empty() {
            continue;
        }
        if let Err(message) = parse_address(text) {
            problems.add(field, text, message);
        }
    }
    if !config.hostname_override.is_empty() && config.node_name_override().is_none() {
        problems.add("hostnameOverride", "", "is blank: write the name of this Node, or leave it out");
    }
}

fn modes(config: &KubeProxyConfiguration, problems: &mut Problems) {
    if !config.chooses_mode()
        && let Err(message) = config.mode.parse::<ProxyMode>()
    {
        problems.add("mode", &config.mode, message);
    }
    if runs(config, ProxyMode::Ipvs) {
        crate::ipvs::validate(config, problems);
    }
}

/// Whether a mode runs, or may run because it is to be chosen. IPVS is never chosen.
fn runs(config: &KubeProxyConfiguration, mode: ProxyMode) -> bool {
    match config.proxy_mode() {
        Some(given) => given == mode,
        None => mode != ProxyMode::Ipvs,
    }
}

fn periods(config: &KubeProxyConfiguration, problems: &mut Problems) {
    let (iptables, nftables, ipvs) = (&config.iptables, &config.nftables, &config.ipvs);
    for (mode, sync, least) in [
        (ProxyMode::Iptables, iptables.sync_period, iptables.min_sync_period),
        (ProxyMode::Nftables, nftables.sync_period, nftables.min_sync_period),
        (ProxyMode::Ipvs, ipvs.sync_period, ipvs.min_sync_period),
    ] {
        if !runs(config, mode) {
            continue;
        }
        positive(&format!("{mode}.syncPeriod"), sync, problems);
        not_negative(&format!("{mode}.minSyncPeriod"), least, problems);
        if least > sync {
            let message = format!("is above {mode}.syncPeriod, which is {sync}: write less");
            problems.add(format!("{mode}.minSyncPeriod"), least, message);
        }
    }
    positive("configSyncPeriod", config.config_sync_period, problems);
    let conntrack = &config.conntrack;
    for (field, timeout) in [
        ("conntrack.tcpEstablishedTimeout", conntrack.tcp_established_timeout),
        ("conntrack.tcpCloseWaitTimeout", conntrack.tcp_close_wait_timeout),
        ("conntrack.udpTimeout", conntrack.udp_timeout),
        ("conntrack.udpStreamTimeout", conntrack.udp_stream_timeout),
    ] {
        not_negative(field, timeout, problems);
    }
}

pub(crate) fn not_negative(field: &str, value: GoDuration, problems: &mut Problems) {
    if value < GoDuration::ZERO {
        problems.add(field, value, "is negative: write 0s or more");
    }
}

fn positive(field: &str, value: GoDuration, problems: &mut Problems) {
    if value <= GoDuration::ZERO {
        problems.add(field, value, "must be above 0: write for example 30s");
    }
}

fn numbers(config: &KubeProxyConfiguration, problems: &mut Problems) {
    let mut within = |field: &str, value: i32, low: i32, high: i32| {
        if !(low..=high).contains(&value) {
            let message = match high {
                i32::MAX => format!("is too low: write {low} or more"),
                _ => format!("is out of range: write a number from {low} to {high}"),
            };
            problems.add(field, value, message);
        }
    };
    within("iptables.masqueradeBit", config.iptables.masquerade_bit, 0, 31);
    if runs(config, ProxyMode::Nftables) {
        within("nftables.masqueradeBit", config.nftables.masquerade_bit, 0, 31);
    }
    within("oomScoreAdj", config.oom_score_adj, -1000, 1000);
    within("conntrack.maxPerCore", config.conntrack.max_per_core, 0, i32::MAX);
    within("conntrack.min", config.conntrack.min, 0, i32::MAX);
    within("clientConnection.burst", config.client_connection.burst, 0, i32::MAX);
}

fn local_detection(config: &KubeProxyConfiguration, problems: &mut Problems) {
    match config.detect_local_mode.parse::<LocalMode>() {
        Err(message) => problems.add("detectLocalMode", &config.detect_local_mode, message),
        // In the other modes clusterCIDR is not used, and as in kube-proxy not looked at.
        Ok(LocalMode::ClusterCidr) => cluster_cidrs(&config.cluster_cidr, problems),
        Ok(LocalMode::NodeCidr) => {}
        Ok(LocalMode::BridgeInterface) => {
            link_name("detectLocal.bridgeInterface", &config.detect_local.bridge_interface, problems);
        }
        Ok(LocalMode::InterfaceNamePrefix) => {
            link_name(
                "detectLocal.interfaceNamePrefix",
                &config.detect_local.interface_name_prefix,
                problems,
            );
        }
    }
}

fn logging(config: &KubeProxyConfiguration, problems: &mut Problems) {
    let logging = &config.logging;
    let is_text = logging.format == "text";
    if !is_text && logging.format != "json" {
        problems.add("logging.format", &logging.format, "is not a log format: write text or json");
    }
    if !logging.vmodule.is_empty() && !is_text {
        problems.add("logging.vmodule", "", "is only for the log format text: leave it out");
    }
    let items = logging.vmodule.iter().enumerate();
    let levels = items.clone().map(|(i, item)| (format!("logging.vmodule[{i}].verbosity"), item.verbosity));
    for (field, level) in levels.chain([("logging.verbosity".into(), logging.verbosity)]) {
        if level > i32::MAX.unsigned_abs() {
            problems.add(field, level, "is too high: write at most 2147483647");
        }
    }
    for (i, item) in items {
        if item.file_pattern.is_empty() || item.file_pattern.contains(['=', ',']) {
            let message = "is not a pattern of file names: write one without = and ,";
            problems.add(format!("logging.vmodule[{i}].filePattern"), &item.file_pattern, message);
        }
    }
}
