//! Names that end on the node, and what is said of names that are not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Client, Running, Upstream, metrics, names, pod, records};
use dns_wire::{Section, rcode, rtype};
use towpath_dns::Options;

/// The owner of the SOA.
fn owner(answer: &common::Answer) -> String {
    let authority = answer.of(Section::Authority);
    authority.first().and_then(|line| line.split(' ').next()).unwrap_or("").to_owned()
}

#[test]
fn reverse_zones_of_this_host_have_an_apex() {
    let running = Running::new(".:53 {\n local\n}");
    let client = running.client();
    let six = format!("1.{}ip6.arpa.", "0.".repeat(31));
    let (here, four) = ("localhost.", "127.in-addr.arpa.");
    for (name, qtype, code, answers, soa) in [
        (here, rtype::A, 0, 1, ""),
        (here, rtype::SOA, 0, 1, ""),
        (here, rtype::NS, 0, 1, ""),
        (here, rtype::MX, 0, 0, here),
        ("x.localhost.", rtype::AAAA, 0, 1, ""),
        ("x.localhost.", rtype::SOA, 0, 0, here),
        (four, rtype::SOA, 0, 1, ""),
        (four, rtype::NS, 0, 1, ""),
        (four, rtype::A, 0, 0, four),
        ("0.127.in-addr.arpa.", rtype::PTR, 0, 0, four),
        ("1.0.0.127.in-addr.arpa.", rtype::PTR, 0, 1, ""),
        ("1.0.0.127.in-addr.arpa.", rtype::A, 0, 0, four),
        ("2.0.0.127.IN-addr.arpa.", rtype::PTR, rcode::NXDOMAIN, 0, "127.IN-addr.arpa."),
        ("0.in-addr.arpa.", rtype::SOA, 0, 1, ""),
        ("1.255.in-addr.arpa.", rtype::SOA, rcode::NXDOMAIN, 0, "255.in-addr.arpa."),
        (&six, rtype::PTR, 0, 1, ""),
        (&six, rtype::SOA, 0, 1, ""),
        (&six, rtype::A, 0, 0, &six),
        ("x.invalid.", rtype::SOA, rcode::NXDOMAIN, 0, "invalid."),
        ("invalid.", rtype::SOA, rcode::NXDOMAIN, 0, "invalid."),
    ] {
        let answer = client.ask(name, qtype);
        let seen = (answer.rcode, answer.answers().len(), owner(&answer));
        assert_eq!(seen, (code, answers, soa.to_owned()), "{name} {qtype}");
        assert!(answer.is_authoritative(), "{name} {qtype}");
    }
    assert_eq!(client.ask(four, rtype::NS).answers(), ["127.in-addr.arpa. 604800 NS localhost."]);
}

/// A server that completes the names of the pod 127.0.0.7 of `shop`, and that pod.
fn searching(upstream: &Upstream) -> (Running, Client) {
    let corefile = format!(
        ". {{\n autopath @kubernetes\n kubernetes cluster.local {{\n pods verified\n }}\n forward . {}\n}}",
        upstream.address
    );
    let options = Options::new(vec!["127.0.0.1:0".parse().unwrap()]);
    let mut cluster = names();
    cluster.apply(pod("shop", "127.0.0.7"));
    let running = Running::with(&corefile, options, cluster);
    let client = Client::from("127.0.0.7:0", running.address);
    (running, client)
}

#[test]
fn a_completed_name_without_records_has_no_cname() {
    let upstream = Upstream::start(records());
    let (_running, client) = searching(&upstream);
    for (name, soa, own) in [
        ("kubernetes.default.shop.svc.cluster.local.", "cluster.local.", true),
        ("www.example.net.shop.svc.cluster.local.", "example.net.", false),
    ] {
        let answer = client.ask(name, rtype::AAAA);
        assert_eq!((answer.rcode, answer.answers().len(), owner(&answer)), (0, 0, soa.to_owned()), "{name}");
        assert_eq!(answer.is_authoritative(), own, "{name}");
    }
}

