//! The server over real sockets: cluster names over UDP and TCP, batches, the address that was asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::net::UdpSocket;
use std::time::Duration;

use common::{CLUSTER, Client, Running, framed, query};
use dns_wire::rtype;
use towpath_dns::Options;

#[test]
fn a_cluster_name_is_answered_over_udp_and_tcp() {
    let running = Running::new(CLUSTER);
    let client = running.client();
    for answer in [
        client.ask("kubernetes.default.svc.cluster.local.", rtype::A),
        client.ask_tcp("kubernetes.default.svc.cluster.local.", rtype::A),
    ] {
        assert_eq!(answer.answers(), ["kubernetes.default.svc.cluster.local. 5 A 10.96.0.1"]);
        assert!(answer.is_authoritative());
    }
}

#[test]
fn a_wide_answer_is_truncated_over_udp_and_whole_over_tcp() {
    let running = Running::new(CLUSTER);
    let client = running.client();
    let bare = client.send(&query(3, "wide.data.svc.cluster.local.", rtype::A, false));
    assert!(bare.is_truncated() && bare.octets.len() <= 512);
    let edns = client.ask("wide.data.svc.cluster.local.", rtype::A);
    assert_eq!((edns.is_truncated(), edns.answers().len()), (false, 40));
    assert_eq!(client.ask_tcp("wide.data.svc.cluster.local.", rtype::A).answers().len(), 40);
}

#[test]
fn each_query_of_a_burst_gets_its_own_reply() {
    let running = Running::new(CLUSTER);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for id in 0..200u16 {
        socket.send_to(&query(id, "web.shop.svc.cluster.local.", rtype::A, true), running.address).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut octets = [0; 1500];
    while seen.len() < 200 {
        socket.recv(&mut octets).unwrap();
        seen.insert(u16::from_be_bytes([octets[0], octets[1]]));
    }
}

#[test]
fn octets_that_are_no_query_do_no_harm() {
    let running = Running::new(CLUSTER);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 11, 12, 13, 600, 1_500, 4_000] {
        socket.send_to(&vec![0x55; length], running.address).unwrap();
        socket.send_to(&vec![0xff; length], running.address).unwrap();
    }
    assert_eq!(running.client().ask("web.shop.svc.cluster.local.", rtype::A).answers().len(), 1);
}

// "the reply leaves from the address that was asked" (wildcard sockets, both families)
#[test]
fn proto_51_the_reply_leaves_from_the_address_asked() {
    for (listen, asked) in
        [("0.0.0.0:0", vec!["127.0.0.1", "127.0.0.2", "127.9.9.9"]), ("[::]:0", vec!["::1"])]
    {
        let options = Options::new(vec![listen.parse().unwrap()]);
        let running = Running::with(CLUSTER, options, common::names());
        for address in asked {
            let server = (address.parse::<std::net::IpAddr>().unwrap(), running.address.port()).into();
            // The client drops what comes from another address.
            let client = Client::new(server);
            let answer = client.ask("kubernetes.default.svc.cluster.local.", rtype::A);
            assert_eq!(answer.answers().len(), 1, "asked at {server}");
            assert_eq!(client.ask_tcp("web.shop.svc.cluster.local.", rtype::A).answers().len(), 1);
        }
    }
}

#[test]
fn two_servers_share_an_address_and_one_leaves_without_a_lost_query() {
    let first = Running::new(CLUSTER);
    let second = Running::with(CLUSTER, Options::new(vec![first.address]), common::names());
    let ask = |from: u16| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for id in from..from + 20 {
            socket.send_to(&query(id, "web.shop.svc.cluster.local.", rtype::A, true), first.address).unwrap();
        }
        let mut octets = [0; 1500];
        (0..20).for_each(|_| assert!(socket.recv(&mut octets).unwrap() > 12));
    };
    std::thread::scope(|scope| {
        let load = scope.spawn(|| (0..50).for_each(|round| ask(round * 20)));
        let mut idle = first.client().connect();
        assert!(first.server.drain(Duration::from_secs(10)));
        assert_eq!(std::io::Read::read(&mut idle, &mut [0]).unwrap_or(0), 0);
        load.join().unwrap();
    });
    assert!(first.server.state().draining && !second.server.state().draining);
}

#[test]
fn addresses_come_and_go_while_it_runs() {
    let mut running = Running::new(CLUSTER);
    let port = running.address.port();
    let other = ([127, 0, 0, 77], port).into();
    assert!(running.server.listen(&[running.address, other]).is_empty());
    assert_eq!(Client::new(other).ask("web.shop.svc.cluster.local.", rtype::A).answers().len(), 1);
    let taken = "203.0.113.77:53".parse().unwrap();
    let errors = running.server.listen(&[other, taken]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("cannot listen for DNS on 203.0.113.77:53 (udp): "));
    assert_eq!(running.server.addresses(), [other]);
    let mut stream = Client::new(other).connect();
    stream.write_all(&framed(&query(1, "web.shop.svc.cluster.local.", rtype::A, true))).unwrap();
    assert!(Client::receive(&mut stream).len() > 12);
}

// Needs root: a network namespace of its own.
#[test]
fn an_address_that_has_gone_from_its_link_is_let_go_at_once() {
    let ns = testkit::netns::NetNs::new().unwrap();
    ns.command("ip", &["address", "add", "192.0.2.10/32", "dev", "lo"]).unwrap();
    let start = || {
        let options = Options::new(vec!["192.0.2.10:53".parse().unwrap()]);
        Running::with(CLUSTER, options, common::names())
    };
    let mut running = ns.run(start).unwrap();
    let asks = || Client::from("192.0.2.10:0", running.address).ask("web.shop.svc.cluster.local.", rtype::A);
    assert_eq!(ns.run(asks).unwrap().answers().len(), 1);
    ns.command("ip", &["address", "del", "192.0.2.10/32", "dev", "lo"]).unwrap();
    let begin = std::time::Instant::now();
    assert!(running.server.listen(&[]).is_empty());
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(running.server.addresses(), []);
}
