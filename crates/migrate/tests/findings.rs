//! A table: a configuration and Services, and which findings follow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{S, report, service};
use model::{Scheduler, TrafficPolicy};
use resolve::Mode;

/// What is found on any cluster, from each mode to nftables.
const IPTABLES: &str = "config-is-followed cluster-ip-other-ports conntrack-invalid forward-accept leftovers \
                        rule-readers metrics tcp-reset route-localnet pages";
const IPVS: &str = "kube-ipvs-interface cluster-ip-ping ipvs-host-chains ipvs-connections ipvs-sysctls \
                    config-is-followed forward-accept leftovers rule-readers metrics ipvs-round-robin tcp-reset pages";
const NFTABLES: &str = "config-is-followed leftovers rule-readers metrics tcp-reset pages";

struct Case {
    config: &'static str,
    services: fn() -> Vec<S>,
    /// What is found and is not in the list of the mode. A `-` before an id: it is in the list, and not found.
    findings: &'static str,
}

const fn case(config: &'static str, services: fn() -> Vec<S>, findings: &'static str) -> Case {
    Case { config, services, findings }
}

const NONE: fn() -> Vec<S> = Vec::new;
const PLAIN: fn() -> Vec<S> = || vec![service("web")];
const NODE_PORT: fn() -> Vec<S> = || vec![service("web").node_port(30080)];
const EXTERNAL: fn() -> Vec<S> = || vec![service("web").external("192.0.2.7")];
const LOAD_BALANCER: fn() -> Vec<S> =
    || vec![service("web").node_port(30080).load_balancer("192.0.2.9").local_health(32000)];
const STICKY: fn() -> Vec<S> = || vec![service("web").sticky()];
const STICKY_NODE_PORT: fn() -> Vec<S> = || vec![service("web").sticky().node_port(30080)];
const INTERNAL_LOCAL: fn() -> Vec<S> = || {
    vec![
        service("web").node_port(30080).internal(TrafficPolicy::Local),
        service("in").internal(TrafficPolicy::Local),
    ]
};

/// It has annotations of mode ipvs.
const WEIGHTED: fn() -> Vec<S> = || vec![service("web").scheduled(Scheduler::Lc)];
const COMPETING: fn() -> Vec<S> =
    || vec![service("a").external("192.0.2.7"), service("b").external("192.0.2.7")];
const ONE_RANGE: fn() -> Vec<S> = || {
    let web = service("web").load_balancer("192.0.2.9").load_balancer("2001:db8::9");
    vec![web.range("203.0.113.0/24")]
};

