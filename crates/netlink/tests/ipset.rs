//! Sets of ipset on the running kernel, made by the program ipset. Needs root, a kernel with ipset, and the program;
//! otherwise the tests are reported as ignored, with the reason.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;
mod trials;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;

use netns::run;
use towpath_netlink::conntrack::Family;
use towpath_netlink::ipset::{self, Ipset, Member, Set};
use trials::{Need, Test, program, run_all};

const NEEDS: &[Need] = &[kernel, || program("ipset")];

const TESTS: &[Test] = &[
    ("sets_are_listed_with_their_types", sets_are_listed_with_their_types, NEEDS),
    ("members_of_every_type_are_read", members_of_every_type_are_read, NEEDS),
    ("many_members_take_many_datagrams", many_members_take_many_datagrams, NEEDS),
    ("only_the_named_set_is_destroyed", only_the_named_set_is_destroyed, NEEDS),
    ("a_set_in_use_stays_and_that_is_told", a_set_in_use_stays_and_that_is_told, NEEDS),
];

fn main() -> ExitCode {
    run_all(TESTS)
}

fn kernel() -> Result<(), String> {
    let open = ipset::open().map_err(|error| error.to_string())?;
    open.map(drop).ok_or_else(|| "this kernel has no ipset".to_owned())
}

fn open() -> Ipset {
    ipset::open().unwrap().unwrap()
}

/// `ipset restore` with these lines.
fn restore(lines: &str) {
    let lines: String = lines.lines().map(|line| format!("{}\n", line.trim())).collect();
    run(&["ipset", "restore"], &lines);
}

fn set(name: &str, kind: &str, family: Option<Family>, references: u32) -> Set {
    Set { name: name.into(), kind: kind.into(), family, references }
}

fn members(name: &str) -> BTreeSet<Member> {
    let list = ipset::members(&mut open(), name).unwrap().unwrap();
    let count = list.len();
    let set: BTreeSet<_> = list.into_iter().collect();
    assert_eq!(set.len(), count, "none came twice");
    set
}

fn sets_are_listed_with_their_types() {
    assert!(ipset::available().unwrap());
    assert_eq!(ipset::names(&mut open()).unwrap(), []);
    restore(
        "create KUBE-CLUSTER-IP hash:ip,port
         create KUBE-6-CLUSTER-IP hash:ip,port family inet6
         create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
         create all list:set
         add all KUBE-CLUSTER-IP
         add KUBE-CLUSTER-IP 10.96.0.1,tcp:443",
    );
    let mut found = ipset::names(&mut open()).unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let expected = [
        set("KUBE-6-CLUSTER-IP", "hash:ip,port", Some(Family::V6), 0),
        set("KUBE-CLUSTER-IP", "hash:ip,port", Some(Family::V4), 1),
        set("KUBE-NODE-PORT-TCP", "bitmap:port", None, 0),
        set("all", "list:set", None, 0),
    ];
    assert_eq!(found, expected);
}

fn members_of_every_type_are_read() {
    restore(
        "create ports bitmap:port range 0-65535
         add ports 30080
         add ports 30443
         create cluster hash:ip,port timeout 600 counters comment
         add cluster 10.96.0.1,tcp:443 comment default/kubernetes:https
         add cluster 10.96.0.10,udp:53
         add cluster 10.96.0.11,sctp:3868
         create cluster6 hash:ip,port family inet6
         add cluster6 fd00::1,tcp:443
         create addresses hash:ip
         add addresses 192.0.2.1
         create loopback hash:ip,port,ip
         add loopback 10.0.0.5,tcp:8080,10.0.0.5
         create source hash:ip,port,net
         add source 10.96.0.1,tcp:80,192.0.2.0/24
         create nets hash:net
         add nets 198.51.100.0/25
         create empty hash:ip",
    );
    let ip = |ip: &str| Some(ip.parse().unwrap());
    let none = Member::default();
    let port = |port| Member { port: Some(port), ..none };
    let pair = |address: &str, protocol, port| Member {
        ip: ip(address),
        port: Some(port),
        protocol: Some(protocol),
        ..none
    };
    let cases = [
        ("ports", vec![port(30_080), port(30_443)]),
        (
            "cluster",
            vec![pair("10.96.0.1", 6, 443), pair("10.96.0.10", 17, 53), pair("10.96.0.11", 132, 3868)],
        ),
        ("cluster6", vec![pair("fd00::1", 6, 443)]),
        ("addresses", vec![Member { ip: ip("192.0.2.1"), ..none }]),
        ("loopback", vec![Member { ip2: ip("10.0.0.5"), ..pair("10.0.0.5", 6, 8080) }]),
        ("source", vec![Member { ip2: ip("192.0.2.0"), cidr2: Some(24), ..pair("10.96.0.1", 6, 80) }]),
        ("nets", vec![Member { ip: ip("198.51.100.0"), cidr: Some(25), ..none }]),
        ("empty", vec![]),
    ];
    for (name, expected) in cases {
        assert_eq!(members(name), expected.into_iter().collect(), "{name}");
    }
    assert_eq!(ipset::members(&mut open(), "gone").unwrap(), None);
}

fn many_members_take_many_datagrams() {
    let mut lines = "create many hash:ip,port\ncreate ports bitmap:port range 0-65535\n".to_owned();
    for i in 0..2_000 {
        writeln!(lines, "add many 10.96.{}.{},tcp:443", i / 250, i % 250).unwrap();
        writeln!(lines, "add ports {}", 30_000 + i).unwrap();
    }
    restore(&lines);
    assert_eq!((members("many").len(), members("ports").len()), (2_000, 2_000));
    assert_eq!(ipset::names(&mut open()).unwrap().len(), 2);
}

fn only_the_named_set_is_destroyed() {
    restore(
        "create first hash:ip
         add first 192.0.2.1
         create second hash:ip",
    );
    let mut ipset = open();
    assert!(ipset::destroy(&mut ipset, "first").unwrap());
    assert!(!ipset::destroy(&mut ipset, "first").unwrap(), "it is gone already");
    assert_eq!(ipset::names(&mut ipset).unwrap(), [set("second", "hash:ip", Some(Family::V4), 0)]);
}

fn a_set_in_use_stays_and_that_is_told() {
    restore(
        "create used hash:ip
         create all list:set
         add all used",
    );
    let mut ipset = open();
    let told = ipset::destroy(&mut ipset, "used").unwrap_err().to_string();
    assert!(told.ends_with("a rule or another set still uses the set"), "{told}");
    assert!(ipset::destroy(&mut ipset, "all").unwrap());
    assert!(ipset::destroy(&mut ipset, "used").unwrap());
    assert_eq!(ipset::names(&mut ipset).unwrap(), []);
}
