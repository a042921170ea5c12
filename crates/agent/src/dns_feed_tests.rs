//! Stories: changes and syncs in, what DNS is told out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::{Endpoint, IpFamily, Labels, Namespace, Pod, ServiceType, Slice};

use super::*;

/// A store, the feed, and what was told.
struct World {
    store: Store,
    feed: DnsFeed,
    told: Arc<Mutex<News>>,
}

impl World {
    fn new() -> Self {
        let told: Arc<Mutex<News>> = Arc::default();
        let to = Arc::clone(&told);
        let tell = move |mut news: News| {
            let mut told = to.lock().unwrap();
            told.updates.append(&mut news.updates);
            told.delays.append(&mut news.delays);
        };
        Self { store: Store::new("node"), feed: DnsFeed::new(Box::new(tell), None), told }
    }

    /// One that has told everything.
    fn begun(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut world = Self::new();
        world.change(changes);
        world.commit();
        world
    }

    /// Changes without the end of their fold.
    fn take(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.feed.note(&self.store, &change);
            self.store.apply(change, &mut model::Touched::default());
        }
    }

    /// Changes that come together; what is told then, sorted.
    fn change(&mut self, changes: impl IntoIterator<Item = Change>) -> Vec<String> {
        self.take(changes);
        self.feed.fold_end(&self.store);
        self.told()
    }

    /// A sync; what is told then, sorted.
    fn commit(&mut self) -> Vec<String> {
        self.feed.committed(&self.store);
        self.told()
    }

    fn told(&self) -> Vec<String> {
        let updates = std::mem::take(&mut self.told.lock().unwrap().updates);
        let mut words: Vec<String> = updates.iter().map(words).collect();
        words.sort();
        words
    }

    fn delays(&self) -> Vec<f64> {
        std::mem::take(&mut self.told.lock().unwrap().delays)
    }
}

fn words(update: &Update) -> String {
    match update {
        Update::Service(name, None) => format!("{} gone", name.name),
        Update::Service(name, Some(entry)) => {
            let endpoints: usize = entry.slices.values().map(|slice| slice.endpoints.len()).sum();
            format!("{} {endpoints}", name.name)
        }
        Update::Import(name, entry) => format!("import {} {}", name.name, entry.is_some()),
        Update::Namespace(name, now) => format!("namespace {name} {}", now.is_some()),
        Update::Pod(pod) => format!("pod {}", pod.name.name),
        Update::PodGone(name) => format!("pod {} gone", name.name),
        Update::Synced => "synced".into(),
        Update::Stale(stale) => format!("stale {stale}"),
    }
}

fn name(name: &str) -> NamespacedName {
    NamespacedName::new("ns", name)
}

fn vip(of: &str) -> Change {
    let cluster_ips = vec!["10.96.0.1".parse().unwrap()];
    Change::Service(Arc::new(Service { name: name(of), cluster_ips, ..Service::default() }))
}

fn headless(of: &str) -> Change {
    Change::Service(Arc::new(Service { name: name(of), headless: true, ..Service::default() }))
}

fn external(of: &str) -> Change {
    let external_name = Some("example.com".into());
    let kind = ServiceType::ExternalName;
    Change::Service(Arc::new(Service { name: name(of), kind, external_name, ..Service::default() }))
}

fn other_proxys(of: &str) -> Change {
    let Change::Service(service) = vip(of) else { unreachable!() };
    Change::Service(Arc::new(Service { other_proxy: true, ..(*service).clone() }))
}

fn slice(of: &str, endpoints: u8) -> Change {
    slice_named(&format!("{of}-1"), of, endpoints)
}

fn slice_named(own: &str, of: &str, endpoints: u8) -> Change {
    let endpoints = (0..endpoints).map(|n| Endpoint::new([10, 0, 0, n].into())).collect();
    Change::Slice(Arc::new(Slice { endpoints, ..Slice::new(name(own), name(of), IpFamily::V4) }))
}

fn gone(of: &str) -> Change {
    Change::ServiceGone(name(of))
}

fn slice_gone(of: &str) -> Change {
    Change::SliceGone(name(&format!("{of}-1")))
}

