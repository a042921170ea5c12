//! Local routes of ours on the running kernel, and packets to them. Needs root.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use netns::{in_netns, ip, run};
use towpath_netlink::Socket;
use towpath_netlink::route::{
    LocalRoute, RouteOwner, RouteWatch, apply_local_routes, apply_local_routes_of, local_routes,
    local_routes_of, open,
};

const NODE: &str = "link add v0 type veth peer name v1
    link set v0 up
    link set v1 up
    addr add 192.0.2.1/24 dev v0
    addr add 192.0.2.3/32 dev v0
    addr add fd00::1/64 dev v0 nodad
    addr add fd00::3/64 dev v0 nodad";

fn of(text: &str, source: Option<&str>) -> LocalRoute {
    let (address, prefix) = text.split_once('/').unwrap();
    let source = source.map(|source| source.parse().unwrap());
    LocalRoute { address: address.parse().unwrap(), prefix: prefix.parse().unwrap(), source }
}

/// Applies, and gives the numbers of what was refused.
fn apply(socket: &mut Socket, add: &[LocalRoute], delete: &[LocalRoute]) -> Vec<(LocalRoute, i32)> {
    let refused = apply_local_routes(socket, add, delete).unwrap();
    refused.into_iter().map(|(route, error)| (route, error.errno().unwrap())).collect()
}

fn sorted(socket: &mut Socket) -> Vec<LocalRoute> {
    let mut found = local_routes(socket).unwrap();
    found.sort_unstable();
    found
}

/// Table local as `ip` shows it, without the link-local addresses, which come when they like.
fn shown() -> String {
    let [v4, v6] = ["-4", "-6"].map(|family| run(&["ip", family, "route", "show", "table", "local"], ""));
    let lines = v4.lines().chain(v6.lines()).filter(|line| !line.contains("fe80"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn parts_of_the_program_have_routes_of_their_own() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        let vips = [of("10.96.0.10/32", Some("192.0.2.1")), of("fd00:96::a/128", Some("fd00::1"))];
        let dns = RouteOwner::Dns;
        assert_eq!(apply(&mut socket, &vips, &[]), []);
        assert!(apply_local_routes_of(&mut socket, dns, &vips, &[]).unwrap().is_empty());
        assert!(apply_local_routes_of(&mut socket, dns, &vips, &[]).unwrap().is_empty(), "once more");
        assert_eq!(local_routes_of(&mut socket, dns).unwrap(), vips);
        let line = "local 10.96.0.10 dev lo proto 108 scope host src 192.0.2.1 metric 108";
        assert!(shown().contains(line), "{line} in:\n{}", shown());
        assert_eq!(apply(&mut socket, &[], &vips), []);
        assert_eq!(
            (local_routes(&mut socket).unwrap(), local_routes_of(&mut socket, dns).unwrap().len()),
            (vec![], 2)
        );
        assert!(apply_local_routes_of(&mut socket, dns, &[], &vips).unwrap().is_empty());
        assert_eq!(local_routes_of(&mut socket, dns).unwrap(), []);
    });
}

#[test]
fn routes_of_both_families_come_and_go() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        assert_eq!(local_routes(&mut socket).unwrap(), []);
        let before = shown();
        let all = [
            of("10.96.0.0/12", Some("192.0.2.1")),
            of("198.51.100.7/32", None),
            of("fd00:96::/108", Some("fd00::1")),
            of("fd00:97::7/128", None),
        ];
        assert_eq!(apply(&mut socket, &all, &[]), []);
        assert_eq!(sorted(&mut socket), all);
        let told = shown();
        for line in [
            "local 10.96.0.0/12 dev lo proto 107 scope host src 192.0.2.1 metric 107",
            "local 198.51.100.7 dev lo proto 107 scope host metric 107",
            "local fd00:96::/108 dev lo proto 107 src fd00::1 metric 107",
            "local fd00:97::7 dev lo proto 107 metric 107",
        ] {
            assert!(told.contains(line), "{line} in:\n{told}");
        }
        assert_eq!(apply(&mut socket, &all, &[]), [], "what is there already is no refusal");
        assert_eq!(apply(&mut socket, &[], &all[..2]), []);
        assert_eq!(sorted(&mut socket), all[2..]);
        assert_eq!(apply(&mut socket, &[], &all), [], "what is gone already is no refusal");
        assert_eq!(shown(), before);
    });
}

