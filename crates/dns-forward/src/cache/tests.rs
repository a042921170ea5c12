//! The cache by itself, with times that the tests make up.

use dns_wire::{Asked, Name, class, rtype};

use super::*;
use crate::{Prefetch, Stale, StaleMode};

/// A message with an address of this TTL, or NXDOMAIN with an SOA of this TTL and minimum, or SERVFAIL.
enum Says {
    Address(u32),
    NxDomain(u32, u32),
    NoData(u32, u32),
    Servfail,
}

fn message(name: &Name, says: &Says) -> Arc<Stored> {
    let question = [name.wire(), &[0, 1, 0, 1]].concat();
    let (rcode, answers, authority) = match says {
        Says::Address(_) => (0, 1, 0),
        Says::NoData(..) => (0, 0, 1),
        Says::NxDomain(..) => (3, 0, 1),
        Says::Servfail => (2, 0, 0),
    };
    let mut out = vec![0, 7, 0x81, 0x80 | rcode, 0, 1, 0, answers, 0, authority, 0, 0];
    out.extend(&question);
    match says {
        Says::Address(ttl) => {
            out.extend([0xc0, 0x0c, 0, 1, 0, 1]);
            out.extend(ttl.to_be_bytes());
            out.extend([0, 4, 192, 0, 2, 1]);
        }
        Says::NxDomain(ttl, minimum) | Says::NoData(ttl, minimum) => {
            out.extend([0, 0, 6, 0, 1]);
            out.extend(ttl.to_be_bytes());
            out.extend([0, 22, 0, 0]);
            [1, 2, 3, 4, *minimum].iter().for_each(|number| out.extend(number.to_be_bytes()));
        }
        Says::Servfail => {}
    }
    Arc::new(dns_wire::store(&out, &Asked { id: 7, question: &question }).unwrap())
}

fn asking(name: &Name) -> Asking<'_> {
    let (qtype, qclass) = (rtype::A, class::IN);
    Asking { name: name.as_ref(), qtype, qclass, dnssec_ok: false, checking_disabled: false }
}

struct World {
    cache: Cache,
    start: Instant,
    settings: CacheSettings,
}

