//! Leftovers of each mode in the real kernel, among rules of others. Needs root, nft and both variants of iptables.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{TABLES, clear, everything, look, restore, saved};
use model::IpFamily;
use testkit::kube_proxy::{Cluster, foreign, ipvs_chains, kubelet};
use testkit::netns::NetNs;
use xtables::Variant;

/// A namespace with rules of others in this variant.
fn with_others(variants: &[Variant]) -> NetNs {
    let ns = NetNs::new().unwrap();
    for (variant, family) in variants.iter().flat_map(|v| IpFamily::ALL.map(|family| (*v, family))) {
        restore(&ns, variant, family, &kubelet(family));
        restore(&ns, variant, family, &foreign(family));
    }
    ns
}

fn assert_clean(ns: &NetNs, before: &str) {
    let report = clear(ns);
    assert!(report.failed.is_empty() && report.kept.is_empty(), "{report:#?}");
    assert!(!report.removed.is_empty(), "{report:#?}");
    pretty_eq(&everything(ns), before);
    assert_eq!(look(ns), Default::default());
    assert_eq!(clear(ns), Default::default());
}

/// Texts of a thousand lines: only the lines that differ are shown.
fn pretty_eq(left: &str, right: &str) {
    let differ: Vec<_> =
        left.lines().zip(right.lines()).filter(|(left, right)| left != right).take(5).collect();
    assert!(left == right, "{} and {} bytes, first differences {differ:#?}", left.len(), right.len());
}

#[test]
fn chains_of_iptables_mode_go_and_all_else_stays() {
    for variant in Variant::ALL {
        let ns = with_others(&[variant]);
        let before = everything(&ns);
        for family in IpFamily::ALL {
            restore(&ns, variant, family, &Cluster::example().iptables(family));
        }
        let found = look(&ns);
        let lines = IpFamily::ALL.map(|family| {
            format!(
                "34 chains KUBE-* and 12 jumps in iptables nat, filter, mangle ({variant} variant, {family})"
            )
        });
        assert_eq!((found.found, found.unread), (lines.to_vec(), Vec::new()));
        assert_clean(&ns, &before);
    }
}

#[test]
fn chains_of_ipvs_mode_go_and_all_else_stays() {
    for variant in Variant::ALL {
        let ns = with_others(&[variant]);
        let before = everything(&ns);
        for family in IpFamily::ALL {
            restore(&ns, variant, family, &ipvs_chains(family));
        }
        assert_eq!(look(&ns).found.len(), 2);
        assert_clean(&ns, &before);
    }
}

#[test]
fn tables_of_nftables_mode_go_and_tables_of_other_names_stay() {
    let ns = NetNs::new().unwrap();
    ns.nft(
        "add table inet kube-proxy\nadd chain inet kube-proxy services\nadd rule inet kube-proxy services counter\n\
         add table ip kube-proxy-2\nadd chain ip kube-proxy-2 services\n\
         add table ip6 kube\nadd set ip6 kube cluster-ips { type ipv6_addr; }\n\
         add table arp kube-proxy\nadd chain arp kube-proxy services\n",
    )
    .unwrap();
    let before = everything(&ns);
    for family in IpFamily::ALL {
        ns.nft(&Cluster::example().nft(family)).unwrap();
    }
    assert_eq!(look(&ns).found, ["table ip kube-proxy", "table ip6 kube-proxy"]);
    assert_clean(&ns, &before);
}

#[test]
fn an_empty_table_goes_too() {
    let ns = NetNs::new().unwrap();
    ns.nft("add table ip kube-proxy\n").unwrap();
    assert_eq!(clear(&ns).removed, ["table ip kube-proxy"]);
    assert_eq!(everything(&ns), "");
}

#[test]
fn leftovers_of_all_modes_in_both_variants_go_at_once() {
    let ns = with_others(&Variant::ALL);
    let before = everything(&ns);
    for family in IpFamily::ALL {
        ns.nft(&Cluster::example().nft(family)).unwrap();
        restore(&ns, Variant::Legacy, family, &Cluster::example().iptables(family));
        restore(&ns, Variant::Nft, family, &ipvs_chains(family));
        restore(&ns, Variant::Nft, family, &Cluster::example().iptables(family));
    }
    assert_eq!(look(&ns).found.len(), 6);
    assert_clean(&ns, &before);
}

