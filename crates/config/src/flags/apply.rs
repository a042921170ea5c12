//! From flags to settings, in kube-proxy's order of who beats whom.

use super::KubeProxyFlags;
use super::towpath::set;
use crate::address::complete_port;
use crate::problem::Problems;
use crate::proxy::KubeProxyConfiguration;
use crate::reading::ProxyMode;

/// The names of the given ones of these flags.
macro_rules! given {
    ($flags:ident: $($field:ident)*) => {{
        let all = [$((stringify!($field), $flags.$field.is_some())),*];
        let given = all.into_iter().filter(|(_, given)| *given);
        given.map(|(name, _)| format!("--{}", name.replace('_', "-"))).collect::<Vec<_>>()
    }};
}

impl KubeProxyFlags {
    /// The defaults with the given flags over them: the settings when there is no `--config`.
    pub fn into_configuration(self) -> KubeProxyConfiguration {
        let mut config = KubeProxyConfiguration::default();
        self.apply_general(&mut config);
        self.apply_addresses(&mut config);
        self.apply_modes(&mut config);
        self.apply_periods(&mut config);
        self.apply_local_detection(&mut config);
        self.apply_conntrack(&mut config);
        self.apply_hostname(&mut config);
        self.apply_logging(&mut config);
        config
    }

    /// Puts over a file's settings what beats a file: `--hostname-override` and the flags of the log. Returns
    /// the names of the other given flags, which the file beats.
    pub fn override_file(&self, config: &mut KubeProxyConfiguration) -> Vec<String> {
        self.apply_hostname(config);
        self.apply_logging(config);
        self.beaten_by_a_file()
    }

    fn beaten_by_a_file(&self) -> Vec<String> {
        let mut names = given!(self: bind_address bind_address_hard_fail cluster_cidr config_sync_period
            conntrack_max_per_core conntrack_min conntrack_tcp_be_liberal conntrack_tcp_timeout_close_wait
            conntrack_tcp_timeout_established conntrack_udp_timeout conntrack_udp_timeout_stream
            detect_local_mode healthz_bind_address healthz_port iptables_localhost_nodeports
            iptables_masquerade_bit iptables_min_sync_period iptables_sync_period ipvs_exclude_cidrs
            ipvs_min_sync_period ipvs_scheduler ipvs_strict_arp ipvs_sync_period ipvs_tcp_timeout
            ipvs_tcpfin_timeout ipvs_udp_timeout kube_api_burst kube_api_content_type kube_api_qps kubeconfig
            masquerade_all metrics_bind_address metrics_port nodeport_addresses oom_score_adj
            pod_bridge_interface pod_interface_name_prefix profiling proxy_mode
            show_hidden_metrics_for_version);
        if !self.feature_gates.is_empty() {
            names.push("--feature-gates".into());
        }
        names.sort();
        names
    }

    /// The given flags that kube-proxy calls deprecated.
    pub(crate) fn deprecated(&self) -> Vec<String> {
        given!(self: healthz_port metrics_port)
    }

    /// What the values alone do not show.
    pub(crate) fn validate(&self) -> Problems {
        let mut problems = Problems::default();
        if self.hostname_override.as_ref().is_some_and(|name| !name.is_empty() && name.trim().is_empty()) {
            problems.add("--hostname-override", "", "is blank: write the name of this Node, or leave it out");
        }
        for (flag, port) in [("--healthz-port", self.healthz_port), ("--metrics-port", self.metrics_port)] {
            if let Some(port) = port.filter(|port| u16::try_from(*port).is_err()) {
                problems.add(flag, port, "is not a port: write a number from 1 to 65535, or 0 for none");
            }
        }
        problems
    }

    fn apply_general(&self, config: &mut KubeProxyConfiguration) {
        for gates in &self.feature_gates {
            config.feature_gates.extend(gates.0.clone());
        }
        let client = &mut config.client_connection;
        if let Some(path) = &self.kubeconfig {
            client.kubeconfig = path.to_string_lossy().into_owned();
        }
        set(&self.kube_api_content_type, &mut client.content_type);
        set(&self.kube_api_burst, &mut client.burst);
        set(&self.kube_api_qps, &mut client.qps);
        set(&self.profiling, &mut config.enable_profiling);
        set(&self.show_hidden_metrics_for_version, &mut config.show_hidden_metrics_for_version);
        set(&self.oom_score_adj, &mut config.oom_score_adj);
        set_list(&self.nodeport_addresses, &mut config.node_port_addresses);
    }

    /// An empty `--bind-address` leaves the default. The defaults of the other two do not follow its family:
    /// kube-proxy has filled them in before it reads flags.
    fn apply_addresses(&self, config: &mut KubeProxyConfiguration) {
        set(&self.bind_address.clone().filter(|ip| !ip.is_empty()), &mut config.bind_address);
        set(&self.bind_address_hard_fail, &mut config.bind_address_hard_fail);
        set(&self.healthz_bind_address, &mut config.healthz_bind_address);
        set(&self.metrics_bind_address, &mut config.metrics_bind_address);
        with_port(&mut config.healthz_bind_address, self.healthz_port, crate::HEALTHZ_PORT);
        with_port(&mut config.metrics_bind_address, self.metrics_port, crate::METRICS_PORT);
    }

