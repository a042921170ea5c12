//! Links and addresses on them, on the running kernel. Needs root, and for dummy links a kernel that has them;
//! otherwise the tests are reported as ignored, with the reason.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;
mod trials;

use std::net::IpAddr;
use std::process::{Command, ExitCode};

use netns::{in_netns, ip, run};
use towpath_netlink::Socket;
use towpath_netlink::route::{
    Link, add_address, addresses_of, create_bridge, create_dummy, delete_address, delete_link, link, open,
    set_up,
};
use trials::{Need, Test, run_all};

const VETH: &[Need] = &[veth];
const DUMMY: &[Need] = &[dummy];
const BRIDGE: &[Need] = &[bridge];

const TESTS: &[Test] = &[
    ("links_are_found_by_name", links_are_found_by_name, VETH),
    ("addresses_come_and_go", addresses_come_and_go, VETH),
    ("a_link_is_deleted_once", a_link_is_deleted_once, VETH),
    ("a_dummy_link_is_made_and_carries_addresses", a_dummy_link_is_made_and_carries_addresses, DUMMY),
    ("a_bridge_without_ports_carries_addresses", a_bridge_without_ports_carries_addresses, BRIDGE),
    ("a_name_that_is_taken_is_refused", a_name_that_is_taken_is_refused, DUMMY),
    ("another_programs_dummy_link_is_recognised", another_programs_dummy_link_is_recognised, DUMMY),
];

fn main() -> ExitCode {
    run_all(TESTS)
}

fn veth() -> Result<(), String> {
    inside(|| {
        let mut command = Command::new("ip");
        let status =
            command.args(["link", "add", "v0", "type", "veth", "peer", "name", "v1"]).status().unwrap();
        if status.success() { Ok(()) } else { Err("needs ip and veth links".into()) }
    })
}

fn dummy() -> Result<(), String> {
    let made = inside(|| create_dummy(&mut open().unwrap(), "d0"));
    made.map_err(|error| format!("this kernel has no dummy links: {error}"))
}

fn bridge() -> Result<(), String> {
    let made = inside(|| create_bridge(&mut open().unwrap(), "b0"));
    made.map_err(|error| format!("this kernel has no bridges: {error}"))
}

/// What some work says in a network namespace of its own.
fn inside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut answer = None;
    in_netns(|| answer = Some(work()));
    answer.unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn on(socket: &mut Socket, index: u32) -> Vec<(IpAddr, u8)> {
    addresses_of(socket, index).unwrap().into_iter().map(|a| (a.ip, a.prefix)).collect()
}

fn links_are_found_by_name() {
    ip("link add v0 type veth peer name v1
        link set v0 up");
    let mut socket = open().unwrap();
    let lo = link(&mut socket, "lo").unwrap().unwrap();
    assert_eq!(lo, Link { index: 1, name: "lo".into(), kind: None, up: true });
    let v0 = link(&mut socket, "v0").unwrap().unwrap();
    assert_eq!((v0.kind.as_deref(), v0.up), (Some("veth"), true));
    let v1 = link(&mut socket, "v1").unwrap().unwrap();
    assert!(!v1.up && v1.index != v0.index);
    for absent in ["v2", "", "a-name-of-16-byte"] {
        assert_eq!(link(&mut socket, absent).unwrap(), None, "{absent}");
    }
}

fn addresses_come_and_go() {
    ip("link add v0 type veth peer name v1
        link set v0 up");
    let mut socket = open().unwrap();
    let index = link(&mut socket, "v0").unwrap().unwrap().index;
    for (text, prefix) in [("10.96.0.1", 32), ("10.96.0.10", 24), ("fd00::1", 128), ("fd00::a", 64)] {
        let ip = address(text);
        assert!(add_address(&mut socket, index, ip, prefix).unwrap());
        assert!(!add_address(&mut socket, index, ip, prefix).unwrap(), "it is there already");
        assert_eq!(on(&mut socket, index), [(ip, prefix)]);
        assert!(delete_address(&mut socket, index, ip, prefix).unwrap());
        assert!(!delete_address(&mut socket, index, ip, prefix).unwrap(), "it is gone already");
        assert_eq!(on(&mut socket, index), []);
    }
    let nowhere = add_address(&mut socket, 999, address("10.96.0.1"), 32).unwrap_err();
    assert_eq!(nowhere.errno(), Some(19));
}

fn a_link_is_deleted_once() {
    ip("link add v0 type veth peer name v1");
    let mut socket = open().unwrap();
    let index = link(&mut socket, "v0").unwrap().unwrap().index;
    assert!(delete_link(&mut socket, index).unwrap());
    assert!(!delete_link(&mut socket, index).unwrap(), "it is gone already");
    assert_eq!(link(&mut socket, "v0").unwrap(), None);
    assert!(delete_link(&mut socket, 1).is_err(), "loopback can't be deleted");
}

fn a_dummy_link_is_made_and_carries_addresses() {
    let mut socket = open().unwrap();
    create_dummy(&mut socket, "towpath0").unwrap();
    carries_addresses(&mut socket, "dummy");
}

/// It has no carrier; its IPv6 addresses may be used all the same.
fn a_bridge_without_ports_carries_addresses() {
    let mut socket = open().unwrap();
    create_bridge(&mut socket, "towpath0").unwrap();
    carries_addresses(&mut socket, "bridge");
}

fn carries_addresses(socket: &mut Socket, kind: &str) {
    let made = link(socket, "towpath0").unwrap().unwrap();
    let expected = Link { name: "towpath0".into(), kind: Some(kind.into()), up: false, ..made.clone() };
    assert_eq!(made, expected);
    let wanted = [(address("10.96.0.1"), 32), (address("fd00::1"), 128)];
    for (ip, prefix) in wanted {
        assert!(add_address(socket, made.index, ip, prefix).unwrap());
    }
    assert_eq!(on(socket, made.index), wanted);
    assert!(!addresses_of(socket, made.index).unwrap()[1].is_tentative());
    set_up(socket, made.index).unwrap();
    assert!(link(socket, "towpath0").unwrap().unwrap().up);
    assert!(delete_link(socket, made.index).unwrap());
    assert_eq!(on(socket, made.index), []);
}

fn a_name_that_is_taken_is_refused() {
    let mut socket = open().unwrap();
    create_dummy(&mut socket, "towpath0").unwrap();
    assert_eq!(create_dummy(&mut socket, "towpath0").unwrap_err().errno(), Some(17));
}

fn another_programs_dummy_link_is_recognised() {
    ip("link add kube-ipvs0 type dummy
        addr add 10.96.0.1/32 dev kube-ipvs0
        addr add 10.96.0.10/32 dev kube-ipvs0");
    let mut socket = open().unwrap();
    let found = link(&mut socket, "kube-ipvs0").unwrap().unwrap();
    assert_eq!((found.kind.as_deref(), found.up), (Some("dummy"), false));
    assert_eq!(on(&mut socket, found.index), [(address("10.96.0.1"), 32), (address("10.96.0.10"), 32)]);
    assert!(delete_link(&mut socket, found.index).unwrap());
    assert!(!run(&["ip", "-br", "link"], "").contains("kube-ipvs0"));
}
