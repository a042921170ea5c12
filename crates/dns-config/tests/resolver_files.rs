//! resolv.conf and hosts files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::IpAddr;
use std::path::Path;

use common::names;
use towpath_dns_config::{FixedEnv, HostsFile, ResolvConf, SkippedLine};

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn resolv_conf_is_read() {
    let default = ResolvConf::default;
    let skipped = |line, what: &str| vec![SkippedLine { line, what: what.to_owned() }];
    let cases = [
        ("", default()),
        ("# c\n; c\nsortlist x\n", default()),
        ("nameserver 10.0.0.1", ResolvConf { nameservers: addresses(&["10.0.0.1"]), ..default() }),
        (
            "  nameserver\t10.0.0.1 # c\nnameserver 2001:db8::1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n",
            ResolvConf {
                nameservers: addresses(&["10.0.0.1", "2001:db8::1", "10.0.0.2", "10.0.0.3"]),
                ..default()
            },
        ),
        (
            "search A.example b.example.",
            ResolvConf { search: names(&["a.example.", "b.example."]), ..default() },
        ),
        ("domain a.example\nsearch b.example", ResolvConf { search: names(&["b.example."]), ..default() }),
        ("search .", ResolvConf { search: names(&["."]), ..default() }),
        (
            "options ndots:5 timeout:2 attempts:3 rotate",
            ResolvConf { ndots: 5, timeout: 2, attempts: 3, ..default() },
        ),
        (
            "options ndots:99 timeout:99 attempts:99",
            ResolvConf { ndots: 15, timeout: 30, attempts: 5, ..default() },
        ),
        ("options timeout:0 attempts:0 ndots:x", ResolvConf { timeout: 1, attempts: 1, ..default() }),
        (
            "\nnameserver fe80::1%eth0",
            ResolvConf { skipped: skipped(2, "nameserver fe80::1%eth0"), ..default() },
        ),
        ("search a..b", ResolvConf { skipped: skipped(1, "search a..b"), ..default() }),
    ];
    for (text, want) in cases {
        assert_eq!(ResolvConf::read(text), want, "{text}");
    }
    let env = FixedEnv::default().with_file("/etc/resolv.conf", "nameserver 10.0.0.1");
    let read = ResolvConf::load(Path::new("/etc/resolv.conf"), &env).unwrap();
    assert_eq!(read.nameservers, addresses(&["10.0.0.1"]));
    let gone = ResolvConf::load(Path::new("/gone"), &env).unwrap_err();
    assert_eq!(gone.to_string(), "/gone: entity not found");
}

#[test]
fn hosts_files_are_read() {
    let text = "# c\n127.0.0.1 localhost\n\n::1\tlocalhost ip6-localhost # c\nfe80::1%lo0 A.Example\nbad line\n10.0.0.1\n10.0.0.2 a..b c\n";
    let file = HostsFile::read(text);
    let read: Vec<_> = file.entries.iter().map(|entry| (entry.address, entry.names.clone())).collect();
    let want: [(&str, &[&str]); 4] = [
        ("127.0.0.1", &["localhost."]),
        ("::1", &["localhost.", "ip6-localhost."]),
        ("fe80::1", &["a.example."]),
        ("10.0.0.2", &["c."]),
    ];
    assert_eq!(read, want.map(|(address, of)| (address.parse().unwrap(), names(of))));
    assert_eq!(file.skipped, [6, 7]);
}