const CASES: &[Case] = &[
    // iptables, given or not.
    case("clusterCIDR: 10.244.0.0/16", NONE, ""),
    case("mode: iptables", NONE, ""),
    case("", PLAIN, "no-detect-local"),
    case("detectLocalMode: NodeCIDR", PLAIN, ""),
    case("clusterCIDR: fd00::/48", PLAIN, "no-detect-local"),
    case("clusterCIDR: 10.244.0.0/16", NODE_PORT, "nodeport-localhost nodeport-addresses"),
    case(
        "clusterCIDR: 10.244.0.0/16\niptables: {localhostNodePorts: false}",
        NODE_PORT,
        "nodeport-addresses -route-localnet",
    ),
    case("clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]", NODE_PORT, ""),
    case("clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [10.0.0.0/8]", NODE_PORT, ""),
    case("clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [0.0.0.0/0]", NODE_PORT, "nodeport-localhost"),
    case(
        "clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [127.0.0.0/8, 10.0.0.0/8]",
        NODE_PORT,
        "nodeport-localhost",
    ),
    case(
        "clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [\"fd00::/8\"]",
        NODE_PORT,
        "nodeport-localhost nodeport-other-family",
    ),
    case(
        "clusterCIDR: 10.244.0.0/16",
        LOAD_BALANCER,
        "nodeport-localhost nodeport-addresses nodeport-on-vip health-check-addresses health-check-accept",
    ),
    case("mode: iptables\niptables: {masqueradeAll: true}", NONE, "masquerade-all"),
    case("iptables: {masqueradeAll: true, masqueradeBit: 10, syncPeriod: 10s}", NONE, ""),
    case(
        "mode: iptables\niptables: {masqueradeAll: true, masqueradeBit: 10, syncPeriod: 10s}\n\
         nftables: {masqueradeAll: true}",
        NONE,
        "masquerade-bit sync-period",
    ),
    case("conntrack: {tcpBeLiberal: true}", NONE, "-conntrack-invalid"),
    case("enableProfiling: true", NONE, "settings-without-meaning"),
    case("featureGates: {NoSuchGate: true}", NONE, "settings-without-meaning"),
    case("featureGates: {PreferSameTrafficDistribution: false}", NONE, ""),
    case("clusterCIDR: 10.244.0.0/16", EXTERNAL, "external-ips"),
    case(
        "clusterCIDR: 10.244.0.0/16\nfeatureGates: {AllowServiceExternalIPs: false}",
        EXTERNAL,
        "external-ips-gate-off settings-without-meaning",
    ),
    case("clusterCIDR: 10.244.0.0/16", STICKY, "affinity-reset"),
    case(
        "clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        STICKY_NODE_PORT,
        "affinity-reset affinity-per-frontend",
    ),
    case("clusterCIDR: 10.244.0.0/16", || vec![service("dns").udp()], "udp-flows"),
    case("clusterCIDR: 10.244.0.0/16", || vec![service("web").headless(), service("x").of_other_proxy()], ""),
    case(
        "clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        COMPETING,
        "external-ips competing-services",
    ),
    case("clusterCIDR: 10.244.0.0/16", ONE_RANGE, "source-ranges-one-family"),
    case("clusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]", INTERNAL_LOCAL, ""),
    // ipvs
    case("mode: ipvs", NONE, ""),
    case("mode: ipvs\nipvs: {scheduler: rr}", NONE, ""),
    case("mode: ipvs\nipvs: {scheduler: sh}", NONE, "ipvs-scheduler -ipvs-round-robin"),
    case("mode: ipvs\nipvs: {tcpTimeout: 10m, udpTimeout: 1m}", NONE, "ipvs-timeouts"),
    case("mode: ipvs\nipvs: {excludeCIDRs: [10.1.0.0/16]}", NONE, "ipvs-exclude-cidrs"),
    case("mode: ipvs\nipvs: {syncPeriod: 10s}", NONE, "sync-period"),
    case(
        "mode: ipvs\niptables: {masqueradeAll: true}\nipvs: {minSyncPeriod: 1s}",
        NONE,
        "masquerade-all settings-without-meaning",
    ),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", NODE_PORT, "nodeport-addresses"),
    case(
        "mode: ipvs\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        INTERNAL_LOCAL,
        "internal-local-leak",
    ),
    case(
        "mode: ipvs\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        LOAD_BALANCER,
        "external-local-leak health-check-accept",
    ),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", STICKY, "affinity-reset affinity-timeout"),
    // nftables
    case("mode: nftables", NONE, ""),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", WEIGHTED, "ipvs-annotations-unused"),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", LOAD_BALANCER, ""),
    case("mode: nftables\niptables: {masqueradeAll: true, masqueradeBit: 10}", NONE, ""),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16\nfeatureGates: {KubeProxyNFTablesLocalhostNodePorts: true}\n\
         nodePortAddresses: [10.0.0.0/8, 127.0.0.0/8]",
        NODE_PORT,
        "nodeport-localhost settings-without-meaning",
    ),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", STICKY, "affinity-reset"),
];

/// What is found on any cluster, from each mode to iptables.
const IPTABLES_TO_IPTABLES: &str = "config-is-followed rule-readers metrics leftovers tcp-reset pages";
const IPVS_TO_IPTABLES: &str = "kube-ipvs-interface cluster-ip-ping ipvs-host-chains \
     ipvs-connections ipvs-sysctls \
     config-is-followed cluster-ip-not-refused conntrack-invalid-dropped rule-readers metrics leftovers \
     ipvs-round-robin tcp-reset pages";
