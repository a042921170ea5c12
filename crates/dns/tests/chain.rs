//! The chain of plugins over real sockets, with a real upstream.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use common::{Client, Running, Upstream, names, pod, query, records};
use dns_wire::{Section, edns_option, rcode, rtype};
use towpath_dns::Options;

const WEB: &str = "web.shop.svc.cluster.local.";

/// A block with these plugins, cluster names, and an upstream.
fn with(plugins: &str) -> (Running, Upstream) {
    let upstream = Upstream::start(records());
    let corefile = format!(
        ".:53 {{\n {plugins}\n kubernetes cluster.local in-addr.arpa ip6.arpa {{\n fallthrough in-addr.arpa ip6.arpa\n }}\n forward . {}\n}}",
        upstream.address
    );
    (Running::new(&corefile), upstream)
}

#[test]
fn other_names_are_forwarded_and_kept() {
    let (running, upstream) = with("cache");
    let client = running.client();
    for _ in 0..3 {
        let answer = client.ask("www.example.net.", rtype::A);
        assert_eq!(answer.answers(), ["www.example.net. 60 A 198.51.100.80"]);
        assert!(!answer.is_authoritative());
        let missing = client.ask("nowhere.example.net.", rtype::A);
        assert_eq!((missing.rcode, missing.of(Section::Authority).len()), (rcode::NXDOMAIN, 1));
        assert_eq!(client.ask_tcp("alias.example.net.", rtype::CNAME).answers().len(), 1);
    }
    assert_eq!(upstream.asked().len(), 3);
}

#[test]
fn names_of_the_cluster_never_leave() {
    let (running, upstream) = with("");
    let client = running.client();
    for name in
        ["nothing.shop.svc.cluster.local.", "www.example.net.shop.svc.cluster.local.", "x.cluster.local."]
    {
        assert_eq!(client.ask(name, rtype::A).rcode, rcode::NXDOMAIN);
    }
    assert_eq!(upstream.asked(), Vec::<String>::new());
    // fallthrough
    client.ask("9.9.9.9.in-addr.arpa.", rtype::PTR);
    assert_eq!(upstream.asked(), ["9.9.9.9.in-addr.arpa. 12"]);
}

#[test]
fn an_external_name_is_followed_to_its_end() {
    let (running, _upstream) = with("");
    let client = running.client();
    let alias = |name: &str, target: &str| format!("{name}.shop.svc.cluster.local. 5 CNAME {target}.");
    let ext = client.ask("ext.shop.svc.cluster.local.", rtype::A);
    let address = "www.example.net. 60 A 198.51.100.80".to_owned();
    assert_eq!(ext.answers(), [alias("ext", "www.example.net"), address]);
    assert!(ext.is_authoritative());
    let four = client.ask("ext-v4only.shop.svc.cluster.local.", rtype::AAAA);
    assert_eq!((four.rcode, four.answers()), (0, vec![alias("ext-v4only", "v4only.example.net")]));
    assert_eq!(four.of(Section::Authority), Vec::<String>::new());
    let within = client.ask("ext-in.shop.svc.cluster.local.", rtype::A);
    assert_eq!(within.answers().len(), 2);
    let nowhere = client.ask("ext-nowhere.shop.svc.cluster.local.", rtype::A);
    assert_eq!((nowhere.rcode, nowhere.answers().len()), (rcode::NXDOMAIN, 1));
}

#[test]
fn a_stub_domain_goes_to_its_own_server_only() {
    let (stub, other) = (Upstream::start(Vec::new()), Upstream::start(records()));
    let corefile = format!(
        "acme.local:53 {{\n forward . {}\n}}\n.:53 {{\n forward . {}\n}}",
        stub.address, other.address
    );
    let running = Running::new(&corefile);
    running.client().ask("x.acme.local.", rtype::A);
    running.client().ask("www.example.net.", rtype::A);
    assert_eq!(stub.asked(), ["x.acme.local. 1"]);
    assert_eq!(other.asked(), ["www.example.net. 1"]);
}

