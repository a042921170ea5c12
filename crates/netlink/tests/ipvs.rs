//! Virtual servers on the running kernel. Needs root, a kernel with IPVS, and for comparison ipvsadm; otherwise the
//! tests are reported as ignored, with the reason.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;
mod trials;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netns::{ip, run};
use towpath_netlink::conntrack::Family;
use towpath_netlink::ipvs::{
    self, Command, Destination, Forwarding, HASH_FALLBACK, HASH_PORT, Ipvs, Key, ONE_PACKET, PERSISTENT,
    RealServer, Timeouts, VirtualServer,
};
use trials::{Need, Test, program, run_all};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

const KERNEL: &[Need] = &[kernel];
const BOTH: &[Need] = &[kernel, || program("ipvsadm")];

const TESTS: &[Test] = &[
    ("it_is_available_once_it_is_open", it_is_available_once_it_is_open, KERNEL),
    ("what_was_added_reads_back_equal", what_was_added_reads_back_equal, KERNEL),
    ("ipvsadm_shows_what_was_added", ipvsadm_shows_what_was_added, BOTH),
    ("what_ipvsadm_added_is_read", what_ipvsadm_added_is_read, BOTH),
    ("real_servers_come_change_and_go", real_servers_come_change_and_go, KERNEL),
    ("every_forwarding_is_kept", every_forwarding_is_kept, KERNEL),
    ("an_edit_keeps_the_real_servers", an_edit_keeps_the_real_servers, KERNEL),
    ("only_what_was_named_is_deleted", only_what_was_named_is_deleted, KERNEL),
    ("a_refusal_is_explained_and_stops_nothing", a_refusal_is_explained_and_stops_nothing, KERNEL),
    ("timeouts_are_set_one_by_one", timeouts_are_set_one_by_one, KERNEL),
    ("many_servers_take_many_datagrams", many_servers_take_many_datagrams, KERNEL),
    ("connections_are_made_and_counted", connections_are_made_and_counted, KERNEL),
];

fn main() -> ExitCode {
    run_all(TESTS)
}

fn kernel() -> Result<(), String> {
    let open = ipvs::open().map_err(|error| error.to_string())?;
    open.map(drop).ok_or_else(|| "this kernel has no IPVS".to_owned())
}

fn open() -> Ipvs {
    ipvs::open().unwrap().unwrap()
}

fn key(protocol: u8, address: &str) -> Key {
    let address: std::net::SocketAddr = address.parse().unwrap();
    Key::Address { address: address.ip(), protocol, port: address.port() }
}

fn server(key: Key, scheduler: &str) -> VirtualServer {
    let prefix = if key.family() == Family::V4 { 32 } else { 128 };
    VirtualServer { key, scheduler: scheduler.into(), flags: 0, timeout: 0, prefix }
}

fn real(address: &str, weight: u32) -> RealServer {
    RealServer::masquerade(address.parse().unwrap(), weight)
}

/// One of each kind.
fn examples() -> Vec<VirtualServer> {
    let mark = |family| Key::Mark { mark: 7, family };
    vec![
        server(key(TCP, "10.96.0.1:443"), "rr"),
        server(key(UDP, "10.96.0.10:53"), "wrr"),
        server(key(SCTP, "10.96.0.11:3868"), "lc"),
        server(key(TCP, "[fd00::1]:443"), "wlc"),
        VirtualServer { flags: ONE_PACKET, ..server(key(UDP, "[fd00::a]:53"), "rr") },
        VirtualServer {
            flags: PERSISTENT,
            timeout: 10_800,
            prefix: 20,
            ..server(key(TCP, "10.96.0.2:0"), "rr")
        },
        VirtualServer {
            flags: PERSISTENT | HASH_FALLBACK | HASH_PORT,
            timeout: 60,
            prefix: 64,
            ..server(key(TCP, "[fd00::2]:80"), "sh")
        },
        server(mark(Family::V4), "mh"),
        server(mark(Family::V6), "sed"),
    ]
}

fn apply(ipvs: &mut Ipvs, commands: &[Command]) {
    let refused = ipvs::apply(ipvs, commands).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
}

fn add_all(ipvs: &mut Ipvs, servers: &[VirtualServer]) {
    apply(ipvs, &servers.iter().cloned().map(Command::Add).collect::<Vec<_>>());
}

