//! Settings that kube-proxy has a use for and towpath has none.

use std::fmt;

use crate::gates;
use crate::proxy::KubeProxyConfiguration;
use crate::reading::ProxyMode;

/// A setting that was given, differs from its default, and changes nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaningless {
    /// The path of the field, or the flag.
    pub field: String,
    /// Why, in a few words.
    pub reason: &'static str,
}

impl fmt::Display for Meaningless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.field, self.reason)
    }
}

const WINDOWS: &str = "is for Windows";
const JSON: &str = "towpath reads JSON";
const FEW: &str = "towpath sends too few requests to limit them";
const AT_ONCE: &str = "towpath syncs at once: a change costs what it changes";
const UNBUFFERED: &str = "the log is not buffered and goes to one stream";

/// The settings that were given with a value that differs from the default and that have no meaning here. The
/// caller says so once.
pub fn meaningless(config: &KubeProxyConfiguration) -> Vec<Meaningless> {
    let default = KubeProxyConfiguration::default();
    let mut all = Vec::new();
    let mut add = |differs: bool, field: &str, reason: &'static str| {
        if differs {
            all.push(Meaningless { field: field.into(), reason });
        }
    };
    let (c, d) = (config, &default);
    let (client, d_client) = (&c.client_connection, &d.client_connection);
    add(
        client.accept_content_types != d_client.accept_content_types,
        "clientConnection.acceptContentTypes",
        JSON,
    );
    // JSON is what towpath does anyway.
    let asks_for_json = client.content_type == "application/json";
    add(client.content_type != d_client.content_type && !asks_for_json, "clientConnection.contentType", JSON);
    add(client.qps != d_client.qps, "clientConnection.qps", FEW);
    add(client.burst != d_client.burst, "clientConnection.burst", FEW);
    add(c.config_sync_period != d.config_sync_period, "configSyncPeriod", "watches are not resynced");
    add(c.enable_profiling, "enableProfiling", "there is no profiler of Go");
    let hidden = !c.show_hidden_metrics_for_version.is_empty();
    add(hidden, "showHiddenMetricsForVersion", "no metric is hidden");
    add(c.iptables.min_sync_period != d.iptables.min_sync_period, "iptables.minSyncPeriod", AT_ONCE);
    add(c.nftables.min_sync_period != d.nftables.min_sync_period, "nftables.minSyncPeriod", AT_ONCE);
    add(c.ipvs.min_sync_period != d.ipvs.min_sync_period, "ipvs.minSyncPeriod", AT_ONCE);
    add(!c.port_range.is_empty(), "portRange", "the userspace mode is gone, in kube-proxy too");
    let (logging, d_logging) = (&c.logging, &d.logging);
    add(!logging.vmodule.is_empty(), "logging.vmodule", "names files of Go's source");
    add(logging.flush_frequency != d_logging.flush_frequency, "logging.flushFrequency", UNBUFFERED);
    add(logging.options != d_logging.options, "logging.options", UNBUFFERED);
    add(c.winkernel != d.winkernel, "winkernel", WINDOWS);
    add(c.windows_run_as_service, "windowsRunAsService", WINDOWS);
    all.extend(sync_periods(c, d));
    all.extend(
        gates::without_effect(c)
            .map(|(name, reason)| Meaningless { field: format!("featureGates.{name}"), reason }),
    );
    all
}

/// `syncPeriod` of a mode that does not run. That of the running one sets the deadline of `/healthz`.
fn sync_periods(config: &KubeProxyConfiguration, default: &KubeProxyConfiguration) -> Vec<Meaningless> {
    const OTHER: &str = "is of a mode that does not run";
    let mode = config.proxy_mode();
    // An empty mode reads `nftables` and, behind it, `iptables`.
    let idle = |of: ProxyMode| match mode {
        None => of == ProxyMode::Ipvs,
        Some(mode) => mode != of,
    };
    let differs = [
        (ProxyMode::Iptables, config.iptables.sync_period != default.iptables.sync_period),
        (ProxyMode::Nftables, config.nftables.sync_period != default.nftables.sync_period),
        (ProxyMode::Ipvs, config.ipvs.sync_period != default.ipvs.sync_period),
    ];
    differs
        .into_iter()
        .filter(|(of, differs)| *differs && idle(*of))
        .map(|(of, _)| Meaningless { field: format!("{of}.syncPeriod"), reason: OTHER })
        .collect()
}
