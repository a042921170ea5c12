//! The options of `forward` and `cache`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{block, names, plugin, refused, unsupported};
use towpath_dns_config::{
    Cache, CacheTable, Choice, Forward, HealthCheck, Place, Policy, Prefetch, ServeStale, TlsFiles, To,
    Transport, Upstream,
};

fn server(address: &str) -> To {
    To::Server(Upstream { address: address.parse().unwrap(), transport: Transport::Plain })
}

fn tls(address: &str, name: Option<&str>) -> To {
    let transport = Transport::Tls { server_name: name.map(str::to_owned) };
    To::Server(Upstream { address: address.parse().unwrap(), transport })
}

fn default() -> Forward {
    Forward::new(Place::new("/etc/coredns/Corefile", 2), names(&["."]), vec![server("10.0.0.1:53")])
}

#[test]
fn upstreams_are_addresses_and_files() {
    let cases: Vec<(&str, To)> = vec![
        ("10.0.0.1", server("10.0.0.1:53")),
        ("10.0.0.1:5353", server("10.0.0.1:5353")),
        ("dns://10.0.0.1", server("10.0.0.1:53")),
        ("2001:db8::1", server("[2001:db8::1]:53")),
        ("[2001:db8::1]", server("[2001:db8::1]:53")),
        ("[2001:db8::1]:54", server("[2001:db8::1]:54")),
        ("/etc/resolv.conf", To::File(PathBuf::from("/etc/resolv.conf"))),
        ("tls://9.9.9.9", tls("9.9.9.9:853", None)),
        ("tls://9.9.9.9:10853", tls("9.9.9.9:10853", None)),
        ("tls://9.9.9.9%dns.quad9.net", tls("9.9.9.9:853", Some("dns.quad9.net"))),
        ("tls://9.9.9.9%dns.quad9.net:10853", tls("9.9.9.9:10853", Some("dns.quad9.net"))),
        ("tls://2620:fe::fe%dns.quad9.net:10853", tls("[2620:fe::fe]:10853", Some("dns.quad9.net"))),
        ("tls://[2620:fe::fe]%dns.quad9.net", tls("[2620:fe::fe]:853", Some("dns.quad9.net"))),
    ];
    for (text, want) in cases {
        assert_eq!(block(&format!("forward . {text}")).forward[0].to, [want], "{text}");
    }
}

#[test]
fn upstreams_that_cannot_be_asked_are_named() {
    let gone = "2: forward";
    let cases = [
        ("https://9.9.9.9", "2: forward https://9.9.9.9"),
        ("dns.example.org", "2: forward dns.example.org"),
        ("fe80::1%eth0", "2: forward fe80::1%eth0"),
    ];
    for (text, want) in cases {
        assert_eq!(unsupported(&format!("forward . {text}")), [want, gone], "{text}");
        assert_eq!(unsupported(&format!("forward . {text} 10.0.0.1")), [want], "{text}");
    }
    assert_eq!(
        refused("forward . tls://dns.example"),
        "2: forward: tls://dns.example is not tls://ADDRESS[%NAME][:PORT]"
    );
    for text in ["300.1.1.1", "10.0.0.256:53", "1.1.1", "10.0.0.1:99999", "dns://10.0.0", "10.0.0.1.2"] {
        let want = format!("2: forward: {text} is not an address with an optional port, or a file");
        assert_eq!(refused(&format!("forward . {text} 10.0.0.1")), want);
    }
    assert_eq!(
        refused("forward . ftp://10.0.0.1"),
        "2: forward: ftp is not a protocol: write dns:// or tls://"
    );
}

#[test]
fn forward_options_are_read() {
    let ms = Duration::from_millis;
    let check = HealthCheck::default;
    let path = PathBuf::from;
    let cases: Vec<(&str, Forward)> = vec![
        ("", default()),
        (
            "except A.example 10.0.0.0/8",
            Forward { except: names(&["a.example.", "10.in-addr.arpa."]), ..default() },
        ),
        ("policy random", default()),
        ("policy round_robin", Forward { policy: Policy::RoundRobin, ..default() }),
        ("policy sequential", Forward { policy: Policy::Sequential, ..default() }),
        ("force_tcp", Forward { force_tcp: true, ..default() }),
        ("prefer_udp", Forward { prefer_udp: true, ..default() }),
        ("max_fails 0", Forward { max_fails: 0, ..default() }),
        ("expire 20s", Forward { expire: ms(20_000), ..default() }),
        (
            "health_check 5s",
            Forward { health_check: HealthCheck { interval: ms(5000), ..check() }, ..default() },
        ),
        (
            "health_check 0.5s no_rec domain Example.org",
            Forward {
                health_check: HealthCheck {
                    interval: ms(500),
                    recursion: false,
                    domain: "example.org.".parse().unwrap(),
                },
                ..default()
            },
        ),
        ("max_concurrent 1000", Forward { max_concurrent: Some(1000), ..default() }),
        ("max_concurrent 0", default()),
        ("tls", default()),
        ("tls /ca", Forward { tls: TlsFiles { client: None, ca: Some(path("/ca")) }, ..default() }),
        (
            "tls /c /k",
            Forward { tls: TlsFiles { client: Some((path("/c"), path("/k"))), ca: None }, ..default() },
        ),
        (
            "tls /c /k /ca",
            Forward {
                tls: TlsFiles { client: Some((path("/c"), path("/k"))), ca: Some(path("/ca")) },
                ..default()
            },
        ),
        ("tls_servername a.example", Forward { tls_servername: Some("a.example".to_owned()), ..default() }),
        ("failfast_all_unhealthy_upstreams", Forward { failfast: true, ..default() }),
        ("failover SERVFAIL refused", Forward { failover: vec![2, 5], ..default() }),
        ("next NXDOMAIN", Forward { next: vec![3], ..default() }),
        ("next_on_nodata", Forward { next_on_nodata: true, ..default() }),
        ("max_idle_conns 5", default()),
        ("max_connect_attempts 5", default()),
    ];
    for (option, want) in cases {
        assert_eq!(block(&format!("forward . 10.0.0.1 {{\n{option}\n}}")).forward, [want], "{option}");
    }
    let default = default();
    assert_eq!((default.max_fails, default.expire, default.policy), (2, ms(10_000), Policy::Random));
    assert_eq!((check().interval, check().recursion), (ms(500), true));
}