fn services(ipvs: &mut Ipvs) -> HashSet<VirtualServer> {
    let list = ipvs::services(ipvs).unwrap();
    let count = list.len();
    let set: HashSet<_> = list.into_iter().collect();
    assert_eq!(set.len(), count, "none came twice");
    set
}

fn real_servers(ipvs: &mut Ipvs, key: &Key) -> HashSet<RealServer> {
    ipvs::destinations(ipvs, key).unwrap().into_iter().map(|destination| destination.server).collect()
}

/// The lines of `ipvsadm -Sn` without blanks at their ends.
fn ipvsadm() -> HashSet<String> {
    run(&["ipvsadm", "-Sn"], "").lines().map(|line| line.trim().to_owned()).collect()
}

fn it_is_available_once_it_is_open() {
    let mut ipvs = open();
    assert!(ipvs::available().unwrap());
    assert_eq!(ipvs::services(&mut ipvs).unwrap(), []);
}

fn what_was_added_reads_back_equal() {
    let mut ipvs = open();
    add_all(&mut ipvs, &examples());
    assert_eq!(services(&mut ipvs), examples().into_iter().collect());
    for example in examples() {
        assert_eq!(ipvs::service(&mut ipvs, &example.key).unwrap(), Some(example));
    }
    assert_eq!(ipvs::service(&mut ipvs, &key(TCP, "10.96.0.1:444")).unwrap(), None);
}

fn ipvsadm_shows_what_was_added() {
    let mut ipvs = open();
    add_all(&mut ipvs, &examples());
    let https = examples()[0].key;
    let limited = RealServer { upper_threshold: 9, lower_threshold: 4, ..real("10.0.0.5:6443", 3) };
    apply(&mut ipvs, &[Command::AddDestination(https, limited)]);
    let expected = [
        "-A -t 10.96.0.1:443 -s rr",
        "-a -t 10.96.0.1:443 -r 10.0.0.5:6443 -m -w 3",
        "-A -u 10.96.0.10:53 -s wrr",
        "-A --sctp-service 10.96.0.11:3868 -s lc",
        "-A -t [fd00::1]:443 -s wlc",
        "-A -u [fd00::a]:53 -s rr -o",
        "-A -t 10.96.0.2:0 -s rr -p 10800 -M 255.255.240.0",
        "-A -t [fd00::2]:80 -s sh -p 60 -M 64 -b sh-fallback,sh-port",
        "-A -f 7 -s mh",
        "-A -f 7 -6 -s sed",
    ];
    assert_eq!(ipvsadm(), expected.map(str::to_owned).into());
    let thresholds = run(&["ipvsadm", "-Ln", "--thresholds"], "");
    let line = thresholds.lines().find(|line| line.contains("10.0.0.5:6443")).unwrap();
    assert_eq!(line.split_whitespace().skip(2).take(2).collect::<Vec<_>>(), ["9", "4"], "{line}");
}

fn what_ipvsadm_added_is_read() {
    let lines = "-A -t 10.96.0.1:443 -s rr -p 10800
        -a -t 10.96.0.1:443 -r 10.0.0.5:6443 -m -w 3
        -a -t 10.96.0.1:443 -r 10.0.0.6:6443 -m -w 0 -x 7 -y 5
        -A -u [fd00::a]:53 -s wlc
        -a -u [fd00::a]:53 -r [fd00:1::2]:5353 -m -w 1
        -A -f 9 -s rr\n";
    run(&["ipvsadm", "-R"], &lines.lines().map(|line| format!("{}\n", line.trim())).collect::<String>());
    let mut ipvs = open();
    let (https, dns) = (key(TCP, "10.96.0.1:443"), key(UDP, "[fd00::a]:53"));
    let sticky = VirtualServer { flags: PERSISTENT, timeout: 10_800, ..server(https, "rr") };
    let mark = Key::Mark { mark: 9, family: Family::V4 };
    assert_eq!(services(&mut ipvs), [sticky, server(dns, "wlc"), server(mark, "rr")].into());
    let leaving = RealServer { upper_threshold: 7, lower_threshold: 5, ..real("10.0.0.6:6443", 0) };
    assert_eq!(real_servers(&mut ipvs, &https), [real("10.0.0.5:6443", 3), leaving].into());
    assert_eq!(real_servers(&mut ipvs, &dns), [real("[fd00:1::2]:5353", 1)].into());
    assert_eq!(real_servers(&mut ipvs, &mark), [].into());
}