const NFTABLES_TO_IPTABLES: &str = "config-is-followed cluster-ip-not-refused conntrack-invalid-dropped \
     host-firewall-overruled rule-readers metrics leftovers tcp-reset pages";

const TO_IPTABLES: &[Case] = &[
    // From iptables hardly anything differs.
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", NODE_PORT, ""),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", LOAD_BALANCER, ""),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", INTERNAL_LOCAL, ""),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", STICKY_NODE_PORT, "affinity-reset"),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", || vec![service("dns").udp()], "udp-flows"),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", COMPETING, "external-ips competing-services"),
    case(
        "mode: iptables\nclusterCIDR: 10.244.0.0/16\nfeatureGates: {AllowServiceExternalIPs: false}",
        EXTERNAL,
        "external-ips-gate-off settings-without-meaning",
    ),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", ONE_RANGE, "source-ranges-one-family"),
    case("mode: iptables", PLAIN, "no-detect-local"),
    case(
        "mode: iptables\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [\"fd00::/8\"]",
        NODE_PORT,
        "nodeport-other-family",
    ),
    case("mode: iptables\niptables: {masqueradeAll: true, masqueradeBit: 10, syncPeriod: 10s}", NONE, ""),
    case("mode: iptables\niptables: {minSyncPeriod: 5s}", NONE, "settings-without-meaning"),
    case("mode: iptables\nconntrack: {tcpBeLiberal: true}", NONE, ""),
    // Left open, where a kernel cannot nftables.
    case("clusterCIDR: 10.244.0.0/16\niptables: {masqueradeAll: true, masqueradeBit: 10}", NODE_PORT, ""),
    // ipvs, with a ConfigMap of its own.
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", NODE_PORT, "nodeport-localhost-opened"),
    case(
        "mode: ipvs\niptables: {localhostNodePorts: false, masqueradeAll: true, masqueradeBit: 10}",
        NONE,
        "",
    ),
    case(
        "mode: ipvs\nipvs: {scheduler: sh, excludeCIDRs: [10.1.0.0/16]}",
        NONE,
        "ipvs-scheduler ipvs-exclude-cidrs -ipvs-round-robin",
    ),
    case("mode: ipvs\nipvs: {syncPeriod: 10s}", NONE, "sync-period"),
    case(
        "mode: ipvs\nclusterCIDR: 10.244.0.0/16",
        STICKY,
        "affinity-reset affinity-timeout affinity-list-limit",
    ),
    case(
        "mode: ipvs\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        STICKY_NODE_PORT,
        "affinity-reset affinity-timeout affinity-list-limit affinity-per-port",
    ),
    case(
        "mode: ipvs\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        LOAD_BALANCER,
        "external-local-leak",
    ),
    case("mode: ipvs\nconntrack: {tcpBeLiberal: true}", NONE, "-conntrack-invalid-dropped"),
    // nftables
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", PLAIN, ""),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", WEIGHTED, "ipvs-annotations-unused"),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16",
        LOAD_BALANCER,
        "nodeport-localhost-opened nodeport-all-addresses health-check-all-addresses",
    ),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]", LOAD_BALANCER, ""),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [0.0.0.0/0]\n\
         iptables: {localhostNodePorts: false}",
        NODE_PORT,
        "",
    ),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", STICKY, "affinity-reset affinity-list-limit"),
    case(
        "mode: nftables\nnftables: {masqueradeAll: true, masqueradeBit: 10, syncPeriod: 10s}",
        NONE,
        "masquerade-all masquerade-bit sync-period",
    ),
    case("mode: nftables\nconntrack: {tcpBeLiberal: true}", NONE, "-conntrack-invalid-dropped"),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16\nfeatureGates: {KubeProxyNFTablesLocalhostNodePorts: true}\n\
         nodePortAddresses: [127.0.0.0/8]",
        NODE_PORT,
        "settings-without-meaning",
    ),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16\nfeatureGates: {KubeProxyNFTablesLocalhostNodePorts: true}\n\
         nodePortAddresses: [127.0.0.0/8, \"::1/128\"]",
        NODE_PORT,
        "nodeport-localhost settings-without-meaning",
    ),
];

