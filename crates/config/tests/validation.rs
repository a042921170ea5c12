//! The checks, as a table: a file's body, and the beginning of each sentence about it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use towpath_config::{KubeProxyFlags, Problems, Settings, TowpathFlags, load};

const HEAD: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

fn read(body: &str) -> Result<Settings, Problems> {
    load(Some(&format!("{HEAD}{body}\n")), &KubeProxyFlags::default(), &TowpathFlags::default())
}

#[test]
fn refused() {
    let table: &[(&str, &[&str])] = &[
        ("mode: userspace", &["mode: userspace: this mode went"]),
        ("mode: kernelspace", &["mode: kernelspace: this mode is for Windows"]),
        ("mode: IPVS", &["mode: IPVS: is not a mode"]),
        (
            "iptables: {masqueradeBit: 32}",
            &["iptables.masqueradeBit: 32: is out of range: write a number from 0 to 31"],
        ),
        ("nftables: {masqueradeBit: -1}", &["nftables.masqueradeBit: -1: is out of range"]),
        ("oomScoreAdj: 1001", &["oomScoreAdj: 1001: is out of range: write a number from -1000 to 1000"]),
        (
            "conntrack: {min: -1, maxPerCore: -2}",
            &["conntrack.maxPerCore: -2: is too low", "conntrack.min: -1: is too low"],
        ),
        ("conntrack: {udpTimeout: -1s}", &["conntrack.udpTimeout: -1s: is negative"]),
        ("conntrack: {tcpEstablishedTimeout: -1s}", &["conntrack.tcpEstablishedTimeout: -1s: is negative"]),
        ("clientConnection: {burst: -1}", &["clientConnection.burst: -1: is too low: write 0 or more"]),
        (
            "iptables: {syncPeriod: -5s}",
            &["iptables.syncPeriod: -5s: must be above 0", "iptables.minSyncPeriod: 1s: is above"],
        ),
        (
            "mode: nftables\nnftables: {minSyncPeriod: 31s}",
            &["nftables.minSyncPeriod: 31s: is above nftables.syncPeriod, which is 30s"],
        ),
        ("mode: ipvs\nipvs: {minSyncPeriod: -1s}", &["ipvs.minSyncPeriod: -1s: is negative"]),
        (
            "mode: ipvs\nipvs: {tcpTimeout: -1s, excludeCIDRs: [10.0.0.0/8, x]}",
            &["ipvs.tcpTimeout: -1s: is negative", "ipvs.excludeCIDRs[1]: x: is not a CIDR"],
        ),
        ("mode: ipvs\nipvs: {scheduler: 'rr rr'}", &["ipvs.scheduler: rr rr: is not the name"]),
        ("mode: ipvs\nipvs: {scheduler: LC}", &["ipvs.scheduler: LC: is not the name of a scheduler"]),
        (
            "mode: ipvs\nipvs: {udpTimeout: 597h}",
            &["ipvs.udpTimeout: 597h0m0s: is more than the kernel takes"],
        ),
        ("configSyncPeriod: -1s", &["configSyncPeriod: -1s: must be above 0"]),
        ("bindAddress: node-1", &["bindAddress: node-1: is not an IP address"]),
        ("healthzBindAddress: 0.0.0.0:0", &["healthzBindAddress: 0.0.0.0:0: \"0\" is not a port"]),
        (
            "metricsBindAddress: localhost:10249",
            &["metricsBindAddress: localhost:10249: \"localhost\" is not an IP"],
        ),
        ("metricsBindAddress: nowhere", &["metricsBindAddress: nowhere: is not IP:PORT"]),
        ("clusterCIDR: 10.0.0.0", &["clusterCIDR: 10.0.0.0: \"10.0.0.0\" is not a CIDR"]),
        (
            "clusterCIDR: 10.0.0.0/8,10.1.0.0/16",
            &["clusterCIDR: 10.0.0.0/8,10.1.0.0/16: has 2 CIDRs of IPv4"],
        ),
        ("clusterCIDR: 10.0.0.0/8,", &["clusterCIDR: 10.0.0.0/8,: \"\" is not a CIDR"]),
        (
            "nodePortAddresses: [primary, 10.0.0.0/8, x]",
            &["nodePortAddresses[0]: primary: stands alone", "nodePortAddresses[2]: x: is not a CIDR"],
        ),
        ("detectLocalMode: clusterCIDR", &["detectLocalMode: clusterCIDR: is not a mode"]),
        ("detectLocalMode: BridgeInterface", &["detectLocal.bridgeInterface: is empty"]),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth*}",
            &["detectLocal.interfaceNamePrefix: veth*: cannot be"],
        ),
        (
            "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: a234567890123456}",
            &["detectLocal.bridgeInterface: a234567890123456: is longer"],
        ),
        ("portRange: 9-5", &["portRange: 9-5: is not a range of ports"]),
        ("showHiddenMetricsForVersion: '1'", &["showHiddenMetricsForVersion: 1: is not a version"]),
        ("logging: {format: xml}", &["logging.format: xml: is not a log format: write text or json"]),
        ("logging: {verbosity: 4294967295}", &["logging.verbosity: 4294967295: is too high"]),
        (
            "logging: {format: json, vmodule: [{filePattern: 'a=b'}]}",
            &["logging.vmodule: is only for", "logging.vmodule[0].filePattern: a=b"],
        ),
        ("hostnameOverride: '  '", &["hostnameOverride: is blank"]),
        ("mode: x\noomScoreAdj: 5000\nclusterCIDR: z", &["mode: x", "oomScoreAdj: 5000", "clusterCIDR: z"]),
    ];
    for (body, wants) in table {
        let problems = read(body).expect_err(body).0;
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), wants.len(), "{body}\n{lines:#?}");
        for want in *wants {
            assert!(lines.iter().any(|line| line.starts_with(want)), "{body}\nwant {want}\nhave {lines:#?}");
        }
    }
}