fn real_servers_come_change_and_go() {
    let mut ipvs = open();
    for (key, addresses) in [
        (key(TCP, "10.96.0.1:443"), ["10.0.0.5:6443", "10.0.0.6:6443"]),
        (key(UDP, "[fd00::a]:53"), ["[fd00:1::2]:5353", "[fd00:1::3]:53"]),
    ] {
        add_all(&mut ipvs, &[server(key, "wrr")]);
        let [first, second] = addresses.map(|address| real(address, 1));
        apply(&mut ipvs, &[first, second].map(|real| Command::AddDestination(key, real)));
        assert_eq!(real_servers(&mut ipvs, &key), [first, second].into());
        let leaving = RealServer { weight: 0, ..first };
        apply(&mut ipvs, &[Command::EditDestination(key, leaving)]);
        assert_eq!(real_servers(&mut ipvs, &key), [leaving, second].into());
        apply(&mut ipvs, &[Command::DeleteDestination(key, leaving.address)]);
        assert_eq!(real_servers(&mut ipvs, &key), [second].into());
    }
    assert_eq!(real_servers(&mut ipvs, &key(TCP, "10.96.0.9:1")), [].into(), "no such virtual server");
}

fn every_forwarding_is_kept() {
    let mut ipvs = open();
    let key = key(TCP, "10.96.0.1:443");
    add_all(&mut ipvs, &[server(key, "rr")]);
    use Forwarding::{DirectRoute, Local, Masquerade, Tunnel};
    let all = [("1", Masquerade), ("2", Local), ("3", Tunnel), ("4", DirectRoute)];
    let all =
        all.map(|(host, forwarding)| RealServer { forwarding, ..real(&format!("10.0.0.{host}:443"), 1) });
    apply(&mut ipvs, &all.map(|real| Command::AddDestination(key, real)));
    assert_eq!(real_servers(&mut ipvs, &key), all.into());
    let other_family = RealServer { forwarding: Tunnel, ..real("[fd00::5]:443", 1) };
    apply(&mut ipvs, &[Command::AddDestination(key, other_family)]);
    assert!(real_servers(&mut ipvs, &key).contains(&other_family));
    apply(&mut ipvs, &[Command::DeleteDestination(key, other_family.address)]);
    assert_eq!(real_servers(&mut ipvs, &key), all.into());
}

fn an_edit_keeps_the_real_servers() {
    let mut ipvs = open();
    let key = key(TCP, "10.96.0.1:443");
    let real = real("10.0.0.5:6443", 1);
    add_all(&mut ipvs, &[server(key, "rr")]);
    apply(&mut ipvs, &[Command::AddDestination(key, real)]);
    let sticky = VirtualServer { flags: PERSISTENT, timeout: 300, ..server(key, "wlc") };
    for wanted in [sticky, server(key, "sh")] {
        apply(&mut ipvs, &[Command::Edit(wanted.clone())]);
        assert_eq!(services(&mut ipvs), [wanted].into());
        assert_eq!(real_servers(&mut ipvs, &key), [real].into());
    }
}

fn only_what_was_named_is_deleted() {
    let mut ipvs = open();
    add_all(&mut ipvs, &examples());
    let mut left: HashSet<_> = examples().into_iter().collect();
    for example in examples() {
        assert!(ipvs::delete(&mut ipvs, &example.key).unwrap());
        assert!(!ipvs::delete(&mut ipvs, &example.key).unwrap(), "it is gone already");
        left.remove(&example);
        assert_eq!(services(&mut ipvs), left);
    }
}

fn a_refusal_is_explained_and_stops_nothing() {
    let mut ipvs = open();
    let (there, other) = (key(TCP, "10.96.0.1:443"), key(TCP, "10.96.0.2:443"));
    let commands = [
        Command::Add(server(there, "rr")),
        Command::Add(server(there, "rr")),
        Command::Add(server(other, "no-such")),
        Command::Delete(other),
        Command::AddDestination(other, real("10.0.0.5:443", 1)),
        Command::EditDestination(there, real("10.0.0.5:443", 1)),
        Command::AddDestination(there, real("10.0.0.5:443", 1)),
        Command::AddDestination(there, real("10.0.0.5:443", 1)),
        Command::AddDestination(there, real("10.0.0.6:443", 1)),
    ];
    let told: Vec<_> = ipvs::apply(&mut ipvs, &commands).unwrap().iter().map(ToString::to_string).collect();
    let expected = [
        "message 1: File exists (os error 17): the virtual server is there already",
        "message 2: No such file or directory (os error 2): the kernel has no such scheduler",
        "message 3: No such process (os error 3): there is no such virtual server",
        "message 4: No such process (os error 3): there is no such virtual server",
        "message 5: No such file or directory (os error 2): there is no such real server",
        "message 7: File exists (os error 17): the real server is there already",
    ];
    assert_eq!(told, expected.map(|text| format!("the kernel refused {text}")));
    assert_eq!(services(&mut ipvs), [server(there, "rr")].into());
    assert_eq!(real_servers(&mut ipvs, &there).len(), 2);
}