#[test]
fn another_configuration_counts_at_once_and_caches_stay() {
    let (first, second) = (Upstream::start(records()), Upstream::start(records()));
    let corefile = |stub: &Upstream| {
        format!(
            "acme.local {{\n forward . {}\n}}\n. {{\n cache\n forward . {}\n}}",
            stub.address, first.address
        )
    };
    let running = Running::new(&corefile(&first));
    let client = running.client();
    client.ask("www.example.net.", rtype::A);
    client.ask("a.acme.local.", rtype::A);
    assert_eq!(running.reconfigure(&corefile(&second)), Vec::<String>::new());
    client.ask("www.example.net.", rtype::A);
    client.ask("b.acme.local.", rtype::A);
    assert_eq!(first.asked(), ["www.example.net. 1", "a.acme.local. 1"]);
    assert_eq!(second.asked(), ["b.acme.local. 1"]);
}

#[test]
fn rewrite_turns_the_answer_back() {
    let (running, upstream) = with(
        "rewrite name exact shop.example. web.shop.svc.cluster.local.\n rewrite name suffix .svc.example. .svc.cluster.local. answer auto\n rewrite type ANY A",
    );
    let client = running.client();
    assert_eq!(client.ask("Shop.example.", rtype::A).answers(), ["Shop.example. 5 A 10.96.10.1"]);
    assert_eq!(
        client.ask("web.shop.svc.example.", rtype::A).answers(),
        ["web.shop.svc.example. 5 A 10.96.10.1"]
    );
    let missing = client.ask("nothing.shop.svc.example.", rtype::A);
    assert_eq!((missing.rcode, missing.is_authoritative()), (rcode::NXDOMAIN, true));
    assert_eq!(client.ask(WEB, rtype::ANY).answers(), ["web.shop.svc.cluster.local. 5 A 10.96.10.1"]);
    assert_eq!(upstream.asked(), Vec::<String>::new());
}

#[test]
fn dns64_makes_addresses_only_where_there_are_none() {
    let (running, _upstream) = with("dns64 {\n allow_ipv4\n }");
    let client = running.client();
    let made = client.ask("www.example.net.", rtype::AAAA);
    assert_eq!(made.answers(), ["www.example.net. 60 AAAA 64:ff9b::c633:6450"]);
    let cluster = client.ask(WEB, rtype::AAAA);
    assert_eq!(cluster.answers(), ["web.shop.svc.cluster.local. 5 AAAA 64:ff9b::a60:a01"]);
    let dual = client.ask("dual.shop.svc.cluster.local.", rtype::AAAA);
    assert_eq!(dual.answers(), ["dual.shop.svc.cluster.local. 5 AAAA fd00:10:96::a003"]);
    assert_eq!(client.ask("nowhere.example.net.", rtype::AAAA).rcode, rcode::NXDOMAIN);
    let (plain, _upstream) = with("dns64");
    assert_eq!(plain.client().ask("www.example.net.", rtype::AAAA).answers(), Vec::<String>::new());
}

#[test]
fn autopath_walks_the_list_of_a_certain_pod_only() {
    let upstream = Upstream::start(records());
    let corefile = format!(
        ". {{\n autopath @kubernetes\n kubernetes cluster.local {{\n pods verified\n }}\n forward . {}\n}}",
        upstream.address
    );
    let options = Options::new(vec!["127.0.0.1:0".parse().unwrap()]);
    let mut cluster = names();
    cluster.apply(pod("shop", "127.0.0.7"));
    let running = Running::with(&corefile, options, cluster);
    let pod = Client::from("127.0.0.7:0", running.address);
    let link = |name: &str, target: &str| {
        format!("{name} {} CNAME {target}", if target.ends_with("net.") { 60 } else { 5 })
    };
    let name = "kubernetes.default.shop.svc.cluster.local.";
    assert_eq!(
        pod.ask(name, rtype::A).answers(),
        [
            link(name, "kubernetes.default.svc.cluster.local."),
            "kubernetes.default.svc.cluster.local. 5 A 10.96.0.1".to_owned()
        ]
    );
    let name = "www.example.net.shop.svc.cluster.local.";
    for (kind, count) in [(rtype::A, 2), (rtype::AAAA, 0)] {
        let answer = pod.ask(name, kind);
        assert_eq!((answer.rcode, answer.answers().len()), (0, count), "type {kind}");
    }
    assert_eq!(
        pod.ask("web.SHOP.svc.cluster.local.", rtype::A).answers(),
        ["web.SHOP.svc.cluster.local. 5 A 10.96.10.1"]
    );
    assert_eq!(pod.ask("kubernetes.default.data.svc.cluster.local.", rtype::A).rcode, rcode::NXDOMAIN);
    let stranger = Client::from("127.0.0.8:0", running.address);
    assert_eq!(stranger.ask(name, rtype::A).rcode, rcode::NXDOMAIN);
}

