//! What is noted, and what it costs at the most.

use std::time::{Duration, Instant, SystemTime};

use dataplane::{FullReport, Summary, SyncReport};
use model::{Cause, Change, IpFamily};
use resolve::LocalView;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn service(name: &str) -> NamespacedName {
    NamespacedName::new("default", name)
}

fn cause(kind: &'static str, name: &str, received: Instant) -> Change {
    let (name, version) = (service(name), Some("7".into()));
    Change::Cause(Box::new(Cause { kind, name, version, gone: false, received }))
}

fn report(services: &[&str], writes: usize) -> SyncReport {
    let lines = (0..writes.min(Summary::LINES)).map(|i| format!("+ object {i}")).collect();
    SyncReport {
        writes,
        services: services.iter().map(|name| (service(name), LocalView::default())).collect(),
        plan: Summary { created: writes, lines, ..Summary::default() },
        ..SyncReport::default()
    }
}

struct Under {
    trail: Arc<Trail>,
    waiting: Waiting,
    now: Moment,
}

impl Under {
    fn keeping(capacity: usize) -> Self {
        let trail = Arc::new(Trail::default());
        trail.keep(capacity);
        let clock = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_262_400_500);
        let now = Moment { clock, instant: Instant::now() };
        Self { waiting: Waiting::new(Arc::clone(&trail)), trail, now }
    }

    fn note(&mut self, change: Change) -> bool {
        self.waiting.note(change).is_some()
    }

    /// A cause, and the change that it is about.
    fn object(&mut self, cause: Change) {
        self.note(cause);
        self.note(Change::NodeGone("another".into()));
    }

    fn commit(&mut self, services: &[&str], writes: usize) {
        self.waiting.committed(&report(services, writes), MS, false, self.now);
    }

    fn all(&self) -> Vec<Arc<Entry>> {
        self.trail.last(None, usize::MAX).entries
    }

    fn because(&self) -> Vec<String> {
        let words = |entry: &Arc<Entry>| {
            entry.because.iter().map(|because| because.as_str()).collect::<Vec<_>>().join(" ")
        };
        self.all().iter().map(words).collect()
    }
}

#[test]
fn an_entry_says_what_changed_what_it_meant_and_how_long_it_took() {
    let mut under = Under::keeping(10);
    let received = under.now.instant - 3 * MS;
    assert!(!under.note(cause("EndpointSlice", "web-abc", received)), "it is for the trail alone");
    assert!(under.note(Change::Trigger { family: IpFamily::V4, at_ms: 1_795_262_400_250 }));
    under.waiting.idle();
    assert_eq!(under.all(), [], "its change has not come yet");
    assert!(under.note(Change::SliceGone(service("web-abc"))));
    under.object(cause("Service", "api", received));
    // The change of this one comes after the sync.
    under.note(cause("Service", "late", received));
    under.commit(&["web", "api"], 3);
    let found = under.trail.last(Some(&service("web")), 5);
    let json: serde_json::Value = serde_json::from_str(&TrailView::new(&found).json()).unwrap();
    let expected = serde_json::json!({
        "kept": 1, "capacity": 10, "total": 1,
        "entries": [{
            "number": 1, "at": "2026-11-21T12:00:00.500Z", "because": ["objects"], "full": false, "tries": 1,
            "objects": [
                {"kind": "EndpointSlice", "namespace": "default", "name": "web-abc", "resourceVersion": "7",
                 "deleted": false, "seconds": 0.003, "triggerSeconds": 0.25},
                {"kind": "Service", "namespace": "default", "name": "api", "resourceVersion": "7",
                 "deleted": false, "seconds": 0.003},
            ],
            "moreObjects": 0, "services": ["default/web", "default/api"], "moreServices": 0,
            "created": 3, "updated": 0, "deleted": 0, "rules": ["+ object 0", "+ object 1", "+ object 2"],
            "moreRules": 0, "syncSeconds": 0.001,
        }],
    });
    assert_eq!(json, expected);
    let text = found.text();
    for line in [
        "# 1 of 1 entries, at most 10 are kept; 1 since the start",
        "2026-11-21T12:00:00.500Z  #1  objects: 3 created, 0 changed, 0 removed in the kernel for default/web, default/api, sync 1.00 ms",
        "  EndpointSlice default/web-abc at 7, 3.00 ms ago (250 ms since its trigger)",
        "    + object 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in:\n{text}");
    }
    assert_eq!(under.trail.last(Some(&service("other")), 5).entries, []);
}

#[test]
fn schema_of_the_trail() {
    testkit::schema::current::<TrailView>("audit").unwrap();
}

#[test]
fn why_there_was_a_sync() {
    let mut under = Under::keeping(20);
    let object = |under: &mut Under| under.object(cause("Node", "n", under.now.instant));
    under.waiting.because(Because::Start);
    object(&mut under);
    under.commit(&[], 5);
    under.waiting.because(Because::Settings);
    object(&mut under);
    under.commit(&[], 0);
    under.note(Change::KernelAddresses(Vec::new()));
    under.commit(&[], 1);
    // An address that means nothing, and a comparison that finds nothing, are no news.
    under.note(Change::KernelAddresses(Vec::new()));
    under.commit(&[], 0);
    let drift = Summary { deleted: 1, ..Summary::default() };
    let full = |drift: &Summary| Some(FullReport { observed: 9, drift: drift.clone() });
    under.waiting.committed(
        &SyncReport { full: full(&Summary::default()), ..report(&[], 0) },
        MS,
        true,
        under.now,
    );
    under.waiting.committed(&SyncReport { full: full(&drift), ..report(&[], 1) }, MS, true, under.now);
    under.waiting.committed(&SyncReport { full: full(&drift), ..report(&[], 1) }, MS, false, under.now);
    let mut because = under.because();
    because.reverse();
    assert_eq!(because, ["start", "objects settings", "addresses", "repair", "comparison"]);
}