#[test]
fn a_completed_name_is_as_sure_and_as_lasting_as_its_end() {
    let upstream = Upstream::start(records());
    let (_running, client) = searching(&upstream);
    for (name, first, count, own) in [
        ("www.example.net.shop.svc.cluster.local.", "60 CNAME www.example.net.", 2, false),
        (
            "kubernetes.default.shop.svc.cluster.local.",
            "5 CNAME kubernetes.default.svc.cluster.local.",
            2,
            true,
        ),
        ("ext.shop.shop.svc.cluster.local.", "5 CNAME ext.shop.svc.cluster.local.", 3, true),
        ("alias.example.net.shop.svc.cluster.local.", "60 CNAME alias.example.net.", 2, false),
    ] {
        let answer = client.ask(name, rtype::A);
        let answers = answer.answers();
        assert_eq!((answers.len(), &answers[0]), (count, &format!("{name} {first}")));
        assert_eq!(answer.is_authoritative(), own, "{name}");
    }
}

#[test]
fn a_failure_at_a_candidate_is_not_hidden() {
    let upstream = Upstream::start(records());
    let (_running, client) = searching(&upstream);
    let broken = client.ask("broken.example.net.shop.svc.cluster.local.", rtype::A);
    assert_eq!((broken.rcode, broken.records.len()), (rcode::SERVFAIL, 0));
    assert!(!broken.is_authoritative());
    let missing = client.ask("nowhere.example.net.shop.svc.cluster.local.", rtype::A);
    assert_eq!((missing.rcode, owner(&missing).as_str()), (rcode::NXDOMAIN, "cluster.local."));
}

#[test]
fn hosts_leaves_other_addresses_to_others() {
    let upstream = Upstream::start(records());
    let running = Running::new(&format!(
        ". {{\n hosts /nonexistent example {{\n 192.0.2.7 node7.example.\n }}\n forward . {}\n}}",
        upstream.address
    ));
    let client = running.client();
    let known = client.ask("7.2.0.192.in-addr.arpa.", rtype::PTR);
    assert_eq!(known.answers(), ["7.2.0.192.in-addr.arpa. 3600 PTR node7.example."]);
    let missing = client.ask("node8.example.", rtype::A);
    assert_eq!((missing.rcode, missing.records.len()), (rcode::NXDOMAIN, 0));
    assert_eq!(upstream.asked(), Vec::<String>::new());
    client.ask("8.2.0.192.in-addr.arpa.", rtype::PTR);
    client.ask("8.2.0.192.in-addr.arpa.", rtype::TXT);
    client.ask("www.example.net.", rtype::A);
    let asked = ["8.2.0.192.in-addr.arpa. 12", "8.2.0.192.in-addr.arpa. 16", "www.example.net. 1"];
    assert_eq!(upstream.asked(), asked);
}

#[test]
fn a_denial_shows_how_long_it_is_kept() {
    let upstream = Upstream::start(records());
    let running = Running::new(&format!(". {{\n cache\n forward . {}\n}}", upstream.address));
    for _ in 0..2 {
        let missing = running.client().ask("nowhere.example.net.", rtype::A);
        assert!(missing.of(Section::Authority)[0].starts_with("example.net. 30 SOA "), "60, minimum 30");
    }
}

#[test]
fn metrics_tell_versions_refusals_and_what_acl_lets_pass() {
    let upstream = Upstream::start(records());
    let running = Running::new(&format!(
        ". {{\n rewrite name exact old.example. www.example.net.\n acl {{\n block type TXT\n }}\n forward . {}\n}}",
        upstream.address
    ));
    let client = running.client();
    client.ask("www.example.net.", rtype::A);
    client.ask("old.example.", rtype::A);
    client.ask("old.example.", rtype::TXT);
    running.server.note_refused();
    let text = metrics(&running);
    for line in [
        "coredns_acl_allowed_requests_total{server=\"dns://:53\"} 2",
        "coredns_acl_blocked_requests_total{server=\"dns://:53\"} 1",
        "coredns_reload_failed_total 1",
        "coredns_build_info{version=\"",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}