    fn apply_modes(&self, config: &mut KubeProxyConfiguration) {
        set(&self.proxy_mode, &mut config.mode);
        set(&self.iptables_masquerade_bit, &mut config.iptables.masquerade_bit);
        set(&self.iptables_localhost_nodeports, &mut config.iptables.localhost_node_ports);
        set(&self.masquerade_all, &mut config.iptables.masquerade_all);
        set(&self.masquerade_all, &mut config.nftables.masquerade_all);
        let ipvs = &mut config.ipvs;
        set(&self.ipvs_scheduler, &mut ipvs.scheduler);
        set_list(&self.ipvs_exclude_cidrs, &mut ipvs.exclude_cidrs);
        set(&self.ipvs_strict_arp, &mut ipvs.strict_arp);
        set(&self.ipvs_tcp_timeout, &mut ipvs.tcp_timeout);
        set(&self.ipvs_tcpfin_timeout, &mut ipvs.tcp_fin_timeout);
        set(&self.ipvs_udp_timeout, &mut ipvs.udp_timeout);
    }

    /// There are no flags for nftables: those of iptables count for every mode but ipvs, those of ipvs for it
    /// alone, and the others are not looked at.
    fn apply_periods(&self, config: &mut KubeProxyConfiguration) {
        if config.proxy_mode() == Some(ProxyMode::Ipvs) {
            set(&self.ipvs_sync_period, &mut config.ipvs.sync_period);
            set(&self.ipvs_min_sync_period, &mut config.ipvs.min_sync_period);
        } else {
            set(&self.iptables_sync_period, &mut config.iptables.sync_period);
            set(&self.iptables_min_sync_period, &mut config.iptables.min_sync_period);
            set(&self.iptables_sync_period, &mut config.nftables.sync_period);
            set(&self.iptables_min_sync_period, &mut config.nftables.min_sync_period);
        }
        set(&self.config_sync_period, &mut config.config_sync_period);
    }

    fn apply_local_detection(&self, config: &mut KubeProxyConfiguration) {
        set(&self.detect_local_mode, &mut config.detect_local_mode);
        set(&self.pod_bridge_interface, &mut config.detect_local.bridge_interface);
        set(&self.pod_interface_name_prefix, &mut config.detect_local.interface_name_prefix);
        set(&self.cluster_cidr, &mut config.cluster_cidr);
    }

    fn apply_conntrack(&self, config: &mut KubeProxyConfiguration) {
        let conntrack = &mut config.conntrack;
        set(&self.conntrack_max_per_core, &mut conntrack.max_per_core);
        set(&self.conntrack_min, &mut conntrack.min);
        set(&self.conntrack_tcp_timeout_established, &mut conntrack.tcp_established_timeout);
        set(&self.conntrack_tcp_timeout_close_wait, &mut conntrack.tcp_close_wait_timeout);
        set(&self.conntrack_tcp_be_liberal, &mut conntrack.tcp_be_liberal);
        set(&self.conntrack_udp_timeout, &mut conntrack.udp_timeout);
        set(&self.conntrack_udp_timeout_stream, &mut conntrack.udp_stream_timeout);
    }

    /// An empty name overrides nothing, not even that of a file.
    fn apply_hostname(&self, config: &mut KubeProxyConfiguration) {
        if let Some(name) = self.hostname_override.as_ref().filter(|name| !name.is_empty()) {
            config.hostname_override = name.trim().to_lowercase();
        }
    }

    /// The patterns of `--vmodule` come before those of a file.
    fn apply_logging(&self, config: &mut KubeProxyConfiguration) {
        let logging = &mut config.logging;
        set(&self.v, &mut logging.verbosity);
        set(&self.logging_format, &mut logging.format);
        set(&self.log_flush_frequency, &mut logging.flush_frequency);
        if let Some(patterns) = &self.vmodule {
            logging.vmodule.splice(0..0, patterns.0.iter().cloned());
        }
        let (json, text) = (&mut logging.options.json, &mut logging.options.text);
        set(&self.log_json_split_stream, &mut json.split_stream);
        set(&self.log_json_info_buffer_size, &mut json.info_buffer_size);
        set(&self.log_text_split_stream, &mut text.split_stream);
        set(&self.log_text_info_buffer_size, &mut text.info_buffer_size);
    }
}

/// A list that is given replaces the default; its empty items are none.
fn set_list(given: &Option<Vec<String>>, field: &mut Vec<String>) {
    if let Some(items) = given {
        *field = items.iter().filter(|item| !item.is_empty()).cloned().collect();
    }
}

/// The deprecated port: 0 switches the server off, another completes an address that has none.
fn with_port(address: &mut String, port: Option<i32>, default: u16) {
    match port {
        Some(0) => address.clear(),
        given => {
            let port = given.and_then(|port| u16::try_from(port).ok()).unwrap_or(default);
            *address = complete_port(address, port);
        }
    }
}