impl World {
    fn new(settings: CacheSettings) -> Self {
        let start = Instant::now();
        Self { cache: Cache::new(settings.max_bytes, start), start, settings }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn keep(&self, name: &str, says: &Says, seconds: f64) {
        let name: Name = name.parse().unwrap();
        self.cache.keep(&asking(&name), message(&name, says), self.at(seconds), &self.settings);
    }

    fn look(&self, name: &str, seconds: f64) -> Option<(Hit, bool)> {
        self.cache.lookup(&asking(&name.parse().unwrap()), self.at(seconds), &self.settings)
    }

    fn stale(&self, name: &str, seconds: f64) -> Option<Hit> {
        self.cache.stale(&asking(&name.parse().unwrap()), self.at(seconds), &self.settings)
    }

    fn recheck_later(&self, name: &str, seconds: f64) {
        self.cache.recheck_later(&asking(&name.parse().unwrap()), self.at(seconds));
    }
}

fn plain() -> CacheSettings {
    CacheSettings { stale: None, prefetch: None, ..CacheSettings::default() }
}

/// How long each message lives, in seconds, with the default bounds.
#[test]
fn lives() {
    let seconds = Duration::from_secs;
    let short =
        || CacheSettings { denial: (seconds(5), seconds(30)), success: (seconds(5), seconds(30)), ..plain() };
    let zones = || vec!["cluster.local.".parse().unwrap()];
    let table = [
        ("by TTL", plain(), Says::Address(300), 300),
        ("at least 5 s", plain(), Says::Address(0), 5),
        ("at most 1 h", plain(), Says::Address(1_000_000), 3600),
        ("a bound", short(), Says::Address(60), 30),
        ("by the SOA's minimum", plain(), Says::NxDomain(3600, 60), 60),
        ("by the SOA's TTL", plain(), Says::NxDomain(60, 3600), 60),
        ("at most 30 min", plain(), Says::NxDomain(9999, 9999), 1800),
        ("NODATA too", plain(), Says::NoData(3600, 77), 77),
        ("a bound for denial", short(), Says::NoData(3600, 3600), 30),
        ("SERVFAIL", plain(), Says::Servfail, 5),
        ("SERVFAIL at most 5 min", CacheSettings { failure: seconds(900), ..plain() }, Says::Servfail, 300),
        ("SERVFAIL not at all", CacheSettings { failure: seconds(0), ..plain() }, Says::Servfail, 0),
        ("no answers kept", CacheSettings { no_success: zones(), ..plain() }, Says::Address(60), 0),
        ("... but denials are", CacheSettings { no_success: zones(), ..plain() }, Says::NxDomain(60, 60), 60),
        ("no denials kept", CacheSettings { no_denial: zones(), ..plain() }, Says::NxDomain(60, 60), 0),
        ("... but answers are", CacheSettings { no_denial: zones(), ..plain() }, Says::Address(60), 60),
    ];
    for (what, settings, says, life) in table {
        let world = World::new(settings);
        world.keep("a.cluster.local.", &says, 0.0);
        let end = f64::from(life);
        assert_eq!(world.look("A.cluster.LOCAL.", (end - 0.01).max(0.0)).is_some(), life > 0, "{what}");
        assert!(world.look("a.cluster.local.", end).is_none(), "{what}");
    }
}

/// A denial shows how long it may be kept, whatever the SOA's own TTL is.
#[test]
fn the_ttl_of_a_denial_is_its_life() {
    let world = World::new(plain());
    world.keep("a.test.", &Says::NxDomain(900, 60), 0.0);
    world.keep("b.test.", &Says::NoData(60, 900), 0.0);
    world.keep("c.test.", &Says::NoData(900, 1), 0.0);
    for (name, at, shown) in
        [("a.test.", 0.0, 60), ("a.test.", 20.0, 40), ("b.test.", 59.0, 1), ("c.test.", 1.0, 4)]
    {
        assert_eq!(world.look(name, at).unwrap().0.ttls.apply(900), shown, "{name} {at}");
    }
}

#[test]
fn names_outside_its_zones_are_as_without_a_cache() {
    let zones: Vec<Name> = vec!["up.test.".parse().unwrap()];
    let short = (Duration::ZERO, Duration::from_secs(30));
    let world = World::new(CacheSettings { zones, success: short, denial: short, ..plain() });
    for (name, says, shown, kept) in [
        ("a.up.test.", Says::Address(300), 30, true),
        ("a.test.", Says::Address(300), 300, false),
        ("b.up.test.", Says::NxDomain(300, 200), 30, true),
        ("b.test.", Says::NxDomain(300, 200), 300, false),
    ] {
        let parsed: Name = name.parse().unwrap();
        let hit = world.cache.keep(&asking(&parsed), message(&parsed, &says), world.at(0.0), &world.settings);
        assert_eq!((hit.ttls.apply(300), world.look(name, 0.0).is_some()), (shown, kept), "{name}");
    }
}

#[test]
fn ttls_as_they_came() {
    let world = World::new(CacheSettings { keep_ttl: true, ..plain() });
    world.keep("a.test.", &Says::Address(300), 0.0);
    assert_eq!(world.look("a.test.", 100.0).unwrap().0.ttls.apply(300), 300);
}

/// Expired ten minutes ago: given for as long as `max_age`, with TTL 30; errors are not.
#[test]
fn stale_by_age() {
    let stale = Some(Stale { max_age: Duration::from_secs(3600), mode: StaleMode::Verify(Duration::ZERO) });
    let world = World::new(CacheSettings { stale, ..plain() });
    world.keep("a.test.", &Says::Address(60), 0.0);
    world.keep("fail.test.", &Says::Servfail, 0.0);
    assert!(world.look("a.test.", 660.0).is_none(), "asked again first");
    let hit = world.stale("a.test.", 660.0).unwrap();
    assert_eq!((hit.stale, hit.ttls.apply(60)), (true, STALE_TTL));
    assert!(world.stale("a.test.", 59.0).is_some_and(|hit| !hit.stale));
    assert!(world.stale("a.test.", 3659.0).is_some() && world.stale("a.test.", 3660.0).is_none());
    assert!(world.stale("fail.test.", 10.0).is_none());
}

/// After a failure the old answer is given at once for 30 s.
#[test]
fn stale_by_recheck() {
    let world = World::new(CacheSettings { prefetch: None, ..CacheSettings::default() });
    world.keep("a.test.", &Says::Address(60), 0.0);
    world.recheck_later("a.test.", 100.0);
    assert!(world.look("a.test.", 129.0).is_some_and(|(hit, refresh)| hit.stale && !refresh));
    assert!(world.look("a.test.", 130.0).is_none());
    world.keep("a.test.", &Says::Servfail, 200.0);
    assert!(world.look("a.test.", 201.0).is_some_and(|(hit, _)| hit.stale), "not replaced by SERVFAIL");
    world.keep("a.test.", &Says::NxDomain(60, 60), 210.0);
    assert!(world.look("a.test.", 211.0).is_some_and(|(hit, _)| !hit.stale), "replaced by a denial");
}

/// At once, and one refresh in ten seconds.
#[test]
fn stale_immediate() {
    let stale = Some(Stale { max_age: Duration::from_secs(3600), mode: StaleMode::Immediate });
    let world = World::new(CacheSettings { stale, ..plain() });
    world.keep("a.test.", &Says::Address(60), 0.0);
    let refreshes = [60.0, 60.1, 69.0, 70.0, 71.0].map(|at| world.look("a.test.", at).unwrap().1);
    assert_eq!(refreshes, [true, false, false, true, false]);
}

/// When a hit asks again: hits with their seconds, and which of them do. Life: 100 s.
#[test]
fn prefetch() {
    let table: [(u16, &[(f64, bool)]); 5] = [
        (1, &[(89.0, false), (90.0, true), (91.0, false)]),
        (2, &[(95.0, false), (96.0, true)]),
        (2, &[(85.0, false), (91.0, true), (92.0, false)]),
        (2, &[(10.0, false), (95.0, false), (96.0, true)]), // a gap of 60 s
        (3, &[(91.0, false), (92.0, false), (93.0, true)]),
    ];
    for (hits, looks) in table {
        let prefetch = Some(Prefetch { hits, ..Prefetch::default() });
        let world = World::new(CacheSettings { prefetch, ..plain() });
        world.keep("a.test.", &Says::Address(100), 0.0);
        for (at, refresh) in looks {
            assert_eq!(world.look("a.test.", *at).unwrap().1, *refresh, "{hits} {at} of {looks:?}");
        }
    }
}

/// 10,000 names of ordinary length fit into the default size, but for a few: names fall into shards at random, and one may
/// get more than its share.
#[test]
fn ten_thousand_names() {
    let world = World::new(CacheSettings::default());
    let name = |number: u32| format!("service-{number}.some-team.example-company.com.");
    (0..10_000).for_each(|number| world.keep(&name(number), &Says::Address(300), 0.0));
    let metrics = world.cache.metrics();
    assert!(metrics.success_entries >= 9_900, "{metrics:?}");
    assert!(metrics.bytes <= crate::CACHE_BYTES, "{metrics:?}");
}

/// A flood of names that are asked once does not drive out those that are asked often, nor make the cache grow.
#[test]
fn flood() {
    let world = World::new(CacheSettings { max_bytes: 512 * 1024, ..CacheSettings::default() });
    let popular = |number: u32| format!("popular-{number}.test.");
    (0..200).for_each(|number| world.keep(&popular(number), &Says::Address(3600), 0.0));
    for flood in 0..100_000_u32 {
        world.keep(&format!("{flood:x}.random.test."), &Says::NxDomain(60, 60), 1.0);
        let name = popular(flood / 10 % 200);
        if flood % 10 == 0 && world.look(&name, 1.0).is_none() {
            world.keep(&name, &Says::Address(3600), 1.0);
        }
    }
    let metrics = world.cache.metrics();
    assert!(metrics.bytes <= 512 * 1024 && metrics.evictions > 90_000, "{metrics:?}");
    let left = (0..200).filter(|number| world.look(&popular(*number), 2.0).is_some()).count();
    assert!(left >= 198, "{left} of 200 popular names are left");
}

/// What is too large for a shard is not kept.
#[test]
fn too_large() {
    let world = World::new(CacheSettings { max_bytes: 1000, ..plain() });
    world.keep("a.test.", &Says::Address(300), 0.0);
    assert!(world.look("a.test.", 1.0).is_none());
    assert_eq!(world.cache.metrics().drops, 1);
}

/// The same name again and again: one entry, and the bytes are right.
#[test]
fn replacing() {
    let world = World::new(plain());
    for number in 0..100 {
        let says = if number % 2 == 0 { Says::Address(300) } else { Says::NxDomain(60, 60) };
        world.keep("a.test.", &says, f64::from(number));
    }
    let metrics = world.cache.metrics();
    assert_eq!((metrics.success_entries, metrics.denial_entries), (0, 1));
    let one = World::new(plain());
    one.keep("a.test.", &Says::NxDomain(60, 60), 0.0);
    assert_eq!(metrics.bytes, one.cache.metrics().bytes);
}
