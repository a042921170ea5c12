//! Dumps and deletions of real flows on the running kernel. Needs root.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use netns::{in_netns, ip, run};
use towpath_netlink::Socket;
use towpath_netlink::conntrack::{Family, Filter, Flow, delete, delete_all, dump, open};

const TCP: u8 = 6;
const UDP: u8 = 17;
const VIPS: [(&str, u16); 3] = [("10.96.0.10", 53), ("10.96.0.10", 54), ("10.96.0.11", 53)];
const VIPS6: [(&str, u16); 2] = [("fd00:96::a", 53), ("fd00:96::b", 53)];

/// Loopback with an endpoint of each family, behind a few VIPs.
fn world() {
    ip("addr add 10.0.0.1/24 dev lo
        route add 10.96.0.0/16 dev lo src 10.0.0.1
        addr add fd00::1/64 dev lo nodad
        route add local fd00:96::/64 dev lo");
    // A work queue of the kernel makes the route to a new IPv6 address, even with `nodad`.
    while !run(&["ip", "-6", "route", "show", "table", "local"], "").contains("fd00::1 ") {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    run(
        &["nft", "-f", "-"],
        "table inet test { chain output {
            type nat hook output priority -100;
            ip daddr 10.96.0.10 meta l4proto { tcp, udp } th dport { 53, 54 } dnat ip to 10.0.0.1:5353
            ip daddr 10.96.0.11 udp dport 53 dnat ip to 10.0.0.1:5353
            ip6 daddr { fd00:96::a, fd00:96::b } udp dport 53 dnat ip6 to [fd00::1]:5353
        }
        }",
    );
}

/// One UDP datagram from each source port, and so one flow each. Take each port once: a command that another test
/// starts holds a copy of a closed socket for a moment.
fn send_udp(src: &str, vip: (&str, u16), ports: std::ops::Range<u16>) {
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), vip.0.parse().unwrap());
    for port in ports {
        let socket = UdpSocket::bind((src, port)).unwrap();
        socket.send_to(b"?", (dst, vip.1)).unwrap();
    }
}

fn flows(socket: &mut Socket, filter: &Filter) -> Vec<Flow> {
    let mut found = Vec::new();
    let began = Instant::now();
    assert!(dump(socket, filter, |flow| found.push(flow)).unwrap(), "an undisturbed dump is consistent");
    eprintln!("{} flows in {:?}: {filter:?}", found.len(), began.elapsed());
    found
}

fn of_vip((vip, port): (&str, u16), protocol: u8) -> Filter {
    let vip = vip.parse().unwrap();
    Filter {
        protocol: Some(protocol),
        original_dst: Some(vip),
        original_dport: Some(port),
        ..Filter::all(Family::of(vip))
    }
}

fn source_ports(flows: &[Flow]) -> HashSet<u16> {
    flows.iter().map(|flow| flow.original.sport).collect()
}

#[test]
fn the_udp_flows_of_one_vip_are_found_and_deleted_and_no_others() {
    in_netns(|| {
        world();
        let _endpoint = UdpSocket::bind("10.0.0.1:5353").unwrap();
        let listener = TcpListener::bind("10.0.0.1:5353").unwrap();
        send_udp("10.0.0.1", VIPS[0], 20_000..22_000);
        send_udp("10.0.0.1", VIPS[1], 30_000..30_100);
        send_udp("10.0.0.1", VIPS[2], 31_000..31_050);
        let _clients: Vec<_> = (0..20).map(|_| TcpStream::connect(VIPS[0]).unwrap()).collect();
        let mut socket = open().unwrap();

        let stale = flows(&mut socket, &of_vip(VIPS[0], UDP));
        let everything = flows(&mut socket, &Filter::all(Family::V4));
        assert_eq!(everything.len(), 2_000 + 100 + 50 + 20);
        assert_eq!(stale.len(), 2_000);
        assert_eq!(source_ports(&stale), (20_000..22_000).collect());
        let endpoint = "10.0.0.1:5353".parse::<SocketAddr>().unwrap();
        for flow in &stale {
            assert!(flow.is_dnat());
            assert_eq!((flow.protocol, flow.zone), (UDP, 0));
            assert_eq!(SocketAddr::new(flow.reply.src, flow.reply.sport), endpoint);
            assert_eq!((flow.reply.dst, flow.reply.dport), (flow.original.src, flow.original.sport));
        }

        let began = Instant::now();
        assert_eq!(delete_all(&mut socket, &stale).unwrap(), 2_000);
        eprintln!("2000 deletions in {:?}", began.elapsed());
        assert_eq!(flows(&mut socket, &of_vip(VIPS[0], UDP)), []);
        assert_eq!(flows(&mut socket, &Filter::all(Family::V4)).len(), 100 + 50 + 20);
        assert_eq!(flows(&mut socket, &of_vip(VIPS[0], TCP)).len(), 20);
        assert_eq!(delete_all(&mut socket, &stale).unwrap(), 0, "they are gone already");
        drop(listener);
    });
}

