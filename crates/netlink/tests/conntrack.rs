//! Dumps and deletions of real flows on the running kernel. Needs root.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use netns::{in_netns, ip, run};
use towpath_netlink::Socket;
use towpath_netlink::conntrack::{
    Account, DST_NAT, Ended, Family, Filter, Flow, News, SEEN_REPLY, delete, delete_all, dump, dump_accounts,
    open,
};

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
            let filter = Filter { protocol, original_dst, original_dport, ..Filter::all(Family::V4) };
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

/// Sets a sysctl of this thread's namespace.
fn set(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/netfilter/{name}"), value).unwrap();
}

#[test]
fn flows_are_found_by_client_endpoint_and_translation() {
    in_netns(|| {
        world();
        ip("addr add 10.0.0.2/24 dev lo
            addr add fd00::2/64 dev lo nodad");
        let _endpoints = ["10.0.0.1:5353", "[fd00::1]:5353"].map(|at| UdpSocket::bind(at).unwrap());
        send_udp("10.0.0.1", VIPS[0], 20_000..20_003);
        send_udp("10.0.0.2", VIPS[0], 21_000..21_005);
        send_udp("10.0.0.2", ("10.0.0.1", 5353), 22_000..22_007);
        // `nodad` makes the address usable at once, the route to it follows.
        while !run(&["ip", "-6", "route", "show", "table", "local"], "").contains("fd00::2 ") {
            std::thread::yield_now();
        }
        send_udp("fd00::1", VIPS6[0], 23_000..23_002);
        send_udp("fd00::2", VIPS6[0], 24_000..24_004);
        let mut socket = open().unwrap();
        let ip = |text: &str| Some(text.parse().unwrap());
        let (v4, v6) = (Filter::all(Family::V4), Filter::all(Family::V6));
        let cases = [
            (Filter { original_src: ip("10.0.0.1"), ..v4 }, 3),
            (Filter { original_src: ip("10.0.0.2"), ..v4 }, 12),
            (Filter { original_src: ip("10.0.0.2"), status: DST_NAT, ..v4 }, 5),
            (Filter { status: DST_NAT, ..v4 }, 8),
            (Filter { status: DST_NAT | SEEN_REPLY, ..v4 }, 0),
            (Filter { reply_src: ip("10.0.0.1"), ..v4 }, 15),
            (Filter { reply_src: ip("10.0.0.1"), reply_sport: Some(5353), protocol: Some(UDP), ..v4 }, 15),
            (Filter { reply_sport: Some(53), protocol: Some(UDP), ..v4 }, 0),
            (Filter { reply_sport: Some(5353), ..v4 }, 15),
            (Filter { reply_src: ip("10.0.0.9"), ..v4 }, 0),
            (Filter { original_src: ip("fd00::2"), ..v6 }, 4),
            (Filter { original_src: ip("fd00::1"), original_dst: ip(VIPS6[0].0), status: DST_NAT, ..v6 }, 2),
            (Filter { reply_src: ip("fd00::1"), protocol: Some(UDP), reply_sport: Some(5353), ..v6 }, 6),
            (Filter { reply_src: ip("fd00::7"), ..v6 }, 0),
            (Filter { original_src: ip("fd00::2"), ..v4 }, 0),
        ];
        for (filter, count) in cases {
            assert_eq!(flows(&mut socket, &filter).len(), count, "{filter:?}");
        }
    });
}

fn accounts(socket: &mut Socket, filter: &Filter) -> Vec<Account> {
    let mut found = Vec::new();
    dump_accounts(socket, filter, |account| found.push(account)).unwrap();
    found
}

#[test]
fn bytes_state_and_age_of_a_connection() {
    in_netns(|| {
        world();
        let listener = TcpListener::bind("10.0.0.1:5353").unwrap();
        let mut socket = open().unwrap();
        let before = TcpStream::connect(VIPS[0]).unwrap();
        let account = accounts(&mut socket, &of_vip(VIPS[0], TCP))[0];
        assert_eq!((account.counters, account.started), (None, None), "nobody has asked the kernel to count");
        assert_eq!(account.state, Some(3), "established");
        drop(before);

        set("nf_conntrack_acct", "1");
        set("nf_conntrack_timestamp", "1");
        let _client = TcpStream::connect(VIPS[1]).unwrap();
        let account = accounts(&mut socket, &of_vip(VIPS[1], TCP))[0];
        let [there, back] = account.counters.unwrap();
        // SYN and ACK; SYN/ACK. Loopback may have acknowledged more by now.
        assert!(there.packets >= 2 && back.packets >= 1, "{account:?}");
        assert!(there.bytes >= 104 && back.bytes >= 60, "{account:?}");
        assert!(account.timeout.unwrap() > 100_000, "{account:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now - Duration::from_nanos(account.started.unwrap());
        assert!(age < Duration::from_secs(60), "{age:?}");
        drop(listener);
    });
}

#[test]
fn flows_that_end_are_told_of() {
    in_netns(|| {
        world();
        set("nf_conntrack_acct", "1");
        let mut ended = Ended::open().unwrap();
        let _endpoint = UdpSocket::bind("10.0.0.1:5353").unwrap();
        send_udp("10.0.0.1", VIPS[0], 20_000..20_010);
        assert_eq!(ended.next(Duration::ZERO, |_| ()).unwrap(), News::None);
        let mut socket = open().unwrap();
        let live = flows(&mut socket, &of_vip(VIPS[0], UDP));
        assert_eq!(delete_all(&mut socket, &live).unwrap(), 10);
        let mut told = Vec::new();
        while told.len() < 10 {
            assert_eq!(ended.next(Duration::from_secs(5), |account| told.push(account)).unwrap(), News::Some);
        }
        assert_eq!(told.iter().map(|a| a.flow.original.sport).collect::<HashSet<_>>(), source_ports(&live));
        for account in told {
            let [there, back] = account.counters.unwrap();
            assert_eq!(
                (there.packets, there.bytes, back.packets),
                (1, 29, 0),
                "a byte after IP and UDP headers"
            );
            assert!(account.flow.is_dnat() && !account.flow.is_snat() && !account.flow.is_answered());
            assert_eq!(account.timeout, None);
        }
    });
}