/// What is found on any cluster, from each mode to ipvs.
const IPTABLES_TO_IPVS: &str = "config-is-followed cluster-ip-other-ports conntrack-invalid forward-accept leftovers \
     rule-readers metrics tcp-reset route-localnet pages ipvs-input-chain ipvs-per-service ipvs-scheduling vip-ping";
const IPVS_TO_IPVS: &str = "config-is-followed kube-ipvs-interface ipvs-drain forward-accept leftovers rule-readers metrics \
     ipvs-node-source ipvs-per-service ipvs-stays tcp-reset pages";
const NFTABLES_TO_IPVS: &str = "config-is-followed leftovers rule-readers metrics tcp-reset pages ipvs-input-chain \
     ipvs-per-service ipvs-scheduling vip-ping";

const TO_IPVS: &[Case] = &[
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", PLAIN, ""),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", NODE_PORT, "nodeport-localhost"),
    case(
        "mode: iptables\nclusterCIDR: 10.244.0.0/16\niptables: {localhostNodePorts: false}",
        LOAD_BALANCER,
        "health-check-accept vip-other-ports -route-localnet",
    ),
    case("mode: iptables\niptables: {masqueradeAll: true, masqueradeBit: 10}", NONE, ""),
    case("mode: iptables\niptables: {syncPeriod: 10s}", NONE, "sync-period"),
    case(
        "mode: iptables\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary]",
        STICKY_NODE_PORT,
        "affinity-reset affinity-per-frontend affinity-longer",
    ),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", EXTERNAL, "external-ips vip-other-ports"),
    case("mode: iptables\nclusterCIDR: 10.244.0.0/16", || vec![service("dns").udp()], ""),
    // From ipvs hardly anything differs.
    case("mode: ipvs", NONE, ""),
    case("mode: ipvs\nipvs: {scheduler: sh, strictARP: true, tcpTimeout: 10m, syncPeriod: 10s}", NONE, ""),
    case("mode: ipvs\nipvs: {excludeCIDRs: [10.1.0.0/16]}", NONE, "ipvs-exclude-cidrs"),
    case("mode: ipvs\niptables: {masqueradeAll: true, masqueradeBit: 10}", NONE, ""),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", NODE_PORT, ""),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", STICKY_NODE_PORT, ""),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", WEIGHTED, ""),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", INTERNAL_LOCAL, "internal-local-leak"),
    case("mode: ipvs\nclusterCIDR: 10.244.0.0/16", LOAD_BALANCER, "external-local-leak health-check-accept"),
    // nftables
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", PLAIN, ""),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", NODE_PORT, "nodeport-all-addresses"),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16",
        LOAD_BALANCER,
        "nodeport-all-addresses health-check-all-addresses vip-other-ports",
    ),
    case("mode: nftables\nclusterCIDR: 10.244.0.0/16", STICKY, "affinity-reset affinity-longer"),
    case(
        "mode: nftables\nnftables: {masqueradeAll: true, masqueradeBit: 10, syncPeriod: 10s}",
        NONE,
        "masquerade-all masquerade-bit sync-period",
    ),
    case(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16\nfeatureGates: {KubeProxyNFTablesLocalhostNodePorts: true}\n\
         nodePortAddresses: [10.0.0.0/8, 127.0.0.0/8]",
        NODE_PORT,
        "nodeport-localhost settings-without-meaning",
    ),
];

#[test]
fn to_ipvs() {
    compare(TO_IPVS, Mode::Ipvs, [IPTABLES_TO_IPVS, IPVS_TO_IPVS, NFTABLES_TO_IPVS]);
}

#[test]
fn to_nftables() {
    compare(CASES, Mode::Nftables, [IPTABLES, IPVS, NFTABLES]);
}