#[test]
fn forward_options_that_coredns_refuses_are_problems() {
    let cases = [
        ("except", "3: except: an argument is missing"),
        ("policy nearest", "3: policy: nearest is not random, round_robin or sequential"),
        ("force_tcp yes", "3: force_tcp: unexpected argument yes"),
        ("max_fails many", "3: max_fails: many is not a number from 0 to 4294967295"),
        ("expire -1s", "3: expire: -1s is not a duration: write for example 30s or 500ms"),
        ("health_check", "3: health_check: an argument is missing"),
        ("health_check 1s often", "3: health_check: often is not no_rec or domain"),
        ("health_check 1s domain", "3: health_check: domain needs a name"),
        ("max_concurrent -1", "3: max_concurrent: -1 is not a number from 0 to 4294967295"),
        ("tls a b c d", "3: tls: unexpected argument d"),
        ("failover NOERROR", "3: NOERROR is not a response code of a failure"),
        ("next", "3: next: an argument is missing"),
        ("source_address eth0", "3: source_address: eth0 is not an address"),
    ];
    for (option, want) in cases {
        assert_eq!(refused(&format!("forward . 10.0.0.1 {{\n{option}\n}}")), want, "{option}");
    }
    let form = "2: forward: write forward FROM TO..., for example forward . /etc/resolv.conf";
    assert_eq!(refused("forward"), form);
    assert_eq!(refused("forward ."), form);
    assert_eq!(
        refused(&format!("forward . {}", "10.0.0.1 ".repeat(16))),
        "2: forward: more than 15 upstreams"
    );
    assert_eq!(
        refused("forward . tls://9.9.9.9%a.example {\ntls_servername b.example\n}"),
        "2: forward: tls_servername and tls://ADDRESS%NAME exclude each other: remove one"
    );
    for option in ["source_address 10.1.1.1", "resolver 10.0.0.1", "doh_method GET", "no_such"] {
        let name = option.split(' ').next().unwrap();
        let text = format!("forward . 10.0.0.1 {{\n{option}\n}}");
        assert_eq!(unsupported(&text), [format!("3: forward {name}")], "{option}");
    }
}

#[test]
fn forwards_keep_their_order_and_zones() {
    let forward = block("forward lab.example 10.0.0.1\nforward example 10.0.0.2\nforward . 10.0.0.3").forward;
    let from: Vec<_> = forward.iter().map(|forward| forward.from[0].to_string()).collect();
    assert_eq!(from, ["lab.example.", "example.", "."]);
    assert_eq!(
        block("forward 10.0.0.0/15 10.0.0.1").forward[0].from,
        names(&["0.10.in-addr.arpa.", "1.10.in-addr.arpa."])
    );
}

fn cache(option: &str) -> Cache {
    block(&format!("cache {{\n{option}\n}}")).cache.unwrap()
}

fn cached() -> Cache {
    Cache::new(names(&["example.org."]))
}

fn table(capacity: u32, max_ttl: u32, min_ttl: u32) -> CacheTable {
    CacheTable { capacity, max_ttl, min_ttl }
}

#[test]
fn cache_arguments_are_ttl_and_zones() {
    let with_ttl = |ttl, zones: &[&str]| Cache {
        success: table(9984, ttl, 5),
        denial: table(9984, ttl, 5),
        ..Cache::new(names(zones))
    };
    assert_eq!(block("cache").cache, Some(cached()));
    assert_eq!(block("cache {}").cache, Some(cached()));
    assert_eq!(block("cache 30").cache, Some(with_ttl(30, &["example.org."])));
    assert_eq!(block("cache 30 a.example b").cache, Some(with_ttl(30, &["a.example.", "b."])));
    assert_eq!(block("cache a.example").cache, Some(Cache::new(names(&["a.example."]))));
    assert_eq!((cached().success, cached().denial), (table(9984, 3600, 5), table(9984, 1800, 5)));
}