#[test]
fn a_list_in_an_empty_namespace_is_empty() {
    in_netns(|| {
        ip("link set lo down");
        assert_eq!(local_routes(&mut open().unwrap()).unwrap(), []);
    });
}

#[test]
fn another_source_takes_the_place_of_the_first() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        for (net, sources) in
            [("10.96.0.0/12", ["192.0.2.1", "192.0.2.3"]), ("fd00:96::/108", ["fd00::1", "fd00::3"])]
        {
            let [one, two] = sources.map(|source| of(net, Some(source)));
            let none = of(net, None);
            for (next, delete) in [(one, vec![]), (two, vec![]), (none, vec![two]), (one, vec![none, two])] {
                assert_eq!(apply(&mut socket, &[next], &delete), []);
                assert_eq!(local_routes(&mut socket).unwrap(), [next]);
            }
            assert_eq!(apply(&mut socket, &[], &[two]), [], "a deletion means any source");
            assert_eq!(local_routes(&mut socket).unwrap(), []);
        }
    });
}

#[test]
fn a_source_that_is_not_of_this_node_is_refused() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        let wrong = [of("10.96.0.0/12", Some("192.0.2.77")), of("fd00:96::/108", Some("fd00::77"))];
        let right = [of("10.112.0.0/12", None), of("fd00:97::/108", None)];
        let mixed = [wrong[0], right[0], wrong[1], right[1]];
        let einval = wrong.map(|route| (route, libc::EINVAL));
        assert_eq!(apply(&mut socket, &mixed, &[]), einval);
        assert_eq!(sorted(&mut socket), right);
    });
}

#[test]
fn the_kernels_own_routes_of_addresses_stay() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        let before = shown();
        let same = [of("192.0.2.1/32", None), of("fd00::1/128", None)];
        let others = [of("192.0.2.1/32", Some("192.0.2.3")), of("fd00::1/128", Some("fd00::3"))];
        for routes in [same, others] {
            assert_eq!(apply(&mut socket, &routes, &[]), []);
            assert_eq!(sorted(&mut socket), routes);
            let told = shown();
            assert!(before.lines().all(|line| told.contains(line)), "{told}");
            let got = run(&["ip", "route", "get", "192.0.2.1"], "");
            assert!(got.contains("src 192.0.2.1"), "the kernel's own wins: {got}");
        }
        assert_eq!(apply(&mut socket, &[], &same), []);
        assert_eq!(shown(), before);
    });
}

#[test]
fn an_address_may_come_and_go_beside_our_route() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        let ours = [of("198.51.100.7/32", Some("192.0.2.1")), of("fd00:7::7/128", Some("fd00::1"))];
        assert_eq!(apply(&mut socket, &ours, &[]), []);
        let before = shown();
        ip("addr add 198.51.100.7/32 dev v0\naddr add fd00:7::7/128 dev v0 nodad");
        assert_eq!(sorted(&mut socket), ours);
        ip("addr del 198.51.100.7/32 dev v0\naddr del fd00:7::7/128 dev v0");
        assert_eq!(shown(), before);
    });
}

