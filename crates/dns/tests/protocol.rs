//! Protocol cases of `cases.yaml` that need the server, each by its id. (The others are in `dns-wire`.)

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use common::{CLUSTER, Client, Running, Upstream, framed, names, query, records};
use dns_wire::{rcode, rtype};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use towpath_dns::{Options, TcpLimits};

const WEB: &str = "web.shop.svc.cluster.local.";

fn with_limits(tcp: TcpLimits) -> Running {
    let options = Options { tcp, ..Options::new(vec!["127.0.0.1:0".parse().unwrap()]) };
    Running::with(CLUSTER, options, names())
}

/// Waits until the server has closed the connection; how many octets came before.
fn until_closed(stream: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest.len(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            rest.len()
        }
    }
}

#[test]
fn proto_32_two_queries_in_one_segment_get_two_replies() {
    let running = Running::new(CLUSTER);
    let mut stream = running.client().connect();
    let both = [framed(&query(1, WEB, rtype::A, true)), framed(&query(2, WEB, rtype::AAAA, false))].concat();
    stream.write_all(&both).unwrap();
    let mut ids = [Client::receive(&mut stream), Client::receive(&mut stream)].map(|reply| reply[1]);
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn proto_35_a_silent_connection_is_closed_and_delays_nobody() {
    let first_query = Duration::from_millis(300);
    let running = with_limits(TcpLimits { first_query, ..TcpLimits::default() });
    let start = Instant::now();
    let mut silent = running.client().connect();
    let mut half = running.client().connect();
    half.write_all(&[0, 40, 1, 2, 3]).unwrap();
    assert_eq!(running.client().ask_tcp(WEB, rtype::A).answers().len(), 1);
    assert!(start.elapsed() < first_query, "another client was delayed");
    assert_eq!((until_closed(&mut silent), until_closed(&mut half)), (0, 0));
    assert!(start.elapsed() >= first_query);
}

#[test]
fn proto_35_after_a_query_the_idle_time_counts() {
    let idle = Duration::from_millis(400);
    let running =
        with_limits(TcpLimits { first_query: Duration::from_secs(60), idle, ..TcpLimits::default() });
    let mut stream = running.client().connect();
    stream.write_all(&framed(&query(1, WEB, rtype::A, true))).unwrap();
    Client::receive(&mut stream);
    let start = Instant::now();
    assert_eq!(until_closed(&mut stream), 0);
    assert!(start.elapsed() >= idle - Duration::from_millis(50) && start.elapsed() < Duration::from_secs(10));
}

#[test]
fn proto_36_a_half_closed_client_gets_its_reply() {
    let running = Running::new(CLUSTER);
    let mut stream = running.client().connect();
    stream.write_all(&framed(&query(5, WEB, rtype::A, true))).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Client::receive(&mut stream)[..2], [0, 5]);
    assert_eq!(until_closed(&mut stream), 0);
}

#[test]
fn proto_36_also_when_the_reply_comes_from_an_upstream() {
    let upstream = Upstream::start(records());
    let running = Running::new(&format!(".:53 {{\n forward . {}\n}}", upstream.address));
    let mut stream = running.client().connect();
    stream.write_all(&framed(&query(5, "www.example.net.", rtype::A, true))).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Client::receive(&mut stream)[..2], [0, 5]);
}

#[test]
fn proto_37_of_ten_thousand_idle_connections_the_oldest_are_dropped() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(30_000), hard).unwrap();
    let running = with_limits(TcpLimits { connections: 200, ..TcpLimits::default() });
    let client = running.client();
    let mut slowest = Duration::ZERO;
    let mut streams = Vec::new();
    for number in 0..10_000 {
        streams.push(client.connect());
        if number % 100 == 0 {
            let start = Instant::now();
            assert_eq!(client.ask(WEB, rtype::A).answers().len(), 1);
            slowest = slowest.max(start.elapsed());
        }
    }
    assert_eq!(client.ask_tcp(WEB, rtype::A).answers().len(), 1);
    assert!(running.server.state().connections <= 200, "{:?}", running.server.state());
    assert_eq!(until_closed(&mut streams[0]), 0);
    assert!(slowest < Duration::from_secs(1), "UDP took {slowest:?}");
}

#[test]
fn a_client_that_reads_nothing_is_cut_off_and_its_replies_are_bounded() {
    let write = Duration::from_millis(500);
    let running = with_limits(TcpLimits { write, ..TcpLimits::default() });
    let mut stream = running.client().connect();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let one = framed(&query(1, "wide.data.svc.cluster.local.", rtype::A, true)).repeat(1_000);
    // Sooner or later the server reads no more, and then closes.
    let sent = (0..1_000).find_map(|_| stream.write_all(&one).err());
    assert!(sent.is_some(), "a million replies were taken in");
    assert_eq!(running.client().ask_tcp(WEB, rtype::A).answers().len(), 1);
}

#[test]
fn lengths_that_no_query_has_end_the_connection() {
    let running = Running::new(CLUSTER);
    for bad in [&[0, 0][..], &[0, 11, 1, 1], &[0xff, 0xff], &[0x10, 0x01]] {
        let mut stream = running.client().connect();
        stream.write_all(&framed(&query(5, WEB, rtype::A, true))).unwrap();
        stream.write_all(bad).unwrap();
        assert_eq!(Client::receive(&mut stream)[..2], [0, 5], "what came before is answered");
        assert_eq!(until_closed(&mut stream), 0);
    }
}