#[test]
fn ipv6_flows_are_filtered_as_ipv4_ones_are() {
    in_netns(|| {
        world();
        let _endpoint = UdpSocket::bind("[fd00::1]:5353").unwrap();
        send_udp("fd00::1", VIPS6[0], 20_000..20_030);
        send_udp("fd00::1", VIPS6[1], 21_000..21_040);
        let mut socket = open().unwrap();
        let stale = flows(&mut socket, &of_vip(VIPS6[0], UDP));
        assert_eq!(stale.len(), 30);
        assert!(stale.iter().all(|flow| flow.is_dnat()));
        assert_eq!(delete_all(&mut socket, &stale).unwrap(), 30);
        assert_eq!(flows(&mut socket, &of_vip(VIPS6[0], UDP)), []);
        assert_eq!(flows(&mut socket, &of_vip(VIPS6[1], UDP)).len(), 40);
        assert_eq!(flows(&mut socket, &Filter::all(Family::V4)), []);
    });
}

#[test]
fn every_combination_of_a_filter_is_answered() {
    in_netns(|| {
        world();
        let _endpoint = UdpSocket::bind("10.0.0.1:5353").unwrap();
        for (vip, ports) in VIPS.into_iter().zip([1_100..1_110, 1_200..1_203, 1_300..1_305]) {
            send_udp("10.0.0.1", vip, ports);
        }
        let mut socket = open().unwrap();
        let vip = Some(VIPS[0].0.parse().unwrap());
        let cases = [
            (None, None, None, 18),
            (Some(UDP), None, None, 18),
            (Some(TCP), None, None, 0),
            (None, vip, None, 13),
            (None, None, Some(53), 15),
            (None, vip, Some(53), 10),
            (Some(UDP), vip, None, 13),
            (Some(UDP), None, Some(53), 15),
            (Some(132), vip, Some(53), 0),
        ];
        for (protocol, original_dst, original_dport, count) in cases {
            let filter = Filter { family: Family::V4, protocol, original_dst, original_dport };
            assert_eq!(flows(&mut socket, &filter).len(), count, "{filter:?}");
        }
        let contradiction = Filter { original_dst: vip, ..Filter::all(Family::V6) };
        assert_eq!(flows(&mut socket, &contradiction), []);
    });
}

#[test]
fn a_newer_flow_of_equal_tuple_is_not_deleted_by_the_older_ones_id() {
    in_netns(|| {
        world();
        let _endpoint = UdpSocket::bind("10.0.0.1:5353").unwrap();
        send_udp("10.0.0.1", VIPS[0], 20_000..20_001);
        let mut socket = open().unwrap();
        let flow = flows(&mut socket, &of_vip(VIPS[0], UDP))[0];
        let older = Flow { id: flow.id.wrapping_add(1), ..flow };
        assert!(!delete(&mut socket, &older).unwrap());
        let elsewhere = Flow { zone: 3, ..flow };
        assert!(!delete(&mut socket, &elsewhere).unwrap());
        assert!(delete(&mut socket, &flow).unwrap());
        assert!(!delete(&mut socket, &flow).unwrap());
    });
}

#[test]
fn flows_in_zones_are_found_and_deleted() {
    in_netns(|| {
        world();
        let _endpoint = UdpSocket::bind("10.0.0.1:5353").unwrap();
        let zones = "table ip zones { chain output {
            type filter hook output priority raw;
            udp sport 20000 ct zone set 7
            udp sport 20001 ct original zone set 8
        }
        }";
        run(&["nft", "-f", "-"], zones);
        send_udp("10.0.0.1", VIPS[0], 20_000..20_003);
        let mut socket = open().unwrap();
        let mut found = flows(&mut socket, &of_vip(VIPS[0], UDP));
        found.sort_by_key(|flow| flow.original.sport);
        assert_eq!(found.iter().map(|flow| flow.zone).collect::<Vec<_>>(), [7, 8, 0]);
        assert_eq!(delete_all(&mut socket, &found).unwrap(), 3);
        assert_eq!(flows(&mut socket, &of_vip(VIPS[0], UDP)), []);
    });
}

#[test]
fn icmp_is_passed_over() {
    in_netns(|| {
        world();
        run(&["nft", "add", "rule", "inet", "test", "output", "ct", "state", "new", "counter"], "");
        let nobody_listens = VIPS[0];
        send_udp("10.0.0.1", nobody_listens, 20_000..20_001);
        run(
            &[
                "conntrack",
                "-I",
                "-s",
                "10.0.0.1",
                "-d",
                "10.0.0.9",
                "-p",
                "icmp",
                "--icmp-type",
                "8",
                "--icmp-code",
                "0",
                "--icmp-id",
                "5",
                "-t",
                "60",
            ],
            "",
        );
        let mut socket = open().unwrap();
        assert_eq!(flows(&mut socket, &Filter::all(Family::V4)).len(), 1);
        assert_eq!(run(&["conntrack", "-L"], "").lines().count(), 2);
    });
}