#[test]
fn routes_of_others_are_neither_listed_nor_touched() {
    in_netns(|| {
        ip(NODE);
        // A batch for each protocol: `ip` 6.1 takes its first one for those that follow.
        ip("route add local 203.0.113.1/32 dev lo table local proto static metric 107
            route add local fd00:1::1/128 dev lo table local proto static metric 107");
        ip("route add local 203.0.113.2/32 dev lo table local proto 107 metric 9
            route add local 203.0.113.4/32 dev lo table 100 proto 107 metric 107
            route add blackhole 203.0.113.3/32 table local proto 107 metric 107
            route add local fd00:1::4/128 dev lo table 100 proto 107 metric 107");
        let mut socket = open().unwrap();
        let before = shown();
        let taken = [of("203.0.113.1/32", None), of("fd00:1::1/128", None)];
        let eexist = taken.map(|route| (route, libc::EEXIST));
        assert_eq!(apply(&mut socket, &taken, &[]), eexist);
        assert_eq!(apply(&mut socket, &[], &taken), []);
        assert_eq!(shown(), before);
        assert_eq!(local_routes(&mut socket).unwrap(), []);
        assert!(run(&["ip", "route", "show", "table", "100"], "").contains("203.0.113.4"));
    });
}

#[test]
fn a_refusal_says_who_is_in_the_way() {
    in_netns(|| {
        ip("route add local 203.0.113.1/32 dev lo table local proto static metric 107");
        let refused = apply_local_routes(&mut open().unwrap(), &[of("203.0.113.1/32", None)], &[]).unwrap();
        let text = refused[0].1.to_string();
        assert!(text.ends_with("in table local is another program's"), "{text}");
    });
}

#[test]
fn ten_thousand_routes() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        for (family, source, other) in [(4, "192.0.2.1", "192.0.2.3"), (6, "fd00::1", "fd00::3")] {
            let [one, two] = [source, other].map(|source| many(family, source.parse().unwrap()));
            assert_eq!(apply(&mut socket, &one, &[]), []);
            assert_eq!(sorted(&mut socket), one);
            assert_eq!(apply(&mut socket, &two, &[]), []);
            assert_eq!(sorted(&mut socket), two);
            assert_eq!(apply(&mut socket, &[], &two), []);
            assert_eq!(local_routes(&mut socket).unwrap(), []);
        }
    });
}

fn many(family: u8, source: IpAddr) -> Vec<LocalRoute> {
    (0..10_000u32)
        .map(|i| match family {
            4 => LocalRoute {
                address: Ipv4Addr::from_bits(0x0a60_0000 + i).into(),
                prefix: 32,
                source: Some(source),
            },
            _ => LocalRoute {
                address: Ipv6Addr::from_bits((0xfd00_0096u128 << 96) + u128::from(i)).into(),
                prefix: 128,
                source: Some(source),
            },
        })
        .collect()
}

/// What happens to a route whose source goes is the kernel's choice; `apply_local_routes` tells it.
#[test]
fn a_route_outlives_its_source() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        let routes = [of("10.96.0.0/12", Some("192.0.2.1")), of("fd00:96::/108", Some("fd00::1"))];
        assert_eq!(apply(&mut socket, &routes, &[]), []);
        let mut watch = RouteWatch::open(&socket).unwrap();
        ip("addr del 192.0.2.1/24 dev v0\naddr del fd00::1/64 dev v0");
        let left = sorted(&mut socket);
        let kept = of("fd00:96::/108", Some("fd00::1"));
        assert!(left == [routes[0], of("fd00:96::/108", None)] || left == [routes[0], kept], "{left:?}");
        assert!(!watch.changed().unwrap());
        let repaired = [of("10.96.0.0/12", Some("192.0.2.3")), of("fd00:96::/108", Some("fd00::3"))];
        assert_eq!(apply(&mut socket, &repaired, &[]), []);
        assert_eq!(sorted(&mut socket), repaired);
    });
}

#[test]
fn only_what_others_do_to_our_routes_is_news() {
    in_netns(|| {
        ip(NODE);
        let mut socket = open().unwrap();
        let mut watch = RouteWatch::open(&socket).unwrap();
        let routes = [of("10.96.0.0/12", Some("192.0.2.1")), of("fd00:96::/108", Some("fd00::1"))];
        assert_eq!(apply(&mut socket, &routes, &[]), []);
        ip("route add 203.0.113.0/24 dev v0\naddr add 192.0.2.9/32 dev v0\naddr add fd00::9/64 dev v0 nodad");
        assert!(!watch.changed().unwrap(), "our own doing, and routes of others");
        for line in [
            "route del local 10.96.0.0/12 dev lo table local proto 107",
            "route del local fd00:96::/108 dev lo table local proto 107",
        ] {
            ip(line);
            assert!(watch.changed().unwrap(), "{line}");
            assert!(!watch.changed().unwrap(), "once");
        }
        assert_eq!(apply(&mut socket, &routes, &routes), []);
        assert_eq!(apply(&mut socket, &[], &routes), []);
        assert!(!watch.changed().unwrap());
    });
}

