//! What is taken over and what is refused.

use std::time::Duration;

use dns_wire::Name;

use super::*;
use crate::{CacheSettings, Tls};

fn group(name: &str, upstreams: &[&str]) -> Group {
    let upstreams = upstreams.iter().map(|address| Upstream::plain(address.parse().unwrap())).collect();
    Group::new(name, Name::root(), upstreams)
}

/// Upstreams that cannot be used, with what is said of them.
#[test]
fn refused() {
    let own: Vec<SocketAddr> = vec!["169.254.20.10:53".parse().unwrap(), "[fd00::a]:53".parse().unwrap()];
    let many: Vec<String> = (1..=16).map(|last| format!("192.0.2.{last}:53")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let table: [(&[&str], &[&str]); 8] = [
        (&["192.0.2.1:53", "[2001:db8::1]:53", "127.0.0.1:5353"], &[]),
        (&["169.254.20.10:53"], &["this server listens there itself"]),
        (&["169.254.20.10:54"], &[]),
        (&["[fd00::a]:53", "192.0.2.1:53"], &["this server listens there itself"]),
        (&["127.0.0.53:53"], &["systemd-resolved's stub"]),
        (&["0.0.0.0:53", "192.0.2.1:0"], &["nobody can be asked", "nobody can be asked"]),
        (&["192.0.2.1:53", "192.0.2.1:53"], &["named twice"]),
        (&many, &["the limit"]),
    ];
    for (upstreams, wants) in table {
        let configured = configure(vec![group("all", upstreams)], &own, &[]);
        let problems: Vec<String> = configured.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), wants.len(), "{problems:?}");
        for (problem, want) in problems.iter().zip(wants) {
            assert!(problem.starts_with("forward all: upstream ") && problem.contains(want), "{problem}");
        }
        assert_eq!(configured.groups[0].0.remotes.len(), upstreams.len() - wants.len());
    }
}

/// When the cache and the upstreams' state go on.
#[test]
fn kept() {
    let first = || group("all", &["192.0.2.1:53", "192.0.2.2:53"]);
    let with = |change: fn(&mut Group)| {
        let mut group = first();
        change(&mut group);
        group
    };
    let table = [
        ("nothing", first(), true, 2),
        ("order", with(|group| group.upstreams.reverse()), true, 2),
        ("a setting", with(|group| group.max_concurrent = 7), true, 2),
        ("a setting of upstreams", with(|group| group.force_tcp = true), true, 0),
        ("an upstream", group("all", &["192.0.2.1:53", "192.0.2.3:53"]), false, 1),
        ("one less", group("all", &["192.0.2.1:53"]), false, 1),
        ("the name", group("other", &["192.0.2.1:53", "192.0.2.2:53"]), false, 0),
        ("the zone", with(|group| group.zone = "test.".parse().unwrap()), false, 2),
        (
            "the size",
            with(|group| group.cache = Some(CacheSettings { max_bytes: 1, ..CacheSettings::default() })),
            false,
            2,
        ),
        (
            "lives",
            with(|group| {
                group.cache = Some(CacheSettings { failure: Duration::ZERO, ..CacheSettings::default() })
            }),
            true,
            2,
        ),
    ];
    for (what, new, cache, remotes) in table {
        let old = configure(vec![first()], &[], &[]).groups.remove(0);
        let new = configure(vec![new], &[], std::slice::from_ref(&old)).groups.remove(0);
        let same = Arc::ptr_eq(old.0.cache.as_ref().unwrap(), new.0.cache.as_ref().unwrap());
        assert_eq!(same, cache, "{what}");
        let same = new.0.remotes.iter().filter(|new| old.0.remotes.iter().any(|old| Arc::ptr_eq(old, new)));
        assert_eq!(same.count(), remotes, "{what}");
    }
}

/// TLS that cannot be spoken is named, with the file.
#[test]
fn tls_files() {
    let table = [
        (Tls { authorities: Some("/nowhere/ca.pem".into()), ..Tls::default() }, "/nowhere/ca.pem"),
        (Tls { authorities: Some("/dev/null".into()), ..Tls::default() }, "has no certificate"),
        (Tls { server_name: Some("not a name".into()), ..Tls::default() }, "\"not a name\""),
    ];
    for (tls, want) in table {
        let upstreams = vec![Upstream { address: "192.0.2.1:853".parse().unwrap(), tls: Some(tls) }];
        let configured = configure(vec![Group::new("all", Name::root(), upstreams)], &[], &[]);
        let problem = configured.problems[0].to_string();
        assert!(problem.contains(want) && !problem.contains('\n'), "{problem}");
    }
}
