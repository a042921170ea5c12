//! The table before it has any Service.

use std::fmt::Write;

use model::IpFamily;

use super::{MARK, Text};

/// Base chains: name, type, hook, priority, and where they jump to, each under its condition.
const BASE: [(&str, &str, &str, i32, &[&str]); 8] = [
    ("filter-prerouting-pre-dnat", "filter", "prerouting", -110, &["ct state new jump firewall-check"]),
    ("filter-output-pre-dnat", "filter", "output", -110, &["ct state new jump firewall-check"]),
    ("nat-prerouting", "nat", "prerouting", -100, &["jump services"]),
    ("nat-output", "nat", "output", -100, &["jump services"]),
    (
        "filter-input",
        "filter",
        "input",
        0,
        &["ct state new jump nodeport-endpoints-check", "ct state new jump service-endpoints-check"],
    ),
    (
        "filter-forward",
        "filter",
        "forward",
        0,
        &["ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"],
    ),
    (
        "filter-output",
        "filter",
        "output",
        0,
        &["ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"],
    ),
    ("nat-postrouting", "nat", "postrouting", 100, &["jump masquerading"]),
];

const CHAINS: [&str; 7] = [
    "services",
    "masquerading",
    "firewall-check",
    "nodeport-endpoints-check",
    "service-endpoints-check",
    "cluster-ips-check",
    "reject-chain",
];

pub(super) fn declare_table(text: &mut Text, family: IpFamily) {
    let ip = text.ip;
    let address = if family == IpFamily::V4 { "ipv4_addr" } else { "ipv6_addr" };
    let _ = writeln!(text.declarations, "add table {ip} kube-proxy {{ comment \"rules for kube-proxy\" ; }}");
    CHAINS.iter().for_each(|chain| text.chain(chain));
    for (name, kind, hook, priority, jumps) in BASE {
        text.declare("chain", format_args!("{name} {{ type {kind} hook {hook} priority {priority} ; }}"));
        jumps.iter().for_each(|jump| text.rule(format_args!("{name} {jump}")));
    }
    text.declare("set", format_args!("cluster-ips {{ type {address} ; comment \"Active ClusterIPs\" ; }}"));
    text.declare(
        "set",
        format_args!("nodeport-ips {{ type {address} ; comment \"IPs that accept NodePort traffic\" ; }}"),
    );
    text.declare(
        "set",
        format_args!("hairpin-connections {{ type {address} . {address} . inet_proto . inet_service ; }}"),
    );
    for map in ["service-ips", "no-endpoint-services", "firewall-ips"] {
        text.declare(
            "map",
            format_args!("{map} {{ type {address} . inet_proto . inet_service : verdict ; }}"),
        );
    }
    for map in ["service-nodeports", "no-endpoint-nodeports"] {
        text.declare("map", format_args!("{map} {{ type inet_proto . inet_service : verdict ; }}"));
    }
}

pub(super) fn masquerading(text: &mut Text) {
    let ip = text.ip;
    text.rule(format_args!(
        "masquerading mark and {MARK} != 0 mark set mark xor {MARK} masquerade fully-random"
    ));
    text.rule(format_args!(
        "masquerading ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random"
    ));
}
