//! Which plugin comes before which, and which zone a question belongs to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use common::{CLUSTER, Client, Running, Upstream, names, pod, query, records};
use dns_wire::{Name, Section, edns_option, rcode, rtype};
use towpath_dns::Options;

const DS: u16 = 43;
const WEB: &str = "web.shop.svc.cluster.local.";

fn block(zones: &str, plugins: &str, upstream: &Upstream) -> String {
    format!("{zones} {{\n {plugins}\n forward . {}\n}}\n", upstream.address)
}

/// CoreDNS: rewrite, autopath, acl, cache, hosts, kubernetes, forward.
#[test]
fn acl_sees_what_rewrite_made() {
    let upstream = Upstream::start(records());
    let plugins = "rewrite name exact inner.example. www.example.net.
        rewrite name exact shown.example. web.shop.svc.cluster.local.
        rewrite name exact gone.example. dropped.example.net.
        rewrite name exact old.example. plain.example.
        acl example.net cluster.local {\n block type A\n filter type AAAA\n }
        acl dropped.example.net {\n drop type TXT\n }
        acl old.example {\n block\n }
        kubernetes cluster.local";
    let running = Running::new(&block(".", plugins, &upstream));
    let client = running.client();
    let code = |name: &str, kind| {
        let answer = client.ask(name, kind);
        let told = answer.option(edns_option::EXTENDED_ERROR).map(|data| data[1]);
        (answer.rcode, told, answer.answers().len())
    };
    for name in ["www.example.net.", "inner.example.", "shown.example.", WEB] {
        assert_eq!(code(name, rtype::A), (rcode::REFUSED, Some(15), 0), "{name}");
        assert_eq!(code(name, rtype::AAAA), (rcode::NOERROR, Some(17), 0), "{name}");
    }
    // The rules about the name as it was asked do not count.
    assert_eq!(code("old.example.", rtype::A).0, rcode::NXDOMAIN);
    assert_eq!(upstream.asked(), ["plain.example. 1"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.send_to(&query(1, "gone.example.", rtype::TXT, true), running.address).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err(), "dropped");
    let text = common::metrics(&running);
    let count = |what: &str| {
        let begin = format!("coredns_acl_{what}_requests_total");
        let line = text.lines().find(|line| line.starts_with(&begin)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(["blocked", "filtered", "dropped"].map(count), ["4", "4", "1"]);
    let explained = running.server.explain("inner.example.", "A", "127.0.0.1".parse().unwrap());
    assert!(
        explained.contains("becomes www.example.net.") && explained.contains("acl: Block"),
        "{explained}"
    );
}

/// Neither a search list nor an ExternalName leads around `acl`.
#[test]
fn acl_sees_each_name_of_a_search_and_each_target() {
    let upstream = Upstream::start(records());
    let plugins = "autopath @kubernetes
        acl www.example.net {\n block type A\n }
        kubernetes cluster.local {\n pods verified\n }";
    let mut cluster = names();
    cluster.apply(pod("shop", "127.0.0.7"));
    let options = Options::new(vec!["127.0.0.1:0".parse().unwrap()]);
    let running = Running::with(&block(".", plugins, &upstream), options, cluster);
    let pod = Client::from("127.0.0.7:0", running.address);
    assert_eq!(pod.ask("www.example.net.shop.svc.cluster.local.", rtype::A).rcode, rcode::NXDOMAIN);
    let target = running.client().ask("ext.shop.svc.cluster.local.", rtype::A);
    assert_eq!((target.rcode, target.answers().len()), (rcode::REFUSED, 1));
    assert_eq!(upstream.asked(), Vec::<String>::new());
}

/// proto-46, and names below.
#[test]
fn ds_is_answered_by_the_zone_that_holds_the_name() {
    let upstream = Upstream::start(records());
    let inner = "cluster.local in-addr.arpa {\n kubernetes cluster.local in-addr.arpa\n}\n";
    let stub = block("example.net", "", &upstream);
    let outer = Upstream::start(Vec::new());
    for corefile in [
        CLUSTER.to_owned(),
        block(".", "kubernetes cluster.local in-addr.arpa {\n fallthrough in-addr.arpa\n }", &outer),
        format!("{inner}{stub}{}", block(".", "", &outer)),
    ] {
        let running = Running::new(&corefile);
        let client = running.client();
        for name in ["cluster.local.", "svc.cluster.local.", WEB, "in-addr.arpa."] {
            let answer = client.ask(name, DS);
            assert_eq!((answer.rcode, answer.answers().len()), (rcode::NOERROR, 0), "{name}");
            assert!(answer.of(Section::Authority)[0].contains("SOA"), "{name}");
        }
        assert_eq!(client.ask("nothing.shop.svc.cluster.local.", DS).rcode, rcode::NXDOMAIN);
        assert_eq!(outer.asked(), Vec::<String>::new());
        if corefile.contains("example.net") {
            client.ask("example.net.", DS);
            assert_eq!(upstream.asked(), ["example.net. 43"]);
        }
    }
}

#[test]
fn loadbalance_turns_what_upstreams_said() {
    let name: Name = "many.example.net.".parse().unwrap();
    let many = (1..=4).map(|last| (name.clone(), rtype::A, vec![192, 0, 2, last])).collect();
    let upstream = Upstream::start(many);
    for plugins in ["cache\n loadbalance", "loadbalance", "cache\n loadbalance\n nsid", "cache"] {
        let running = Running::new(&block(".", plugins, &upstream));
        let client = running.client();
        let orders: Vec<Vec<String>> =
            (0..60).map(|_| client.ask("many.example.net.", rtype::A).answers()).collect();
        let firsts: BTreeSet<&String> = orders.iter().map(|order| &order[0]).collect();
        assert!(orders.iter().all(|order| order.iter().collect::<BTreeSet<_>>().len() == 4));
        assert_eq!(firsts.len(), if plugins == "cache" { 1 } else { 4 }, "{plugins}");
    }
}

#[test]
fn all_zones_of_a_forward_are_forwarded() {
    let upstream = Upstream::start(Vec::new());
    let corefile = format!(". {{\n cache\n forward 10.0.0.0/15 {}\n}}", upstream.address);
    let running = Running::new(&corefile);
    let client = running.client();
    for _ in 0..2 {
        for name in ["1.2.0.10.in-addr.arpa.", "1.2.1.10.in-addr.arpa."] {
            assert_eq!(client.ask(name, rtype::PTR).rcode, rcode::NXDOMAIN, "{name}");
        }
        assert_eq!(client.ask("1.2.2.10.in-addr.arpa.", rtype::PTR).rcode, rcode::SERVFAIL);
    }
    assert_eq!(upstream.asked(), ["1.2.0.10.in-addr.arpa. 12", "1.2.1.10.in-addr.arpa. 12"]);
}

#[test]
fn the_longest_lameduck_counts_up_to_a_bound() {
    for (seconds, wanted) in [(0, 0), (3, 3), (60, 5)] {
        let corefile = format!("a.example {{\n health\n}}\n. {{\n health {{\n lameduck {seconds}s\n }}\n}}");
        assert_eq!(Running::new(&corefile).server.lameduck(), Duration::from_secs(wanted));
    }
    assert_eq!(Running::new(CLUSTER).server.lameduck(), Duration::ZERO);
}