#[test]
fn a_failure_is_one_entry_and_its_causes_wait() {
    let mut under = Under::keeping(10);
    under.object(cause("Service", "web", under.now.instant));
    for _ in 0..3 {
        under.waiting.failed("no room", MS, under.now);
    }
    under.object(cause("Service", "api", under.now.instant));
    under.waiting.failed("no room", MS, under.now);
    under.commit(&["web", "api"], 2);
    let all = under.all();
    let of = |entry: &Entry| (entry.objects.len(), entry.tries, entry.error.is_some(), entry.writes());
    let found: Vec<_> = all.iter().map(|entry| of(entry)).collect();
    assert_eq!(found, [(2, 1, false, 2), (2, 1, true, 0), (1, 3, true, 0)]);
    assert_eq!(under.because()[0], "objects retry");
    under.object(cause("Service", "web", under.now.instant));
    under.commit(&["web"], 1);
    assert_eq!(under.because()[0], "objects");
}

#[test]
fn what_leads_to_no_sync_is_noted_once_its_batch_is_complete() {
    let mut under = Under::keeping(10);
    under.note(Change::BatchBegins);
    under.object(cause("ServiceImport", "web", under.now.instant));
    under.waiting.idle();
    assert_eq!(under.all(), []);
    under.note(Change::BatchEnds);
    under.waiting.idle();
    under.waiting.idle();
    assert_eq!(
        under.all().iter().map(|entry| (entry.objects.len(), entry.writes())).collect::<Vec<_>>(),
        [(1, 0)]
    );
    under.object(cause("Pod", "web-1", under.now.instant));
    under.waiting.idle();
    assert_eq!(under.all().len(), 1, "pods are none of the rules'");
}

#[test]
fn an_entry_and_the_trail_are_bounded() {
    let mut under = Under::keeping(10);
    let names: Vec<String> = (0..SERVICES + 10).map(|i| format!("s{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..OBJECTS + 5 {
        under.object(cause("Service", "web", under.now.instant));
    }
    let mut large = report(&names, 500);
    large.plan.lines[0] = "é".repeat(10_000);
    under.waiting.committed(&large, MS, false, under.now);
    let entry = under.all()[0].clone();
    assert_eq!((entry.objects.len(), entry.more_objects), (OBJECTS, 5));
    assert_eq!((entry.services.len(), entry.more_services), (SERVICES, 10));
    assert_eq!((entry.lines.len(), entry.writes()), (LINES, 500));
    assert_eq!(entry.lines[0].chars().count(), LINE + 3);
    for _ in 0..20 {
        under.object(cause("Service", "web", under.now.instant));
        under.commit(&["web"], 1);
    }
    let found = under.trail.last(None, 3);
    assert_eq!((found.entries.len(), found.kept, found.total), (3, 10, 21));
    assert_eq!(found.entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [21, 20, 19]);
    under.trail.keep(2);
    assert_eq!(under.all().len(), 2);
}

#[test]
fn large_entries_go_sooner() {
    let mut under = Under::keeping(10_000);
    let names: Vec<String> = (0..SERVICES).map(|i| format!("{i}{}", "x".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..200 {
        under.object(cause("Service", "web", under.now.instant));
        under.commit(&names, 1);
    }
    let (kept, bytes) = (under.all().len(), under.all().iter().map(|entry| entry.bytes()).sum::<usize>());
    assert!((10..200).contains(&kept) && bytes <= BYTES, "{kept} entries, {bytes} bytes");
}

#[test]
fn nothing_is_kept_when_it_is_off() {
    let mut under = Under::keeping(0);
    under.object(cause("Service", "web", under.now.instant));
    under.waiting.failed("no room", MS, under.now);
    under.commit(&["web"], 1);
    assert!(!under.trail.is_on() && under.all().is_empty());
}

#[test]
fn a_version_that_is_no_version_is_not_kept() {
    let mut under = Under::keeping(10);
    for version in ["12\n2026 forged", "", &"9".repeat(100)] {
        let (name, received) = (service("web"), under.now.instant);
        let version = Some(version.into());
        under.object(Change::Cause(Box::new(Cause { kind: "Service", name, version, gone: true, received })));
    }
    under.commit(&[], 0);
    let versions: Vec<_> = under.all()[0].objects.iter().map(|object| object.cause.version.clone()).collect();
    assert_eq!(versions, [None, Some("".into()), None]);
}

#[test]
fn what_goes_gives_back_what_it_took() {
    let mut under = Under::keeping(3);
    for i in 0..50 {
        under.object(cause("Service", "web", under.now.instant));
        for _ in 0..3 {
            under.waiting.failed(&format!("{i} {}", "no room ".repeat(100)), MS, under.now);
        }
        under.commit(&["web"], 1);
    }
    let sum: usize = under.all().iter().map(|entry| entry.bytes()).sum();
    assert_eq!(under.trail.ring().bytes, sum);
}