#[test]
fn a_full_queue_is_news_once() {
    in_netns(|| {
        let socket = open().unwrap();
        let mut watch = RouteWatch::open(&socket).unwrap();
        let pair = "route add 192.0.2.1/32 dev lo\nroute del 192.0.2.1/32 dev lo\n";
        ip(&pair.repeat(20_000));
        assert!(watch.changed().unwrap(), "news were lost: ours may have been among them");
        assert!(!watch.changed().unwrap());
    });
}

#[test]
fn packets_to_a_route_are_for_this_node() {
    in_netns(|| {
        ip(NODE);
        thread::scope(|scope| {
            let client = client(scope);
            let mut socket = open().unwrap();
            for (net, source, vip, any) in [
                ("10.96.0.0/12", "192.0.2.3", "10.96.3.4", "0.0.0.0"),
                ("198.51.100.7/32", "192.0.2.3", "198.51.100.7", "198.51.100.7"),
                ("fd00:96::/108", "fd00::3", "fd00:96::34", "::"),
                ("fd00:7::7/128", "fd00::3", "fd00:7::7", "::"),
            ] {
                assert_eq!(apply(&mut socket, &[of(net, Some(source))], &[]), []);
                let listener = TcpListener::bind((any.parse::<IpAddr>().unwrap(), 0)).unwrap();
                let vip = SocketAddr::new(vip.parse().unwrap(), listener.local_addr().unwrap().port());
                client.ask.send(vip).unwrap();
                assert_eq!(client.answer.recv().unwrap(), Ok(()), "{vip}");
                let (served, peer) = listener.accept().unwrap();
                assert_eq!(served.local_addr().unwrap(), vip);
                assert_eq!(peer.ip(), if vip.is_ipv4() { IP4 } else { IP6 });
                let own = TcpStream::connect_timeout(&vip, LONG).unwrap();
                assert_eq!(own.local_addr().unwrap().ip(), source.parse::<IpAddr>().unwrap(), "{vip}");
            }
        });
    });
}

const LONG: Duration = Duration::from_secs(5);
const IP4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const IP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// Another machine, at the other end of `v0`, whose gateway this node is: it connects to whatever is asked.
struct Client {
    ask: mpsc::Sender<SocketAddr>,
    answer: mpsc::Receiver<Result<(), String>>,
}

fn client<'scope>(scope: &'scope thread::Scope<'scope, '_>) -> Client {
    let ((ask, asked), (told, answer)) = (mpsc::channel::<SocketAddr>(), mpsc::channel());
    let ((ready, is_ready), (go, may_go)) = (mpsc::channel(), mpsc::channel());
    scope.spawn(move || {
        in_netns(move || {
            let own = File::open("/proc/thread-self/ns/net").unwrap();
            ready.send(format!("/proc/{}/fd/{}", std::process::id(), own.as_raw_fd())).unwrap();
            may_go.recv().unwrap();
            ip("link set v1 up
                addr add 192.0.2.2/24 dev v1
                addr add fd00::2/64 dev v1 nodad
                route add default via 192.0.2.1
                route add ::/0 via fd00::1");
            for vip in asked {
                let connected = TcpStream::connect_timeout(&vip, LONG);
                told.send(connected.map(drop).map_err(|error| error.to_string())).unwrap();
            }
        });
    });
    ip(&format!("link set v1 netns {}", is_ready.recv().unwrap()));
    go.send(()).unwrap();
    Client { ask, answer }
}