#[test]
fn what_a_foreign_rule_uses_stays_with_what_it_needs() {
    const RULE: &str = "-A HOSTPORTS -p tcp -m tcp --dport 8088 -j KUBE-MARK-MASQ";
    for variant in Variant::ALL {
        let ns = with_others(&[variant]);
        restore(&ns, variant, IpFamily::V4, &Cluster::example().iptables(IpFamily::V4));
        restore(&ns, variant, IpFamily::V4, &format!("*nat\n:HOSTPORTS - [0:0]\n{RULE}\nCOMMIT\n"));
        let report = clear(&ns);
        let place = format!("in iptables nat ({variant} variant, IPv4)");
        let kept = [
            match variant {
                Variant::Legacy => format!("chain KUBE-MARK-MASQ {place}: the rule \"{RULE}\" uses it"),
                Variant::Nft => format!("chain KUBE-MARK-MASQ {place}: a rule in chain HOSTPORTS uses it"),
            },
            format!("chain KUBE-POSTROUTING {place}: KUBE-MARK-MASQ needs it"),
        ];
        assert_eq!((report.kept, report.failed), (kept.to_vec(), Vec::new()));
        let left = saved(&ns, variant, IpFamily::V4);
        for line in [
            RULE,
            "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
            "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
            "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully",
        ] {
            assert!(left.lines().any(|found| found == line), "{line}\n{left}");
        }
        assert!(!left.contains("-j KUBE-S") && !left.contains(":KUBE-SERVICES"), "{left}");
        let again = clear(&ns);
        assert!(again.removed.is_empty() && again.failed.is_empty() && again.kept.len() == 2, "{again:#?}");
    }
}

#[test]
fn a_look_changes_nothing() {
    let ns = NetNs::new().unwrap();
    assert_eq!(look(&ns), Default::default());
    assert_eq!(clear(&ns), Default::default());
    assert_eq!(everything(&ns), "");
    assert!(TABLES.iter().all(|table| !everything(&ns).contains(table)));
}

#[test]
fn a_table_with_rules_that_the_iptables_tools_cannot_show_is_cleared_too() {
    let ns = with_others(&[Variant::Nft]);
    // Random numbers are nothing that iptables has a word for.
    ns.nft("add chain ip nat own\nadd rule ip nat own numgen random mod 3 1 accept\n").unwrap();
    let before = everything(&ns);
    restore(&ns, Variant::Nft, IpFamily::V4, &Cluster::example().iptables(IpFamily::V4));
    assert_clean(&ns, &before);
}

#[test]
fn a_map_that_leads_to_a_chain_keeps_the_table_as_it_is() {
    let ns = NetNs::new().unwrap();
    restore(&ns, Variant::Nft, IpFamily::V4, &Cluster::example().iptables(IpFamily::V4));
    ns.nft(
        "add map ip nat m { type ipv4_addr : verdict; }\n\
         add element ip nat m { 192.0.2.1 : jump KUBE-SERVICES }\n",
    )
    .unwrap();
    let nat = || ns.command("nft", &["--stateless", "list", "table", "ip", "nat"]).unwrap();
    let before = nat();
    let report = clear(&ns);
    assert!(report.failed.len() == 1 && report.failed[0].contains("KUBE-SERVICES"), "{report:#?}");
    assert!(!report.failed[0].contains('\n'));
    assert_eq!(nat(), before);
}

#[test]
fn a_foreign_link_of_that_name_stays() {
    let ns = NetNs::new().unwrap();
    ns.ip_batch("link add name kube-ipvs0 type bridge\n").unwrap();
    assert!(look(&ns).is_empty());
    let report = clear(&ns);
    assert_eq!(report.kept, ["link kube-ipvs0: it is no dummy link but bridge, so not kube-proxy's"]);
    assert!(ns.command("ip", &["link", "show", "kube-ipvs0"]).is_ok());
}
