//! What is written can be read back, and looks like what kube-proxy writes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::Value;
use towpath_config::{
    GoDuration, KubeProxyConfiguration, KubeProxyFlags, Settings, Source, TowpathConfiguration, TowpathFlags,
    VModuleItem, load,
};

fn read(text: &str) -> Settings {
    let settings = load(Some(text), &KubeProxyFlags::default(), &TowpathFlags::default());
    settings.unwrap_or_else(|problems| panic!("{text}\n{problems:#}"))
}

#[test]
fn the_defaults_as_kube_proxy_writes_them() {
    assert_eq!(KubeProxyConfiguration::default().to_yaml(), include_str!("data/defaults.yaml"));
}

#[test]
fn configz() {
    let text = KubeProxyConfiguration::default().to_json();
    let value: Value = serde_json::from_str(&text).unwrap();
    let config = &value["kubeproxy.config.k8s.io"];
    assert_eq!(config["kind"], "KubeProxyConfiguration");
    assert_eq!(config["iptables"]["syncPeriod"], "30s");
    assert_eq!(config["clientConnection"]["qps"].to_string(), "5");
    assert_eq!(config.get("featureGates"), None);
}

#[test]
fn both_documents_in_one_file() {
    let towpath = TowpathConfiguration {
        source: Source::Manifests,
        manifests: "/etc/towpath".into(),
        startup_taint: "towpath.dev/not-ready".into(),
        events: false,
        ..Default::default()
    };
    let proxy = KubeProxyConfiguration { cluster_cidr: "10.0.0.0/8".into(), ..Default::default() };
    let settings = read(&format!("{}---\n{}", proxy.to_yaml(), towpath.to_yaml()));
    assert_eq!(settings, Settings { proxy, towpath, warnings: Vec::new() });
}

fn seconds() -> impl Strategy<Value = GoDuration> {
    (1_000_000_000i64..1_000_000_000_000_000).prop_map(GoDuration::from_nanos)
}

/// Text that YAML could take for something else.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![Just("0".into()), Just("null".into()), Just("1e3".into()), Just("yes".into()), "[ -~]{0,12}"]
}

prop_compose! {
    fn configuration()(
        mode in prop_oneof![Just(""), Just("iptables"), Just("ipvs"), Just("nftables")],
        bits in (0i32..32, 0i32..32),
        flags in any::<[bool; 6]>(),
        periods in [seconds(), seconds(), seconds()],
        numbers in (any::<u16>(), any::<u16>(), -1000i32..=1000, 0u32..100),
        kubeconfig in nasty(),
        pattern in "[a-z*]{1,5}",
        qps in 0.001f32..1000.0,
        cidr in prop_oneof![Just(""), Just("10.0.0.0/8"), Just("fd00::/48,10.0.0.0/8")],
        bind in prop_oneof![Just("0.0.0.0"), Just("::"), Just("fd00::1")],
        addresses in prop::collection::vec(prop_oneof![Just("10.0.0.0/8"), Just("::/0")], 0..3),
    ) -> KubeProxyConfiguration {
        let mut c = KubeProxyConfiguration { mode: mode.into(), ..Default::default() };
        (c.iptables.masquerade_bit, c.nftables.masquerade_bit) = bits;
        c.iptables.masquerade_all = flags[0];
        c.nftables.masquerade_all = flags[1];
        c.iptables.localhost_node_ports = flags[2];
        c.ipvs.strict_arp = flags[3];
        c.logging.options.json.split_stream = flags[4];
        c.windows_run_as_service = flags[5];
        [c.iptables.sync_period, c.nftables.sync_period, c.conntrack.udp_timeout] = periods;
        c.conntrack.min = numbers.0.into();
        c.conntrack.max_per_core = numbers.1.into();
        c.oom_score_adj = numbers.2;
        c.logging.verbosity = numbers.3;
        c.logging.vmodule = vec![VModuleItem { file_pattern: pattern, verbosity: numbers.3 }];
        c.client_connection.kubeconfig = kubeconfig;
        c.client_connection.qps = qps;
        c.cluster_cidr = cidr.into();
        c.bind_address = bind.into();
        c.feature_gates.insert("PreferSameTrafficDistribution".into(), flags[0]);
        c.node_port_addresses = addresses.into_iter().map(Into::into).collect();
        c
    }
}

/// A file of kubeadm with some bytes changed.
fn broken() -> impl Strategy<Value = String> {
    let text = include_str!("data/kubeadm-config.conf");
    let edits = prop::collection::vec((0..text.len(), 0usize..20, "[ -~\\n]{0,8}"), 1..6);
    edits.prop_map(move |edits| {
        let mut text = text.to_owned();
        for (at, length, new) in edits {
            let at = at.min(text.len());
            text.replace_range(at..(at + length).min(text.len()), &new);
        }
        text
    })
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in prop_oneof![broken(), any::<String>()]) {
        if let Err(problems) = load(Some(&text), &KubeProxyFlags::default(), &TowpathFlags::default()) {
            prop_assert!(!problems.0.is_empty());
            let lines = format!("{problems:#}");
            prop_assert_eq!(lines.lines().count(), problems.0.len(), "{}", lines);
        }
    }

    #[test]
    fn durations_are_read_back(nanos in any::<i64>(), text in ".{0,12}") {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        let _ = text.parse::<GoDuration>();
    }

    #[test]
    fn what_is_written_is_read_back(config in configuration()) {
        let settings = read(&config.to_yaml());
        prop_assert!(settings.warnings.iter().all(|w| !w.contains("leniently")), "{:?}", settings.warnings);
        prop_assert_eq!(settings.proxy, config);
    }
}