#[test]
fn hosts_acl_any_nsid_and_chaos() {
    let (running, upstream) = with(
        "hosts /nonexistent {\n 192.0.2.7 node7.example.\n fd00::7 node7.example.\n fallthrough\n }\n acl {\n block type TXT net 127.0.0.0/8\n filter type MX net *\n drop type SRV net *\n }\n any\n nsid\n chaos v1 somebody",
    );
    let client = running.client();
    assert_eq!(client.ask("NODE7.example.", rtype::A).answers(), ["NODE7.example. 3600 A 192.0.2.7"]);
    assert_eq!(client.ask("node7.example.", rtype::AAAA).answers(), ["node7.example. 3600 AAAA fd00::7"]);
    assert_eq!(client.ask("7.2.0.192.in-addr.arpa.", rtype::PTR).answers().len(), 1);
    let blocked = client.ask("x.example.net.", rtype::TXT);
    assert_eq!(blocked.rcode, rcode::REFUSED);
    assert_eq!(blocked.option(edns_option::EXTENDED_ERROR).unwrap()[..2], [0, 15]);
    let filtered = client.ask("x.example.net.", rtype::MX);
    assert_eq!((filtered.rcode, filtered.records.len()), (0, 0));
    let any = client.ask("www.example.net.", rtype::ANY);
    assert_eq!(any.records[0].rtype, rtype::HINFO);
    let mut nsid = query(9, WEB, rtype::A, true);
    let end = nsid.len();
    nsid[end - 1] = 4;
    nsid.extend([0, 3, 0, 0]);
    assert_eq!(client.send(&nsid).option(edns_option::NSID).as_deref(), Some(&b"node-1"[..]));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.send_to(&query(1, WEB, rtype::SRV, true), running.address).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err(), "dropped");
    assert_eq!(upstream.asked(), Vec::<String>::new());
}

#[test]
fn failures_say_why() {
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running =
        Running::new(&format!("example.net {{\n forward . {dead}\n}}\ncluster.local {{\n kubernetes\n}}"));
    let client = running.client();
    let code = |answer: &common::Answer| {
        answer.option(edns_option::EXTENDED_ERROR).map(|data| u16::from_be_bytes([data[0], data[1]]))
    };
    let failed = client.ask("www.example.net.", rtype::A);
    assert_eq!((failed.rcode, code(&failed).is_some()), (rcode::SERVFAIL, true));
    let refused = client.ask("example.org.", rtype::A);
    assert_eq!((refused.rcode, code(&refused)), (rcode::REFUSED, Some(20)));
    let unsynced = Running::with(
        "cluster.local {\n kubernetes\n}",
        Options::new(vec!["127.0.0.1:0".parse().unwrap()]),
        dns_names::Names::new(),
    );
    let early = unsynced.client().ask(WEB, rtype::A);
    assert_eq!((early.rcode, code(&early)), (rcode::SERVFAIL, Some(14)));
    assert!(!unsynced.server.state().is_ready() && running.server.state().is_ready());
}

/// An upstream that says nothing, and a server that asks it.
fn with_silence() -> (Running, UdpSocket) {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let running = Running::new(&format!(". {{\n cache\n forward . {address}\n}}"));
    (running, silent)
}

/// Sends so many queries for one name, and waits until they are taken in.
fn send_equal(running: &Running, count: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.9:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for id in 0..count {
        socket.send_to(&query(id, "cold.example.net.", rtype::A, true), running.address).unwrap();
        while running.server.state().pending < usize::from(id) / 2 {
            std::thread::yield_now(); // no more at a time than its socket holds
        }
    }
    let start = Instant::now();
    while running.server.state().pending < usize::from(count) {
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", running.server.state());
        std::thread::yield_now();
    }
    socket
}

#[test]
fn a_thousand_equal_questions_of_one_source_all_wait() {
    let (running, _silent) = with_silence();
    let _socket = send_equal(&running, 1_000);
    assert_eq!(running.server.state().pending, 1_000, "none is refused");
}