#[test]
fn accepted_because_kube_proxy_does() {
    for body in [
        "mode: ''",
        "clusterCIDR: fd00::/48,10.0.0.0/8",
        "clusterCIDR: 010.000.0.0/8",
        "detectLocalMode: NodeCIDR\nclusterCIDR: nonsense",
        "mode: iptables\nnftables: {masqueradeBit: 99, syncPeriod: -1s}",
        "mode: iptables\nipvs: {tcpTimeout: -1s}",
        "nodePortAddresses: [primary]",
        "nodePortAddresses: []",
        "nodePortAddresses: [localhost, 10.0.0.0/8]",
        "portRange: 300-2000",
        "portRange: 300+100",
        "portRange: '0'",
        "healthzBindAddress: 127.0.0.1",
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: cali}",
        "iptables: {minSyncPeriod: 30s}",
    ] {
        read(body).unwrap_or_else(|problems| panic!("{body}\n{problems}"));
    }
}

#[test]
fn advice() {
    for (body, want) in [
        ("featureGates: {Nonsense: true}", "featureGates.Nonsense: no such gate is known here"),
        (
            "featureGates: {AllowServiceExternalIPs: false}",
            "featureGates.AllowServiceExternalIPs (externalIPs are always",
        ),
        ("nodePortAddresses: [10.0.0.0/8]", "nodePortAddresses names no IPv6 CIDR"),
        ("mode: ''", "no clusterCIDR: local pods cannot be told"),
        (
            "ipvs: {scheduler: nonsense}",
            "ipvs.scheduler: \"nonsense\" is not the name of a scheduler: Linux ships no such scheduler, use one of rr, wrr",
        ),
        ("hostnameOverride: $(NODE_NAME)", "hostnameOverride: $(node_name) cannot be the name of a Node"),
        (
            "winkernel: {enableDSR: true}\nportRange: 1-2",
            "are ignored: portRange (the userspace mode is gone, in \
            kube-proxy too), winkernel (is for Windows)",
        ),
        (
            "mode: nftables\niptables: {syncPeriod: 10s}",
            "iptables.syncPeriod (is of a mode that does not run)",
        ),
        (
            "clientConnection: {contentType: application/yaml}",
            "clientConnection.contentType (towpath reads JSON)",
        ),
    ] {
        let warnings = read(body).unwrap().warnings;
        assert!(
            warnings.iter().any(|warning| warning.contains(want)),
            "{body}\nwant {want}\nhave {warnings:#?}"
        );
    }
}

#[test]
fn what_is_honoured_is_not_called_meaningless() {
    let body = "clusterCIDR: 10.0.0.0/8\nmode: nftables\nnftables: {syncPeriod: 10s, masqueradeAll: true}\n\
        iptables: {masqueradeBit: 3}\nconntrack: {min: 0}\nlogging: {format: json, verbosity: 4}\n\
        ipvs: {scheduler: mh, strictARP: true}\nclientConnection: {contentType: application/json}\n\
        featureGates: {NFTablesProxyMode: true, PreferSameTrafficDistribution: false}\n";
    assert_eq!(read(body).unwrap().warnings, Vec::<String>::new());
}
