use std::time::Duration;

use dns_config::{FixedEnv, parse, read};
use dns_forward::CLIENT_WAIT;

use super::*;

/// The groups of a block of the zone `example.org` with these lines.
fn groups(lines: &str) -> Vec<Group> {
    let env = FixedEnv::default();
    let text = format!("example.org {{\n{lines}\n}}");
    let config = read(&parse(&text, "Corefile", &env).unwrap(), &env).unwrap();
    let (block, mut notes) = (&config.blocks[0], Vec::new());
    let groups = (0..block.forward.len()).filter_map(|at| group(block, at, &env, &mut notes)).collect();
    assert_eq!(notes, Vec::<String>::new());
    groups
}

fn cached(options: &str) -> CacheSettings {
    let mut groups = groups(&format!("cache {options}\nforward . 192.0.2.1"));
    groups.remove(0).cache.unwrap()
}

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// What each option of `cache` becomes, against what `cache` alone is.
#[test]
fn each_option_of_cache_comes_through() {
    let plain = || CacheSettings {
        max_bytes: CacheSettings::bytes_for(9_984),
        zones: names(&["example.org."]),
        ..CacheSettings::default()
    };
    let secs = Duration::from_secs;
    let stale = |max_age, mode| Some(Stale { max_age: secs(max_age), mode });
    let fetch = |hits, gap, percent| Some(Prefetch { hits, gap: secs(gap), percent });
    let cases: Vec<(&str, CacheSettings)> = vec![
        ("", plain()),
        ("30", CacheSettings { success: (secs(5), secs(30)), denial: (secs(5), secs(30)), ..plain() }),
        (
            "30 .",
            CacheSettings {
                zones: names(&["."]),
                success: (secs(5), secs(30)),
                denial: (secs(5), secs(30)),
                ..plain()
            },
        ),
        ("{\nsuccess 20000\n}", CacheSettings { max_bytes: CacheSettings::bytes_for(20_000), ..plain() }),
        (
            "{\nsuccess 1\ndenial 1\n}",
            CacheSettings { max_bytes: CacheSettings::bytes_for(1_024), ..plain() },
        ),
        ("{\nsuccess 9984 60 1\n}", CacheSettings { success: (secs(1), secs(60)), ..plain() }),
        ("{\ndenial 9984 10 0\n}", CacheSettings { denial: (secs(0), secs(10)), ..plain() }),
        ("{\nservfail 0\n}", CacheSettings { failure: secs(0), ..plain() }),
        ("{\nservfail 30s\n}", CacheSettings { failure: secs(30), ..plain() }),
        ("{\ndisable success\n}", CacheSettings { no_success: names(&["."]), ..plain() }),
        (
            "{\ndisable denial a.example.org\n}",
            CacheSettings { no_denial: names(&["a.example.org."]), ..plain() },
        ),
        ("{\nkeepttl\n}", CacheSettings { keep_ttl: true, ..plain() }),
        ("{\nprefetch 0\n}", CacheSettings { prefetch: None, ..plain() }),
        ("{\nprefetch 5\n}", CacheSettings { prefetch: fetch(5, 60, 10), ..plain() }),
        ("{\nprefetch 5 2m 30%\n}", CacheSettings { prefetch: fetch(5, 120, 30), ..plain() }),
        ("{\nserve_stale 0\n}", CacheSettings { stale: None, ..plain() }),
        ("{\nserve_stale\n}", CacheSettings { stale: stale(3_600, StaleMode::Immediate), ..plain() }),
        (
            "{\nserve_stale 2h immediate\n}",
            CacheSettings { stale: stale(7_200, StaleMode::Immediate), ..plain() },
        ),
        (
            "{\nserve_stale 2h verify\n}",
            CacheSettings { stale: stale(7_200, StaleMode::Verify(CLIENT_WAIT)), ..plain() },
        ),
        (
            "{\nserve_stale 2h verify 1s\n}",
            CacheSettings { stale: stale(7_200, StaleMode::Verify(secs(1))), ..plain() },
        ),
    ];
    for (options, wanted) in cases {
        assert_eq!(cached(options), wanted, "cache {options}");
    }
    assert_eq!(groups("forward . 192.0.2.1")[0].cache, None);
}

/// A network that is no whole number of labels becomes several zones; a cache for the last of them counts.
#[test]
fn all_zones_of_a_forward_count() {
    for (cache, is_cached) in [
        ("11.10.in-addr.arpa", false),
        ("1.10.in-addr.arpa", true),
        ("5.1.10.in-addr.arpa", true),
        (".", true),
    ] {
        let groups = groups(&format!("cache 30 {cache}\nforward 10.0.0.0/15 192.0.2.1"));
        assert_eq!(groups[0].cache.is_some(), is_cached, "{cache}");
    }
}
