//! Addresses and their news on the running kernel. Needs root.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use netns::{in_netns, ip};
use towpath_netlink::route::{Address, AddressWatch, News, addresses, open};

const SOON: Option<Duration> = Some(Duration::from_millis(50));
const LATE: Option<Duration> = Some(Duration::from_secs(10));

fn list() -> Vec<Address> {
    addresses(&mut open().unwrap()).unwrap()
}

fn find(wanted: &str) -> Option<Address> {
    let wanted: IpAddr = wanted.parse().unwrap();
    list().into_iter().find(|a| a.ip == wanted)
}

#[test]
fn every_kind_of_address_is_listed() {
    in_netns(|| {
        ip("link add d0 type veth peer name d1
            link set d0 up
            addr add 192.0.2.1/24 dev d0
            addr add 192.0.2.9 peer 192.0.2.10/32 dev d0
            addr add fd00::1/64 dev d0 nodad
            addr add fd00::9 peer fd00::a dev d0 nodad");
        let loopback = find("127.0.0.1").unwrap();
        assert_eq!((loopback.index, loopback.prefix, loopback.scope), (1, 8, 254));
        assert!(find("::1").unwrap().is_usable());
        let d0 = find("192.0.2.1").unwrap();
        assert_eq!((d0.prefix, d0.scope, d0.is_usable()), (24, 0, true));
        for (own, peer) in [("192.0.2.9", "192.0.2.10"), ("fd00::9", "fd00::a")] {
            assert_eq!(find(own).map(|a| a.index), Some(d0.index));
            assert_eq!(find(peer), None);
        }
        assert_eq!(find("fd00::1").map(|a| a.prefix), Some(64));
    });
}

#[test]
fn later_changes_are_news_and_fold_into_one() {
    in_netns(|| {
        let mut watch = AddressWatch::open().unwrap();
        assert_eq!(watch.next(SOON).unwrap(), News::Nothing);
        assert_eq!(watch.next(Some(Duration::ZERO)).unwrap(), News::Nothing);
        ip("addr add 192.0.2.1/24 dev lo
            addr add fd00::1/64 dev lo nodad
            addr add 192.0.2.2/24 dev lo");
        assert_eq!(watch.next(LATE).unwrap(), News::Changed);
        assert_eq!(watch.next(SOON).unwrap(), News::Nothing);
        assert!(find("192.0.2.2").is_some() && find("fd00::1").is_some());
        ip("addr del 192.0.2.2/24 dev lo");
        assert_eq!(watch.next(LATE).unwrap(), News::Changed);
        assert_eq!(find("192.0.2.2"), None);
    });
}

#[test]
fn a_tentative_address_becomes_usable_and_that_is_news() {
    in_netns(|| {
        ip("link add v0 type veth peer name v1
            link set v0 up
            link set v1 up");
        let mut watch = AddressWatch::open().unwrap();
        ip("addr add fd00::1/64 dev v0");
        assert!(find("fd00::1").unwrap().is_tentative());
        while !find("fd00::1").unwrap().is_usable() {
            assert_eq!(watch.next(LATE).unwrap(), News::Changed);
        }
    });
}

#[test]
fn a_full_queue_is_told_and_the_watch_goes_on() {
    in_netns(|| {
        let mut watch = AddressWatch::open().unwrap();
        let mut lines = String::new();
        for _ in 0..20_000 {
            lines.push_str("addr add 192.0.2.1/32 dev lo\naddr del 192.0.2.1/32 dev lo\n");
        }
        ip(&lines);
        assert_eq!(watch.next(SOON).unwrap(), News::Overrun);
        while watch.next(SOON).unwrap() != News::Nothing {}
        ip("addr add 192.0.2.3/32 dev lo");
        assert_eq!(watch.next(LATE).unwrap(), News::Changed);
    });
}

#[test]
fn many_addresses_take_many_datagrams() {
    in_netns(|| {
        let mut lines = String::new();
        for i in 0..1_000 {
            writeln!(lines, "addr add 198.18.{}.{}/32 dev lo", i / 250, i % 250).unwrap();
        }
        ip(&lines);
        let found = list();
        assert_eq!(found.len(), 1_002);
        assert_eq!(found, list(), "the order is stable");
    });
}
