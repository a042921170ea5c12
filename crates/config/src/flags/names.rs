//! Fields and their flags, for complaints about a command line.

/// The flag that a field of the settings comes from when there is no file.
pub(crate) fn flag_of(field: &str) -> Option<&'static str> {
    let name = field.split('[').next()?;
    FLAGS.iter().find(|(field, _)| *field == name).map(|(_, flag)| *flag)
}

/// Fields that the checks may complain about.
const FLAGS: &[(&str, &str)] = &[
    ("bindAddress", "--bind-address"),
    ("clientConnection.burst", "--kube-api-burst"),
    ("clusterCIDR", "--cluster-cidr"),
    ("configSyncPeriod", "--config-sync-period"),
    ("conntrack.maxPerCore", "--conntrack-max-per-core"),
    ("conntrack.min", "--conntrack-min"),
    ("conntrack.tcpCloseWaitTimeout", "--conntrack-tcp-timeout-close-wait"),
    ("conntrack.tcpEstablishedTimeout", "--conntrack-tcp-timeout-established"),
    ("conntrack.udpStreamTimeout", "--conntrack-udp-timeout-stream"),
    ("conntrack.udpTimeout", "--conntrack-udp-timeout"),
    ("detectLocal.bridgeInterface", "--pod-bridge-interface"),
    ("detectLocal.interfaceNamePrefix", "--pod-interface-name-prefix"),
    ("detectLocalMode", "--detect-local-mode"),
    ("healthzBindAddress", "--healthz-bind-address"),
    ("hostnameOverride", "--hostname-override"),
    ("iptables.masqueradeBit", "--iptables-masquerade-bit"),
    ("iptables.minSyncPeriod", "--iptables-min-sync-period"),
    ("iptables.syncPeriod", "--iptables-sync-period"),
    ("ipvs.excludeCIDRs", "--ipvs-exclude-cidrs"),
    ("ipvs.minSyncPeriod", "--ipvs-min-sync-period"),
    ("ipvs.scheduler", "--ipvs-scheduler"),
    ("ipvs.syncPeriod", "--ipvs-sync-period"),
    ("ipvs.tcpFinTimeout", "--ipvs-tcpfin-timeout"),
    ("ipvs.tcpTimeout", "--ipvs-tcp-timeout"),
    ("ipvs.udpTimeout", "--ipvs-udp-timeout"),
    ("logging.format", "--logging-format"),
    ("logging.verbosity", "--v"),
    ("logging.vmodule", "--vmodule"),
    ("metricsBindAddress", "--metrics-bind-address"),
    ("mode", "--proxy-mode"),
    ("nftables.minSyncPeriod", "--iptables-min-sync-period"),
    ("nftables.syncPeriod", "--iptables-sync-period"),
    ("nodePortAddresses", "--nodeport-addresses"),
    ("oomScoreAdj", "--oom-score-adj"),
    ("showHiddenMetricsForVersion", "--show-hidden-metrics-for-version"),
];
