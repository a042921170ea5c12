//! towpath's own document: strict, checked, and overridden by flags.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use towpath_config::{KubeProxyFlags, Problems, Settings, TowpathConfiguration, TowpathFlags, load};

fn read(body: &str) -> Result<Settings, Problems> {
    let text = format!("apiVersion: towpath.dev/v1alpha1\nkind: TowpathConfiguration\n{body}\n");
    load(Some(&text), &KubeProxyFlags::default(), &TowpathFlags::default())
}

#[test]
fn defaults() {
    let config = read("").unwrap().towpath;
    assert_eq!(config, TowpathConfiguration::default());
    let text = "apiVersion: towpath.dev/v1alpha1\nauditEntries: 1000\ndns:\n  clusterDomain: cluster.local\n  corefile: \"\"\n  intercept: false\n  \
        listen: []\n  service: kube-system/kube-dns\n  stubDomains: \"\"\nevents: true\niptablesVariant: auto\nipvsDrainTimeout: 15m0s\nkind: TowpathConfiguration\nmanifests: \"\"\n\
        selfProbe:\n  address: 198.18.102.49\n  addressV6: 2001:2::10:249\n  enabled: false\n  interval: 5s\n  port: 10253\n\
        serviceMetrics:\n  enabled: false\n  maxEndpoints: 1000\n  maxServices: 100\n\
        snapshot:\n  after: 5s\n  enabled: true\n  path: /var/lib/towpath/snapshot\nsource: kubernetes\nstartupTaint: \"\"\ntakeover: true\n";
    assert_eq!(config.to_yaml(), text);
}

#[test]
fn refused() {
    for (body, want) in [
        ("Source: manifests", "Source: is not a field (line 3), did you mean source?"),
        ("events: true\nevents: true", "events: is there again (line 4)"),
        ("snapshot: {paths: x}", "snapshot.paths: is not a field (line 3)"),
        (
            "source: etcd",
            "source: \"etcd\": unknown variant `etcd`, expected `kubernetes` or `manifests` (line 3)",
        ),
        (
            "source: manifests",
            "manifests: is missing: source manifests needs the path of a directory or file",
        ),
        (
            "snapshot: {path: x}",
            "snapshot.path: x: is not an absolute path: write one as in /var/lib/towpath/snapshot",
        ),
        ("ipvsDrainTimeout: -1s", "ipvsDrainTimeout: -1s: is negative: write 0s or more"),
        (
            "dns: {listen: [0.0.0.0]}",
            "dns.listen: 0.0.0.0: is not an address for a link: write a link-local one as in 169.254.20.10",
        ),
        (
            "dns: {service: kube-dns}",
            "dns.service: kube-dns: is not namespace/name: write it as in kube-system/kube-dns",
        ),
        (
            "dns: {clusterDomain: a..b}",
            "dns.clusterDomain: a..b: is not a domain: write it as in cluster.local",
        ),
        ("auditEntries: 10001", "auditEntries: 10001: are too many: write 0 to 10000"),
        ("selfProbe: {interval: 10ms}", "selfProbe.interval: 10ms: is too short: write 100ms or more"),
        ("selfProbe: {port: 0}", "selfProbe.port: 0: is no port: write 1 to 65535"),
        (
            "selfProbe: {address: 127.0.0.1}",
            "selfProbe.address: 127.0.0.1: is not an address that can be routed: write one that nothing in the cluster has",
        ),
        (
            "selfProbe: {addressV6: 'fe80::1'}",
            "selfProbe.addressV6: fe80::1: is not an address that can be routed: write one that nothing in the cluster has",
        ),
        (
            "serviceMetrics: {maxServices: 100001}",
            "serviceMetrics.maxServices: 100001: is too large: write 0 to 100000",
        ),
        ("snapshot: {after: -1s}", "snapshot.after: -1s: is negative: write 0s or more"),
        (
            "snapshot: {after: 5}",
            "snapshot.after: 5: a bare number is no duration: write it with a unit, such as 5s \
             (only strings are durations in this file) (line 3)",
        ),
        (
            "startupTaint: a=b:NoSchedule",
            "startupTaint: a=b:NoSchedule: is not the key of a taint: write one as in example.com/not-ready, \
             without value and effect",
        ),
    ] {
        assert_eq!(read(body).expect_err(body).to_string(), want, "{body}");
    }
}

#[test]
fn accepted() {
    for body in [
        "startupTaint: towpath.dev/not-ready",
        "startupTaint: agent",
        "snapshot: {enabled: false, path: ''}",
        "ipvsDrainTimeout: 0s",
        "auditEntries: 0",
    ] {
        read(body).unwrap();
    }
    let warnings = read("manifests: /x").unwrap().warnings;
    assert!(
        warnings.iter().any(|w| w == "manifests is given, and not read: source is kubernetes"),
        "{warnings:?}"
    );
}

#[test]
fn the_drain_timeout_and_its_flag() {
    use towpath_config::GoDuration;
    let document = "apiVersion: towpath.dev/v1alpha1\nkind: TowpathConfiguration\nipvsDrainTimeout: 90s\n";
    for (document, flag, want) in
        [(None, None, 900), (Some(document), None, 90), (Some(document), Some(30), 30), (None, Some(0), 0)]
    {
        let flags =
            TowpathFlags { ipvs_drain_timeout: flag.map(GoDuration::from_secs), ..TowpathFlags::default() };
        let settings = load(document, &KubeProxyFlags::default(), &flags).unwrap();
        assert_eq!(settings.towpath.ipvs_drain_timeout, GoDuration::from_secs(want), "{flag:?}");
    }
}