#[test]
fn to_iptables() {
    compare(TO_IPTABLES, Mode::Iptables, [IPTABLES_TO_IPTABLES, IPVS_TO_IPTABLES, NFTABLES_TO_IPTABLES]);
}

fn compare(cases: &[Case], to: Mode, [iptables, ipvs, nftables]: [&str; 3]) {
    for case in cases {
        let found = report(case.config, to, &(case.services)());
        let got: Vec<&str> = found.findings.iter().map(|finding| finding.id).collect();
        let of_mode = match found.from.mode.as_str() {
            "ipvs" => ipvs,
            "nftables" => nftables,
            _ => iptables,
        };
        let mut want: Vec<&str> = of_mode.split_whitespace().collect();
        for id in case.findings.split_whitespace() {
            match id.strip_prefix('-') {
                Some(id) => want.retain(|w| *w != id),
                None => want.push(id),
            }
        }
        let sorted = |mut list: Vec<&str>| {
            list.sort_unstable();
            list.join("\n")
        };
        assert_eq!(sorted(got), sorted(want), "{:?}", case.config);
    }
}

/// What a swap without another mode must not break.
#[test]
fn nothing_breaks_from_a_mode_to_the_same() {
    for (mode, to) in [("iptables", Mode::Iptables), ("nftables", Mode::Nftables), ("ipvs", Mode::Ipvs)] {
        // With internalTrafficPolicy Local, kube-proxy's mode ipvs itself is known to be wrong.
        let local = if to == Mode::Ipvs { PLAIN } else { INTERNAL_LOCAL };
        for services in [NODE_PORT, LOAD_BALANCER, STICKY_NODE_PORT, local, COMPETING, ONE_RANGE] {
            let found = report(&format!("mode: {mode}\nclusterCIDR: 10.244.0.0/16"), to, &services());
            assert!(!found.breaks(), "{mode}: {}", found.text());
        }
    }
}

#[test]
fn unused_addresses_of_service_cidrs_are_found_where_the_cidrs_are_known() {
    let with_cidr = common::store(&[service("web")], &["10.96.0.0/16"]);
    let config = common::config("clusterCIDR: 10.244.0.0/16");
    let report = towpath_migrate::check(&config, Mode::Nftables, &with_cidr);
    let finding = report.findings.iter().find(|f| f.id == "cluster-ip-unused").unwrap();
    assert_eq!(finding.subjects, ["10.96.0.0/16"]);
    assert!(report.not_checked.iter().all(|line| !line.contains("ServiceCIDR")));
    let without = towpath_migrate::check(&config, Mode::Nftables, &common::store(&[service("web")], &[]));
    assert!(without.not_checked.iter().any(|line| line.contains("ServiceCIDR")));
}

#[test]
fn what_the_kernels_have_is_said_to_be_unchecked() {
    for (to, said) in [(Mode::Ipvs, true), (Mode::Nftables, false), (Mode::Iptables, false)] {
        let report = report("mode: ipvs", to, &[service("web")]);
        let found = report.not_checked.iter().any(|line| line.contains("IPVS"));
        assert_eq!(found, said, "{to:?}: {:?}", report.not_checked);
    }
}

#[test]
fn the_scheduler_is_named() {
    for (config, want) in [("", "ipvs.scheduler: rr"), ("ipvs: {scheduler: lc}", "ipvs.scheduler: lc")] {
        let report = report(&format!("mode: iptables\n{config}"), Mode::Ipvs, &[service("web")]);
        let finding = report.findings.iter().find(|f| f.id == "ipvs-scheduling").unwrap();
        assert_eq!(finding.subjects, [want]);
    }
}

#[test]
fn a_mode_that_is_left_open_may_be_another_one_on_some_nodes() {
    for (mode, said) in [("\"\"", true), ("auto", true), ("nftables", false)] {
        let report = report(&format!("mode: {mode}"), Mode::Nftables, &[service("web")]);
        let found = report.not_checked.iter().any(|line| line.contains("left open"));
        assert_eq!(found, said, "{mode}: {:?}", report.not_checked);
    }
}
