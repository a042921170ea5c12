//! What kube-proxy fills in where a file gives nothing or zero (`SetDefaults_KubeProxyConfiguration`).
//!
//! Fields that are pointers in v1alpha1 are not here: for them a given zero is a value of its own.

use model::parse_ip;

use crate::address::complete_port;
use crate::duration::GoDuration;
use crate::logging::LoggingConfiguration;
use crate::proxy::KubeProxyConfiguration;

/// The port of `/healthz`.
pub const HEALTHZ_PORT: u16 = 10256;
/// The port of `/metrics`.
pub const METRICS_PORT: u16 = 10249;

impl KubeProxyConfiguration {
    /// Replaces what is zero or empty, and means "not given", by its default.
    pub(crate) fn complete(&mut self) {
        let defaults = Self::default();
        fill(&mut self.bind_address, &defaults.bind_address);
        self.complete_addresses();
        self.complete_periods(&defaults);
        let client = &mut self.client_connection;
        fill(&mut client.content_type, &defaults.client_connection.content_type);
        if client.qps == 0.0 {
            client.qps = defaults.client_connection.qps;
        }
        if client.burst == 0 {
            client.burst = defaults.client_connection.burst;
        }
        self.logging.complete();
    }

    /// The defaults are of the family of `bindAddress`; what is no address counts as IPv6, as in kube-proxy.
    fn complete_addresses(&mut self) {
        let ipv4 = parse_ip(&self.bind_address).is_ok_and(|ip| ip.is_ipv4());
        let (healthz, metrics) = if ipv4 { ("0.0.0.0", "127.0.0.1") } else { ("::", "::1") };
        fill(&mut self.healthz_bind_address, healthz);
        fill(&mut self.metrics_bind_address, metrics);
        self.healthz_bind_address = complete_port(&self.healthz_bind_address, HEALTHZ_PORT);
        self.metrics_bind_address = complete_port(&self.metrics_bind_address, METRICS_PORT);
    }

    fn complete_periods(&mut self, defaults: &Self) {
        let pairs: [(&mut GoDuration, GoDuration); 6] = [
            (&mut self.iptables.sync_period, defaults.iptables.sync_period),
            (&mut self.iptables.min_sync_period, defaults.iptables.min_sync_period),
            (&mut self.nftables.sync_period, defaults.nftables.sync_period),
            (&mut self.nftables.min_sync_period, defaults.nftables.min_sync_period),
            (&mut self.ipvs.sync_period, defaults.ipvs.sync_period),
            (&mut self.config_sync_period, defaults.config_sync_period),
        ];
        for (period, default) in pairs {
            *period = period.or(default);
        }
    }
}

impl LoggingConfiguration {
    fn complete(&mut self) {
        let defaults = Self::default();
        fill(&mut self.format, &defaults.format);
        self.flush_frequency = self.flush_frequency.or(defaults.flush_frequency);
        for options in [&mut self.options.json, &mut self.options.text] {
            fill(&mut options.info_buffer_size, "0");
        }
    }
}

fn fill(text: &mut String, default: &str) {
    if text.is_empty() {
        default.clone_into(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_complete() {
        let mut config = KubeProxyConfiguration::default();
        config.complete();
        assert_eq!(config, KubeProxyConfiguration::default());
    }

    #[test]
    fn addresses_follow_the_family_of_bind_address() {
        for (bind, healthz, metrics, want_healthz, want_metrics) in [
            ("", "", "", "0.0.0.0:10256", "127.0.0.1:10249"),
            ("192.168.1.1", "", "", "0.0.0.0:10256", "127.0.0.1:10249"),
            ("::", "", "", "[::]:10256", "[::1]:10249"),
            ("fd00::1", "127.0.0.1", "::", "127.0.0.1:10256", "[::]:10249"),
            ("", "127.0.0.1:1", "[::1]:2", "127.0.0.1:1", "[::1]:2"),
            ("", "0.0.0.0:0", "", "0.0.0.0:0", "127.0.0.1:10249"),
        ] {
            let mut config = KubeProxyConfiguration {
                bind_address: bind.into(),
                healthz_bind_address: healthz.into(),
                metrics_bind_address: metrics.into(),
                ..Default::default()
            };
            config.complete();
            assert_eq!(config.healthz_bind_address, want_healthz, "bindAddress {bind:?}");
            assert_eq!(config.metrics_bind_address, want_metrics, "bindAddress {bind:?}");
        }
    }
}