#[test]
fn what_waits_at_the_end_of_a_drain_gets_a_reply() {
    let (running, _silent) = with_silence();
    let socket = send_equal(&running, 20);
    let mut stream = running.client().connect();
    stream.write_all(&common::framed(&query(77, "other.example.net.", rtype::A, true))).unwrap();
    while running.server.state().pending < 21 {
        std::thread::yield_now();
    }
    let start = Instant::now();
    assert!(!running.server.drain(Duration::from_millis(100)));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(running);
    for _ in 0..20 {
        let mut octets = [0; 512];
        socket.recv(&mut octets).unwrap();
        assert_eq!(u16::from(octets[3] & 15), rcode::SERVFAIL);
    }
    assert_eq!(common::Client::receive(&mut stream)[..2], [0, 77]);
}

#[test]
fn one_source_with_many_misses_hurts_nobody() {
    let upstream = Upstream::start(records());
    let running = Running::new(&format!(
        ". {{\n kubernetes cluster.local\n cache\n forward . {}\n}}",
        upstream.address
    ));
    let noisy = UdpSocket::bind("127.0.0.9:0").unwrap();
    let start = Instant::now();
    noisy.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // In bursts, so that the sockets' buffers hold them all.
    for burst in 0..80 {
        for number in 0..50 {
            let name = format!("r{burst}-{number}.example.net.");
            noisy.send_to(&query(1, &name, rtype::A, true), running.address).unwrap();
        }
        (0..50).for_each(|_| assert!(noisy.recv(&mut [0; 512]).unwrap() > 12));
    }
    // 4,000 misses at once are too many; on a machine so slow that they took longer they may not be.
    let was_quick = start.elapsed() < Duration::from_millis(1_500);
    let client = running.client();
    assert_eq!(client.ask("www.example.net.", rtype::A).answers().len(), 1);
    assert_eq!(client.ask(WEB, rtype::A).answers().len(), 1);
    let refused = "towpath_dns_refused_total{reason=\"misses of one source\"}";
    assert!(!was_quick || common::metrics(&running).contains(refused));
}

#[test]
fn metrics_have_the_names_of_coredns() {
    let (running, _upstream) = with("cache");
    let client = running.client();
    client.ask(WEB, rtype::A);
    client.ask("www.example.net.", rtype::A);
    client.ask("www.example.net.", rtype::A);
    client.ask_tcp("nothing.shop.svc.cluster.local.", rtype::AAAA);
    let text = common::metrics(&running);
    let server = "server=\"dns://:53\",zone=\".\",view=\"\"";
    for line in [
        format!("coredns_dns_requests_total{{{server},proto=\"udp\",family=\"1\",type=\"A\"}} 3"),
        format!("coredns_dns_requests_total{{{server},proto=\"tcp\",family=\"1\",type=\"AAAA\"}} 1"),
        format!("coredns_dns_responses_total{{{server},rcode=\"NXDOMAIN\",plugin=\"kubernetes\"}} 1"),
        format!("coredns_dns_responses_total{{{server},rcode=\"NOERROR\",plugin=\"cache\"}} 1"),
        format!("coredns_dns_request_duration_seconds_count{{{server}}} 4"),
        "coredns_dns_response_size_bytes_count{server=\"dns://:53\",zone=\"\",view=\"\",proto=\"tcp\"} 1"
            .to_owned(),
        "coredns_cache_hits_total{type=\"success\",zones=\".\"} 1".to_owned(),
        "coredns_proxy_request_duration_seconds_count".to_owned(),
        "towpath_dns_synced 1".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn explain_names_the_object_and_the_rule() {
    let (running, _upstream) = with("acl {\n block type TXT\n }");
    running.names.write().unwrap().apply(pod("shop", "10.244.7.7"));
    let from = "10.244.7.7".parse().unwrap();
    let text = running.server.explain("web", "A", from);
    assert!(
        text.contains("step 1: web.shop.svc.cluster.local.") && text.contains("Service shop/web"),
        "{text}"
    );
    let far = running.server.explain("www.example.net", "A", from);
    assert!(far.contains("step 4: www.example.net.") && far.contains("forwarded: group ."), "{far}");
    assert!(running.server.explain("x.example.", "TXT", from).contains("acl: Block"));
    assert!(running.server.explain("a..b", "A", from).starts_with("a..b: not a name"));
}