fn timeouts_are_set_one_by_one() {
    let mut ipvs = open();
    let before = ipvs::timeouts(&mut ipvs).unwrap();
    assert_eq!(before, Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
    ipvs::set_timeouts(&mut ipvs, &Timeouts { tcp_fin: 33, ..Timeouts::default() }).unwrap();
    assert_eq!(ipvs::timeouts(&mut ipvs).unwrap(), Timeouts { tcp_fin: 33, ..before });
    let all = Timeouts { tcp: 1_000, tcp_fin: 44, udp: 55 };
    ipvs::set_timeouts(&mut ipvs, &all).unwrap();
    assert_eq!(ipvs::timeouts(&mut ipvs).unwrap(), all);
    let absurd = Timeouts { tcp: u32::MAX, ..Timeouts::default() };
    assert_eq!(ipvs::set_timeouts(&mut ipvs, &absurd).unwrap_err().errno(), Some(22));
}

fn many_servers_take_many_datagrams() {
    let mut ipvs = open();
    let keys: Vec<_> = (0..1_000).map(|i| key(TCP, &format!("10.96.{}.{}:80", i / 250, i % 250))).collect();
    let reals: Vec<_> = (0..300).map(|i| real(&format!("10.1.{}.{}:80", i / 250, i % 250), 1)).collect();
    let mut commands: Vec<_> = keys.iter().map(|key| Command::Add(server(*key, "rr"))).collect();
    commands.extend(reals.iter().map(|real| Command::AddDestination(keys[0], *real)));
    timed("1300 commands", || apply(&mut ipvs, &commands));
    timed("1000 virtual servers", || assert_eq!(services(&mut ipvs).len(), 1_000));
    timed("300 real servers", || {
        assert_eq!(real_servers(&mut ipvs, &keys[0]), reals.iter().copied().collect());
    });
    let again = ipvs::apply(&mut ipvs, &commands).unwrap();
    assert_eq!(again.len(), 1_300, "each is refused, and no answer is lost");
    let deletions: Vec<_> = keys.into_iter().map(Command::Delete).collect();
    timed("1000 deletions", || apply(&mut ipvs, &deletions));
    assert_eq!(ipvs::services(&mut ipvs).unwrap(), []);
}

fn timed(what: &str, work: impl FnOnce()) {
    let began = Instant::now();
    work();
    eprintln!("{what} in {:?}", began.elapsed());
}

fn connections_are_made_and_counted() {
    ip("addr add 10.96.0.1/32 dev lo
        addr add 10.0.0.1/24 dev lo");
    let key = key(TCP, "10.96.0.1:80");
    let listener = TcpListener::bind("10.0.0.1:8080").unwrap();
    let mut ipvs = open();
    add_all(&mut ipvs, &[server(key, "rr")]);
    apply(&mut ipvs, &[Command::AddDestination(key, real("10.0.0.1:8080", 1))]);
    let mut client = TcpStream::connect("10.96.0.1:80").unwrap();
    let mut endpoint = listener.accept().unwrap().0;
    client.write_all(b"hello").unwrap();
    let mut read = [0; 5];
    endpoint.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"hello");
    let destination = only_destination(&mut ipvs, &key);
    assert_eq!((destination.active, destination.inactive, destination.persistent), (1, 0, 0));
    let until = Instant::now() + Duration::from_secs(20);
    while only_destination(&mut ipvs, &key).stats.connections == 0 {
        assert!(Instant::now() < until, "the kernel sums up every two seconds");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stats = only_destination(&mut ipvs, &key).stats;
    assert_eq!(stats.connections, 1);
    assert!(stats.in_packets >= 3 && stats.in_bytes > 5, "{stats:?}");
}

fn only_destination(ipvs: &mut Ipvs, key: &Key) -> Destination {
    let found = ipvs::destinations(ipvs, key).unwrap();
    let [destination] = found[..] else { panic!("{found:?}") };
    destination
}