#[test]
fn cache_options_are_read() {
    let secs = Duration::from_secs;
    let stale =
        |up_to, verify, verify_timeout| Choice::On(ServeStale { up_to: secs(up_to), verify, verify_timeout });
    let fetch =
        |amount, duration, percentage| Choice::On(Prefetch { amount, duration: secs(duration), percentage });
    let cases: Vec<(&str, Cache)> = vec![
        ("success 10", Cache { success: table(10, 3600, 5), ..cached() }),
        ("success 9984 30", Cache { success: table(9984, 30, 5), ..cached() }),
        ("success 10 1800 30", Cache { success: table(10, 1800, 30), ..cached() }),
        ("denial 9984 5", Cache { denial: table(9984, 5, 5), ..cached() }),
        ("denial 10 15 0", Cache { denial: table(10, 15, 0), ..cached() }),
        ("prefetch 10", Cache { prefetch: fetch(10, 60, 10), ..cached() }),
        ("prefetch 10 5m 25%", Cache { prefetch: fetch(10, 300, 25), ..cached() }),
        ("prefetch 0", Cache { prefetch: Choice::Off, ..cached() }),
        ("serve_stale", Cache { serve_stale: stale(3600, false, None), ..cached() }),
        ("serve_stale 1h20m", Cache { serve_stale: stale(4800, false, None), ..cached() }),
        ("serve_stale 1h immediate", Cache { serve_stale: stale(3600, false, None), ..cached() }),
        ("serve_stale 1h VERIFY", Cache { serve_stale: stale(3600, true, None), ..cached() }),
        ("serve_stale 1h verify 2s", Cache { serve_stale: stale(3600, true, Some(secs(2))), ..cached() }),
        ("serve_stale 0", Cache { serve_stale: Choice::Off, ..cached() }),
        ("servfail 0", Cache { servfail: secs(0), ..cached() }),
        ("servfail 5m", Cache { servfail: secs(300), ..cached() }),
        ("disable success", Cache { disable_success: names(&["."]), ..cached() }),
        (
            "disable denial cluster.local\ndisable success cluster.local",
            Cache {
                disable_success: names(&["cluster.local."]),
                disable_denial: names(&["cluster.local."]),
                ..cached()
            },
        ),
        ("keepttl", Cache { keepttl: true, ..cached() }),
    ];
    for (option, want) in cases {
        assert_eq!(cache(option), want, "{option}");
    }
    for option in ["serve_stale 1h verify 100ms 30s 30s", "serve_stale 1h immediate 30s 30s"] {
        let (_, config) = plugin(&format!("cache {{\n{option}\n}}")).unwrap();
        assert_eq!(config.differs.len(), 2, "{option}");
    }
}

#[test]
fn cache_options_that_coredns_refuses_are_problems() {
    let cases = [
        ("success", "3: success: an argument is missing"),
        ("success 10 0", "3: cache TTL: 0 is not a number from 1 to 4294967295"),
        ("denial aaa", "3: capacity: aaa is not a number from 0 to 4294967295"),
        ("denial 10 15 -1", "3: least cache TTL: -1 is not a number from 0 to 4294967295"),
        ("prefetch", "3: prefetch: an argument is missing"),
        ("prefetch -1", "3: prefetch: -1 is not a number from 0 to 4294967295"),
        ("prefetch 1 blurp", "3: prefetch: blurp is not a duration: write for example 30s or 500ms"),
        ("prefetch 1 1m 5%", "3: prefetch: 5% is not a percentage from 10% to 90%"),
        ("prefetch 1 1m 50", "3: prefetch: 50 is not a percentage from 10% to 90%"),
        ("serve_stale 20", "3: serve_stale: 20 is not a duration: write for example 30s or 500ms"),
        ("serve_stale 1m nono", "3: serve_stale: nono is not immediate or verify"),
        ("servfail 6m", "3: servfail: at most 5m"),
        ("servfail", "3: servfail: an argument is missing"),
        ("disable", "3: disable: write success or denial"),
        ("disable invalid a.example", "3: disable: invalid is not success or denial"),
        ("keepttl x", "3: keepttl: unexpected argument x"),
    ];
    for (option, want) in cases {
        assert_eq!(refused(&format!("cache {{\n{option}\n}}")), want, "{option}");
    }
    assert_eq!(refused("cache 0"), "2: cache TTL: 0 is not a number from 1 to 4294967295");
    assert_eq!(refused("cache -1 a.example"), "2: cache TTL: -1 is not a number from 1 to 4294967295");
    assert_eq!(refused("cache\ncache"), "3: cache: this plugin can be used only once in a server block");
    assert_eq!(
        unsupported("cache {\nserve_stale_policy prefer_positive\n}"),
        ["3: cache serve_stale_policy"]
    );
    assert_eq!(unsupported("cache {\npositive 15\n}"), ["3: cache positive"]);
}