/// A Service whose address records alone take 30,000 octets.
fn with_a_wide_name() -> (Running, &'static str) {
    let running = Running::new(CLUSTER);
    let addresses = (0..1_850_u32).map(|low| std::net::Ipv4Addr::from(0x0af5_0000 + low).into()).collect();
    common::add_headless(&mut running.names.write().unwrap(), "data", "wider", addresses);
    (running, "wider.data.svc.cluster.local.")
}

#[test]
fn many_queries_with_large_replies_are_all_answered() {
    let (running, wide) = with_a_wide_name();
    let table = [(20, wide, 29_000), (1_000, "wide.data.svc.cluster.local.", 600), (200, WEB, 40)];
    for (count, name, least) in table {
        for half_close in [false, true] {
            let mut stream = running.client().connect();
            let queries: Vec<u8> =
                (0..count).flat_map(|id| framed(&query(id, name, rtype::A, true))).collect();
            stream.write_all(&queries).unwrap();
            if half_close {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            for id in 0..count {
                let reply = Client::receive(&mut stream);
                assert_eq!(reply[..2], id.to_be_bytes(), "{name} {half_close}");
                assert!(reply.len() >= least, "{} octets", reply.len());
            }
            assert!(!half_close || until_closed(&mut stream) == 0);
        }
    }
}

fn local() -> (Running, Upstream) {
    let upstream = Upstream::start(records());
    let corefile = format!(
        ".:53 {{\n local\n kubernetes cluster.local in-addr.arpa ip6.arpa {{\n fallthrough in-addr.arpa ip6.arpa\n }}\n forward . {}\n}}",
        upstream.address
    );
    (Running::new(&corefile), upstream)
}

#[test]
fn proto_48_localhost_is_answered_here() {
    let (running, upstream) = local();
    let client = running.client();
    assert_eq!(client.ask("localhost.", rtype::A).answers(), ["localhost. 604800 A 127.0.0.1"]);
    assert_eq!(client.ask("localhost.", rtype::AAAA).answers(), ["localhost. 604800 AAAA ::1"]);
    let pointer = client.ask("1.0.0.127.in-addr.arpa.", rtype::PTR);
    assert_eq!(pointer.answers(), ["1.0.0.127.in-addr.arpa. 604800 PTR localhost."]);
    assert_eq!(client.ask("localhost.", rtype::MX).rcode, rcode::NOERROR);
    assert_eq!(upstream.asked(), Vec::<String>::new());
}

#[test]
fn proto_49_names_below_localhost_are_loopback_and_completed_ones_do_not_exist() {
    let (running, upstream) = local();
    let client = running.client();
    assert_eq!(client.ask("foo.localhost.", rtype::A).answers(), ["foo.localhost. 604800 A 127.0.0.1"]);
    assert_eq!(client.ask("foo.localhost.", rtype::AAAA).answers(), ["foo.localhost. 604800 AAAA ::1"]);
    assert_eq!(client.ask("localhost.shop.svc.cluster.local.", rtype::A).rcode, rcode::NXDOMAIN);
    assert!(
        common::metrics(&running).contains("coredns_local_localhost_requests_total{server=\"dns://:53\"} 1")
    );
    assert_eq!(upstream.asked(), Vec::<String>::new());
}

#[test]
fn proto_50_names_that_cannot_be_do_not_exist_and_are_not_forwarded() {
    for plugin in ["local\n", ""] {
        let upstream = Upstream::start(records());
        let running = Running::new(&format!(".:53 {{\n {plugin} forward . {}\n}}", upstream.address));
        let client = running.client();
        for (name, kind) in [("x.invalid.", rtype::A), ("1.2.3.4.", rtype::AAAA), ("1.2.3.4.", rtype::A)] {
            assert_eq!(client.ask(name, kind).rcode, rcode::NXDOMAIN, "{name}");
        }
        assert_eq!(upstream.asked(), Vec::<String>::new());
    }
}

#[test]
fn proto_54_the_letter_case_is_that_of_this_query() {
    let upstream = Upstream::start(records());
    let corefile = format!(".:53 {{\n kubernetes cluster.local\n cache\n forward . {}\n}}", upstream.address);
    let running = Running::new(&corefile);
    let client = running.client();
    for name in ["kubernetes.default.svc.cluster.local.", "KuBernetes.Default.svc.cLuster.local."] {
        assert_eq!(client.ask(name, rtype::A).answers(), [format!("{name} 5 A 10.96.0.1")]);
    }
    for name in ["www.example.net.", "wWw.eXample.NET."] {
        assert_eq!(client.ask(name, rtype::A).answers(), [format!("{name} 60 A 198.51.100.80")]);
    }
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn proto_55_do_and_cd_have_entries_of_their_own() {
    let upstream = Upstream::start(records());
    let running = Running::new(&format!(".:53 {{\n cache\n forward . {}\n}}", upstream.address));
    let client = running.client();
    for (dnssec_ok, checking_disabled) in [(false, false), (true, false), (false, true), (true, true)] {
        for _ in 0..2 {
            let mut message = query(3, "www.example.net.", rtype::A, true);
            if checking_disabled {
                message[3] |= 0x10;
            }
            if dnssec_ok {
                let flags = message.len() - 4;
                message[flags] |= 0x80;
            }
            let answer = client.send(&message);
            assert_eq!(answer.answers().len(), 1);
            assert!(!answer.is_authoritative());
        }
    }
    assert_eq!(upstream.asked().len(), 4);
}
