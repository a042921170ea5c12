//! Rulesets as kube-proxy writes them, loaded into a real kernel and read back. Needs root, nft and both variants of
//! iptables.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/fixtures.rs"]
mod fixtures;
mod support;

use model::IpFamily;
use resolve::Mode;
use support::{example, lines};
use testkit::kube_proxy::{Cluster, foreign, ipvs_chains, kubelet};
use testkit::netns::NetNs;
use towpath_shadow::{Place, Programmed, Reader, ShadowError, locate};
use xtables::Variant;

const PLACES: [Place; 3] = [Place::Nftables, Place::Iptables(Variant::Legacy), Place::Iptables(Variant::Nft)];

fn load(ns: &NetNs, place: Place, family: IpFamily, text: &str) {
    match (place, family) {
        (Place::Nftables, _) => ns.nft(text).unwrap(),
        (Place::Ipvs, _) => unreachable!("no kernel of the tests has IPVS"),
        (Place::Iptables(variant), IpFamily::V4) => restore(ns, "iptables", variant, text),
        (Place::Iptables(variant), IpFamily::V6) => restore(ns, "ip6tables", variant, text),
    }
}

fn restore(ns: &NetNs, base: &str, variant: Variant, text: &str) {
    let program = format!("{base}-{}-restore", variant.as_str());
    ns.command_with_input(&program, &["--noflush", "-w", "5"], text).unwrap();
}

/// A namespace in which a kube-proxy of this mode has programmed the cluster.
fn programmed_by_kube_proxy(place: Place, cluster: &Cluster) -> NetNs {
    let ns = NetNs::new().unwrap();
    for family in IpFamily::ALL {
        let text = if place == Place::Nftables { cluster.nft(family) } else { cluster.iptables(family) };
        load(&ns, place, family, &text);
    }
    ns
}

fn read(ns: &NetNs, place: Place) -> Programmed {
    let (places, programmed) = ns.run(|| (locate().unwrap(), place.read().unwrap())).unwrap();
    assert_eq!(places, [place]);
    assert!(programmed.consistent);
    programmed
}

#[test]
fn each_change_gives_exactly_its_differences_in_each_mode() {
    for place in PLACES {
        for (name, change, want) in cases::CASES {
            let mut theirs = example();
            change(&mut theirs);
            let programmed = read(&programmed_by_kube_proxy(place, &theirs), place);
            assert_eq!(programmed.mode, place.mode());
            assert_eq!(lines(&example(), &programmed), *want, "{place:?}: {name}");
        }
    }
}

#[test]
fn what_others_have_beside_changes_nothing() {
    for place in [Place::Iptables(Variant::Legacy), Place::Iptables(Variant::Nft)] {
        let ns = NetNs::new().unwrap();
        for family in IpFamily::ALL {
            for text in [kubelet(family), foreign(family), example().iptables(family)] {
                load(&ns, place, family, &text);
            }
        }
        assert!(lines(&example(), &read(&ns, place)).is_empty(), "{place:?}");
    }
}

#[test]
fn without_a_kube_proxy_it_says_where_it_looked() {
    let not_found = |ns: &NetNs| match ns.run(locate).unwrap() {
        Err(error @ ShadowError::NotFound { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let ns = NetNs::new().unwrap();
    assert_eq!(
        not_found(&ns),
        "no rules of a running kube-proxy found: looked for the nf_tables tables ip and ip6 kube-proxy, \
         the chain KUBE-SERVICES in table nat of iptables (legacy), \
         the chain KUBE-SERVICES in table nat of iptables (nft), the link kube-ipvs0 with IPVS"
    );
    let tables = ns.command("nft", &["list", "tables"]).unwrap();
    assert_eq!(tables, "", "looking makes no table");
    for family in IpFamily::ALL {
        let place = Place::Iptables(Variant::Nft);
        let jumps = |line: &&str| !line.starts_with("-I ");
        let text = example().iptables(family);
        let leftovers: Vec<&str> = text.lines().filter(jumps).collect();
        load(&ns, place, family, &(leftovers.join("\n") + "\n"));
        load(&ns, Place::Iptables(Variant::Legacy), family, &ipvs_chains(family));
    }
    not_found(&ns);
}

#[test]
fn texts_of_other_versions_and_kinds_read_as_what_they_do() {
    for (name, place, family, text, want) in fixtures::FIXTURES {
        let ns = NetNs::new().unwrap();
        load(&ns, *place, *family, text);
        let programmed = read(&ns, *place);
        assert_eq!(fixtures::print(&programmed), *want, "{name}");
    }
}

#[test]
fn two_kube_proxies_are_both_found() {
    let ns = programmed_by_kube_proxy(Place::Nftables, &example());
    load(&ns, PLACES[2], IpFamily::V4, &example().iptables(IpFamily::V4));
    assert_eq!(ns.run(locate).unwrap().unwrap(), [PLACES[0], PLACES[2]]);
    assert_eq!(PLACES.map(Place::mode), [Mode::Nftables, Mode::Iptables, Mode::Iptables]);
}

#[test]
fn a_reader_follows_every_change() {
    let ns = programmed_by_kube_proxy(Place::Nftables, &example());
    let mut reader = Reader::new(Place::Nftables);
    for (name, change, want) in cases::CASES {
        let mut theirs = example();
        change(&mut theirs);
        for family in IpFamily::ALL {
            let ip = if family == IpFamily::V4 { "ip" } else { "ip6" };
            // A new table: names and handles of its sets were those of other sets before.
            ns.nft(&format!("delete table {ip} kube-proxy\n{}", theirs.nft(family))).unwrap();
        }
        let programmed = ns.run(|| reader.read().unwrap()).unwrap();
        assert_eq!(lines(&example(), &programmed), *want, "{name}");
    }
}

#[test]
fn a_reader_sees_a_chain_that_was_filled_anew() {
    let ns = programmed_by_kube_proxy(Place::Nftables, &example());
    let mut reader = Reader::new(Place::Nftables);
    let before = ns.run(|| reader.read().unwrap()).unwrap();
    assert!(lines(&example(), &before).is_empty());
    let text = example().nft(IpFamily::V4);
    let rule = text.lines().find(|line| line.contains("10.244.2.7") && line.contains("/web/")).unwrap();
    let chain = rule.split_whitespace().nth(4).unwrap();
    let moved = rule.replace("10.244.2.7", "10.244.2.8");
    ns.nft(&format!("flush chain ip kube-proxy {chain}\n{moved}\n")).unwrap();
    let after = ns.run(|| reader.read().unwrap()).unwrap();
    assert_eq!(
        lines(&example(), &after),
        ["default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): \
          only kube-proxy sends to 10.244.2.8:8080, only towpath to 10.244.2.7:8080"]
    );
}