#[test]
fn the_first_sync_tells_everything() {
    let mut world = World::new();
    let pod = Change::Pod(Arc::new(Pod { name: name("p"), ..Pod::default() }));
    let namespace =
        Change::Namespace(Arc::new(Namespace { name: "ns".into(), labels: Labels::new([("a", "b")]) }));
    let import =
        Change::ServiceImport(Arc::new(model::ServiceImport { name: name("i"), ..Default::default() }));
    let changes = [vip("v"), headless("h"), slice("h", 2), slice("orphan", 1), pod, namespace, import];
    assert!(world.change(changes).is_empty());
    assert!(world.change([gone("h"), headless("h"), external("e")]).is_empty());
    world.feed.committed(&world.store);
    assert!(matches!(world.told.lock().unwrap().updates.last(), Some(Update::Synced)));
    assert_eq!(world.told(), ["e 0", "h 2", "import i true", "namespace ns true", "pod p", "synced", "v 0"]);
    assert!(world.commit().is_empty(), "once");
}

/// What a change brings at the end of its fold, and what with the next sync, in a world with `v` (a VIP) and `h`
/// (headless), each with a slice.
#[test]
fn what_waits_for_the_kernel() {
    type Story = (Vec<Change>, &'static [&'static str], &'static [&'static str]);
    let stories: Vec<Story> = vec![
        (vec![], &[], &[]),
        (vec![slice("h", 5)], &["h 5"], &[]),
        (vec![slice("v", 5)], &[], &["v 5"]),
        (vec![slice_gone("h")], &["h 0"], &[]),
        (vec![slice_gone("v")], &[], &["v 0"]),
        (vec![gone("h")], &["h gone"], &[]),
        (vec![gone("v")], &[], &["v gone"]),
        (vec![headless("new"), slice("new", 1)], &["new 1"], &[]),
        (vec![slice("new", 1)], &[], &[]),
        (vec![vip("new")], &[], &["new 0"]),
        (vec![external("new")], &["new 0"], &[]),
        (vec![other_proxys("new")], &["new 0"], &[]),
        (vec![vip("new"), gone("new")], &[], &[]),
        (vec![headless("new"), gone("new")], &[], &[]),
        (vec![headless("v")], &["v 1"], &[]),
        (vec![vip("h")], &[], &["h 1"]),
        (vec![gone("v"), headless("v")], &["v 1"], &[]),
        (vec![gone("h"), vip("h")], &[], &["h 1"]),
        (vec![headless("v"), gone("v")], &[], &["v gone"]),
        (vec![slice_named("h-1", "v", 3)], &["h 0"], &["v 4"]),
        (vec![slice_named("v-1", "h", 3)], &["h 4"], &["v 0"]),
        (vec![slice("h", 5), slice("v", 6), slice("h", 7)], &["h 7"], &["v 6"]),
    ];
    for (changes, at_once, later) in stories {
        let mut world = World::begun([vip("v"), slice("v", 1), headless("h"), slice("h", 1)]);
        let text = format!("{changes:?}");
        assert_eq!(world.change(changes), at_once, "{text}");
        assert_eq!(world.commit(), later, "{text}");
        assert!(world.feed.noted.is_empty() && world.feed.waiting.is_empty(), "{text}");
    }
}

#[test]
fn a_failing_kernel_holds_up_only_what_has_rules() {
    let mut world = World::begun([vip("v"), headless("h")]);
    assert!(world.change([slice("v", 1)]).is_empty());
    assert_eq!(world.change([slice("h", 1)]), ["h 1"]);
    assert!(world.change([slice("v", 2), vip("w")]).is_empty());
    assert_eq!(world.change([slice("h", 2)]), ["h 2"]);
    assert!(world.change([gone("v")]).is_empty());
    assert_eq!(world.commit(), ["v gone", "w 0"]);
    assert!(world.commit().is_empty());
}

#[test]
fn what_waits_is_bounded_by_what_there_is() {
    let mut world = World::begun([vip("v")]);
    for n in 0..1_000 {
        world.change([vip(&format!("n{n}"))]);
        world.change([gone(&format!("n{n}"))]);
        world.change([slice("v", 1), slice_gone("v")]);
    }
    assert_eq!(world.feed.waiting.len(), 1);
    assert_eq!(world.change([gone("v"), headless("v")]), ["v 0"], "it waits no more");
    assert!(world.feed.waiting.is_empty());
}

