//! Files: what is read, what is read with a warning, and what is refused with which sentence.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use towpath_config::{
    GoDuration, KubeProxyConfiguration, KubeProxyFlags, Problems, Settings, TowpathFlags, load,
};

const HEAD: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
const KUBEADM: &str = include_str!("data/kubeadm-config.conf");

fn read(text: &str) -> Result<Settings, Problems> {
    load(Some(text), &KubeProxyFlags::default(), &TowpathFlags::default())
}

/// Settings of a file that starts with the usual two lines, and its warnings but that of the missing CIDR.
fn body(text: &str) -> (KubeProxyConfiguration, Vec<String>) {
    let settings = read(&format!("{HEAD}{text}")).unwrap_or_else(|problems| panic!("{text}\n{problems:#}"));
    let warnings = settings.warnings.into_iter().filter(|w| !w.starts_with("no clusterCIDR"));
    (settings.proxy, warnings.collect())
}

#[test]
fn the_file_of_kubeadm_is_strict_and_means_the_defaults() {
    for flush in ["0", "0s", "null", "5s", "5000000000"] {
        let text = KUBEADM.replace("flushFrequency: 0", &format!("flushFrequency: {flush}"));
        let settings = read(&text).unwrap();
        assert_eq!(settings.warnings, Vec::<String>::new());
        let mut expected = KubeProxyConfiguration::default();
        expected.client_connection.kubeconfig = "/var/lib/kube-proxy/kubeconfig.conf".into();
        expected.cluster_cidr = "10.244.0.0/16".into();
        assert_eq!(settings.proxy, expected, "flushFrequency {flush}");
    }
}

#[test]
fn given_zero_and_not_given() {
    let (config, warnings) = body(concat!(
        "conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}\n",
        "iptables: {masqueradeBit: 0, localhostNodePorts: false, syncPeriod: 0s}\noomScoreAdj: 0\n",
        "ipvs: {syncPeriod: 0s}\nclientConnection: {qps: 0.5, burst: 0}\nbindAddress: '::'\n",
    ));
    let conntrack = &config.conntrack;
    assert_eq!((conntrack.max_per_core, conntrack.min, config.oom_score_adj), (0, 0, 0));
    assert!(conntrack.tcp_established_timeout.is_zero() && conntrack.tcp_close_wait_timeout.is_zero());
    let iptables = &config.iptables;
    assert_eq!((iptables.masquerade_bit, iptables.localhost_node_ports), (0, false));
    assert_eq!(iptables.sync_period, GoDuration::from_secs(30));
    assert_eq!(config.ipvs.sync_period, GoDuration::from_secs(30));
    assert_eq!((config.client_connection.qps, config.client_connection.burst), (0.5, 10));
    assert_eq!(config.healthz_bind_address, "[::]:10256");
    assert_eq!(config.metrics_bind_address, "[::1]:10249");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn strays_are_one_warning_that_names_them() {
    let (config, warnings) = body(concat!(
        "Mode: ipvs\nmode: iptables\nmode: nftables\nfoo: {bar: 1}\n",
        "conntrack:\n  Min: 5\n  udpIdleTimeout: 1s\nlogging: {vmodule: [{filePattern: a, level: 1}]}\n",
        "featureGates: {PreferSameTrafficDistribution: false}\n",
    ));
    assert_eq!((config.mode.as_str(), config.conntrack.min), ("nftables", 131_072));
    assert_eq!(config.gate("PreferSameTrafficDistribution"), Some(false));
    assert_eq!(
        warnings[0],
        "KubeProxyConfiguration was read leniently, as kube-proxy does, and this counts for nothing: \
         Mode is not a field (line 3), did you mean mode?; mode is there again (line 5); foo is not a field (line 6); \
         conntrack.Min is not a field (line 8), did you mean min?; conntrack.udpIdleTimeout is not a field (line 9); \
         logging.vmodule[0].level is not a field (line 10)"
    );
    assert!(
        warnings[1].ends_with("are ignored: logging.vmodule (names files of Go's source)"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 2);
}

/// What is wrong with a file that starts with the usual two lines.
fn wrong(text: &str) -> String {
    format!("{:#}", read(&format!("{HEAD}{text}")).unwrap_err())
}

#[test]
fn wrong_types_say_field_found_and_expected() {
    for (text, want) in [
        ("oomScoreAdj: abc", "oomScoreAdj: \"abc\": expected a whole number of 32 bits (line 3)"),
        ("oomScoreAdj: 99999999999", "oomScoreAdj: 99999999999: expected a whole number of 32 bits (line 3)"),
        ("mode: 5", "mode: 5: expected a string: put it in quotes if it looks like something else (line 3)"),
        ("enableProfiling: 1", "enableProfiling: 1: expected true or false (line 3)"),
        ("nodePortAddresses: primary", "nodePortAddresses: \"primary\": expected a list (line 3)"),
        (
            "nodePortAddresses:\n- 10.0.0.0/8\n- 5",
            "nodePortAddresses[1]: 5: expected a string: put it in quotes if it looks like something else (line 3)",
        ),
        ("conntrack: 5", "conntrack: 5: expected a mapping of fields (line 3)"),
        ("conntrack: [1, 2]", "conntrack: a list: expected a mapping of fields (line 3)"),
        ("featureGates: {A: 1}", "featureGates.A: 1: expected true or false (line 3)"),
        (
            "logging: {verbosity: -1}",
            "logging.verbosity: -1: expected a whole number of 32 bits, not below 0 (line 3)",
        ),
        (
            "iptables:\n  syncPeriod: 30",
            "iptables.syncPeriod: 30: a bare number is no duration: write it with a unit, such as 30s \
             (only strings are durations in this file) (line 4)",
        ),
        (
            "iptables: {syncPeriod: 30 s}",
            "iptables.syncPeriod: \"30 s\": is not a duration: write a number with a unit, such as 30s, \
             1m30s or 250ms (line 3)",
        ),
        (
            "conntrack: {min: x, maxPerCore: z}\nmode: userspace",
            "conntrack.maxPerCore: \"z\": expected a whole number of 32 bits (line 3)\n\
             conntrack.min: \"x\": expected a whole number of 32 bits (line 3)\n\
             mode: userspace: this mode went with Kubernetes 1.26: write nftables, iptables or ipvs",
        ),
    ] {
        assert_eq!(wrong(text), want, "{text}");
    }
}

#[test]
fn a_problem_is_one_line() {
    let problems = wrong("mode: \"a\\nb\"\n");
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn json_is_yaml() {
    let text = r#"{"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "ipvs", "ipvs": {"strictARP": true, "scheduler": "mh"}}"#;
    let settings = read(text).unwrap();
    assert!(settings.proxy.ipvs.strict_arp);
}