#[test]
fn a_batch_is_told_as_a_whole() {
    let mut world = World::begun([headless("h"), slice("h", 1), vip("v")]);
    assert!(world.change([Change::BatchBegins, slice_gone("h"), slice("v", 1)]).is_empty());
    assert!(world.commit().is_empty(), "a sync in between, of another engine");
    assert_eq!(world.change([slice("h", 4), Change::BatchEnds]), ["h 4"]);
    assert_eq!(world.commit(), ["v 1"]);
    let mut world = World::new();
    world.change([Change::BatchBegins, headless("h")]);
    assert!(world.commit().is_empty());
    world.change([Change::BatchEnds]);
    assert_eq!(world.commit(), ["h 0", "synced"]);
}

#[test]
fn other_kinds_wait_for_nothing() {
    let mut world = World::begun([]);
    let pod = |ip: u8| {
        Change::Pod(Arc::new(Pod { name: name("p"), ips: vec![[10, 0, 0, ip].into()], ..Pod::default() }))
    };
    let namespace = Change::Namespace(Arc::new(Namespace::new("a")));
    assert_eq!(world.change([pod(1), pod(2), namespace]), ["namespace a true", "pod p"]);
    assert_eq!(
        world.change([Change::PodGone(name("p")), Change::NamespaceGone("a".into())]),
        ["namespace a false", "pod p gone"]
    );
    let import =
        Change::ServiceImport(Arc::new(model::ServiceImport { name: name("i"), ..Default::default() }));
    let import_slice = |import: &str, for_service| {
        let slice = Slice::new(name("i-1"), name(if for_service { "v" } else { import }), IpFamily::V4);
        Change::ImportSlice(Arc::new(model::ImportSlice {
            slice: Arc::new(slice),
            import: name(import),
            cluster: "east".into(),
            for_service,
        }))
    };
    assert_eq!(world.change([import_slice("i", false)]), ["import i false"]);
    assert_eq!(world.change([import]), ["import i true"]);
    assert_eq!(world.change([import_slice("j", false)]), ["import i true", "import j false"]);
    world.change([headless("v")]);
    assert_eq!(world.change([import_slice("i", true)]), ["import i true", "import j false", "v 0"]);
    assert_eq!(world.change([Change::SliceGone(name("i-1"))]), ["import i true", "v 0"]);
    assert_eq!(world.change([Change::ServiceImportGone(name("i"))]), ["import i false"]);
}

#[test]
fn causes_are_measured_for_headless_services() {
    let mut world = World::begun([headless("h"), vip("v")]);
    let ago = |seconds: f64| Change::Trigger {
        family: IpFamily::V4,
        at_ms: ((now_seconds() - seconds) * 1000.0) as u64,
    };
    world.change([ago(2.0), slice("h", 1), ago(9.0), slice("v", 1)]);
    world.commit();
    let delays = world.delays();
    assert!(delays.len() == 1 && (2.0..8.0).contains(&delays[0]), "{delays:?}");
    world.change([slice("h", 2)]);
    assert!(world.delays().is_empty(), "no cause was told");
    world.change([ago(1.0), slice_named("h-1", "h", 3), ago(5.0), slice_named("h-2", "h", 3)]);
    let delays = world.delays();
    assert!(delays.len() == 1 && delays[0] >= 5.0, "the earliest: {delays:?}");
}

#[test]
fn a_snapshot_makes_answers_stale() {
    let mut world = World::new();
    let stale = Arc::new(AtomicBool::new(true));
    let is_stale = Arc::clone(&stale);
    world.feed.is_stale = Box::new(move || is_stale.load(Relaxed));
    assert!(world.change([vip("v")]).is_empty());
    assert_eq!(world.commit(), ["stale true", "synced", "v 0"]);
    assert!(world.change([]).is_empty(), "once");
    stale.store(false, Relaxed);
    assert_eq!(world.change([headless("h")]), ["h 0", "stale false"]);
}

#[test]
fn names_of_the_last_run_are_so_until_the_kernel_has_what_differs() {
    let mut world = World::begun([vip("v")]);
    let stale = Arc::new(AtomicBool::new(true));
    let is_stale = Arc::clone(&stale);
    world.feed.is_stale = Box::new(move || is_stale.load(Relaxed));
    assert_eq!(world.change([]), ["stale true"]);
    stale.store(false, Relaxed);
    assert_eq!(world.change([headless("h"), slice("v", 1)]), ["h 0"], "v waits for its rules");
    assert_eq!(world.commit(), ["stale false", "v 1"]);
}
