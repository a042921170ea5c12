//! What a change costs, and what is answered right after it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::sync::Arc;

use model::{Namespace, Service, Slice};
use towpath_dns_names::{Names, PodNames, Selector, Update, View};
use world::made::{cluster, entry, headless, set, slice};
use world::message::{Said, Server};

fn synced() -> Names {
    let mut names = Names::new();
    names.apply(Update::Synced);
    names
}

fn ask(names: &Names, view: &View, name: &str, qtype: &str) -> Said {
    Server { names, view, external: None, own: &[], limit: 65_535 }.ask(name, qtype).1
}

fn arpa_view() -> View {
    let zones = ["cluster.local.", "in-addr.arpa."].map(|zone| zone.parse().unwrap());
    View { zones: zones.into(), ..View::default() }
}

/// The last words of the answers, sorted.
fn data(said: &Said) -> Vec<&str> {
    said.answer.iter().map(|line| line.rsplit(' ').next().unwrap()).collect()
}

#[test]
fn a_change_costs_what_it_touches() {
    let service = headless("data/big");
    let mut slices: Vec<_> = (0..50)
        .map(|number| {
            let ips: Vec<_> = (0..100).map(|at| ("", i64::from(number * 100 + at))).collect();
            slice("data/big", &format!("big-{number:02}"), &ips)
        })
        .collect();
    let mut names = synced();
    set(&mut names, &service, &slices);
    let before = names.stats();
    assert_eq!((before.endpoints, before.addresses, before.endpoints_indexed), (5000, 5000, 5000));

    let replaced: Vec<_> = (0..100).map(|at| ("", 700 + at)).chain([("", 9000)]).collect();
    slices[7] = slice("data/big", "big-07", &replaced);
    set(&mut names, &service, &slices);
    let after = names.stats();
    assert_eq!(after.endpoints_indexed - before.endpoints_indexed, 100 + 101);
    assert_eq!((after.endpoints, after.addresses), (5001, 5001));

    let view = arpa_view();
    let asked = ask(&names, &view, "10-0-35-40.big.data.svc.cluster.local.", "A");
    assert_eq!(data(&asked), ["10.0.35.40"]);
    let pointer = ask(&names, &view, "40.35.0.10.in-addr.arpa.", "PTR");
    assert_eq!(data(&pointer), ["10-0-35-40.big.data.svc.cluster.local."]);

    names.apply(Update::Service(service.name.clone(), None));
    let gone = names.stats();
    assert_eq!((gone.services, gone.endpoints, gone.addresses), (0, 0, 0));
}

#[test]
fn an_address_in_two_slices_is_one_record() {
    let view = arpa_view();
    let service = headless("data/db");
    let first = |ips: &[(&str, i64)]| slice("data/db", "a", ips);
    let second = |ips: &[(&str, i64)]| slice("data/db", "b", ips);
    let both = [("x", 1)];
    let steps: [(Vec<Arc<Slice>>, &[&str]); 5] = [
        (vec![first(&[("x", 1), ("y", 2)]), second(&[])], &["10.0.0.1", "10.0.0.2"]),
        (vec![first(&[("x", 1), ("y", 2)]), second(&both)], &["10.0.0.1", "10.0.0.2"]),
        (vec![first(&[("y", 2)]), second(&both)], &["10.0.0.1", "10.0.0.2"]),
        (vec![first(&[("y", 2)]), second(&[])], &["10.0.0.2"]),
        (vec![first(&[]), second(&both)], &["10.0.0.1"]),
    ];
    let mut names = synced();
    for (slices, want) in steps {
        set(&mut names, &service, &slices);
        let said = ask(&names, &view, "db.data.svc.cluster.local.", "A");
        assert_eq!((&*said.rcode, data(&said)), ("NOERROR", want.to_vec()));
        let records = ask(&names, &view, "db.data.svc.cluster.local.", "SRV");
        assert_eq!((records.answer.len(), records.additional.len()), (want.len(), want.len()));
        let x = ask(&names, &view, "1.0.0.10.in-addr.arpa.", "PTR");
        assert_eq!(x.rcode == "NOERROR", want.contains(&"10.0.0.1"));
    }
}

#[test]
fn an_endpoint_is_answered_as_soon_as_it_is_ready() {
    let (mut names, view, service) = (synced(), View::default(), headless("data/db"));
    let asked = "db-2.db.data.svc.cluster.local.";
    set(&mut names, &service, &[slice("data/db", "a", &[("db-0", 30), ("db-2", -32)])]);
    assert_eq!(ask(&names, &view, asked, "A").rcode, "NXDOMAIN");
    set(&mut names, &service, &[slice("data/db", "a", &[("db-0", 30), ("db-2", 32)])]);
    assert_eq!(data(&ask(&names, &view, asked, "A")), ["10.0.0.32"]);
}

#[test]
fn a_namespace_comes_and_goes() {
    let (mut names, view) = (synced(), View::default());
    let (service, namespace) = (cluster("new/web", "10.96.0.9"), Arc::new(Namespace::new("new")));
    let both = |names: &Names| {
        ["new.svc.cluster.local.", "web.new.svc.cluster.local."].map(|name| {
            let said = ask(names, &view, name, "A");
            (said.rcode, said.answer.len())
        })
    };
    let words = |rcode: &str, answers| (rcode.to_owned(), answers);
    assert_eq!(both(&names), [words("NXDOMAIN", 0), words("NXDOMAIN", 0)]);
    names.apply(Update::Namespace("new".into(), Some(namespace)));
    assert_eq!(both(&names), [words("NOERROR", 0), words("NXDOMAIN", 0)]);
    set(&mut names, &service, &[]);
    assert_eq!(both(&names), [words("NOERROR", 0), words("NOERROR", 1)]);
    names.apply(Update::Service(service.name.clone(), None));
    names.apply(Update::Namespace("new".into(), None));
    assert_eq!(both(&names), [words("NXDOMAIN", 0), words("NXDOMAIN", 0)]);
}

/// The events of a namespace and of what is in it come in any order.
#[test]
fn a_deleted_namespace_takes_its_names_along() {
    let view = View { pods: PodNames::Insecure, ..arpa_view() };
    let table = [
        ("new.svc.cluster.local.", "A"),
        ("web.new.svc.cluster.local.", "A"),
        ("1-2-3-4.new.pod.cluster.local.", "A"),
        ("9.0.96.10.in-addr.arpa.", "PTR"),
    ];
    let codes = |names: &Names| table.map(|(name, qtype)| ask(names, &view, name, qtype).rcode);
    let (service, namespace) = (cluster("new/web", "10.96.0.9"), Arc::new(Namespace::new("new")));
    let mut names = synced();
    // Namespaces that nobody tells of are there as long as something is in them.
    set(&mut names, &service, &[]);
    assert_eq!(codes(&names), ["NOERROR"; 4]);
    names.apply(Update::Namespace("new".into(), None));
    assert_eq!(codes(&names), ["NOERROR"; 4]);
    for _ in 0..2 {
        names.apply(Update::Namespace("new".into(), Some(Arc::clone(&namespace))));
        assert_eq!(codes(&names), ["NOERROR"; 4]);
        names.apply(Update::Namespace("new".into(), None));
        assert_eq!(codes(&names), ["NXDOMAIN"; 4]);
        set(&mut names, &service, &[]);
        assert_eq!(codes(&names), ["NXDOMAIN"; 4]);
    }
    names.apply(Update::Service(service.name.clone(), None));
    assert_eq!((codes(&names), names.stats()), (["NXDOMAIN"; 4].map(str::to_owned), synced().stats()));
    set(&mut names, &service, &[]);
    assert_eq!(codes(&names), ["NOERROR"; 4]);
}

#[test]
fn until_all_is_known_only_hits_are_answered() {
    let (mut names, view) = (Names::new(), View::default());
    set(&mut names, &cluster("shop/web", "10.96.0.9"), &[]);
    let rcode = |names: &Names, name: &str| ask(names, &view, name, "A").rcode;
    assert_eq!(rcode(&names, "web.shop.svc.cluster.local."), "NOERROR");
    assert_eq!(rcode(&names, "none.shop.svc.cluster.local."), "SERVFAIL");
    names.apply(Update::Synced);
    assert_eq!(rcode(&names, "none.shop.svc.cluster.local."), "NXDOMAIN");
}

#[test]
fn the_serial_grows_with_each_change() {
    let mut names = Names::new();
    let start = names.serial();
    let mut seen = vec![start];
    for number in 0..3 {
        let service = cluster("shop/web", &format!("10.96.0.{number}"));
        names.apply_at(Update::Service(service.name.clone(), Some(entry(&service, &[]))), start);
        seen.push(names.serial());
    }
    assert_eq!(seen, [start, start + 1, start + 2, start + 3]);
    names.apply_at(Update::Synced, start + 100);
    assert_eq!(names.serial(), start + 3, "nothing changed");
    names.apply_at(Update::Namespace("a".into(), Some(Arc::new(Namespace::new("a")))), start + 100);
    assert_eq!(names.serial(), start + 100);
    // Changes that nobody saw do not make the serial run ahead of the time.
    for number in 0..1000 {
        let service = cluster("shop/web", &format!("10.96.1.{}", number % 256));
        names.apply_at(Update::Service(service.name.clone(), Some(entry(&service, &[]))), start + 100);
    }
    assert_eq!(names.serial(), start + 101);
    // The clock went back.
    names.apply_at(Update::Namespace("a".into(), None), start);
    assert_eq!(names.serial(), start + 102);
}

#[test]
fn selected_labels_hide_services_and_slices() {
    let mut service = Service::clone(&headless("data/db"));
    service.labels = model::Labels::new([("app", "db")]);
    let service = Arc::new(service);
    let mut shown = Slice::clone(&slice("data/db", "a", &[("", 1)]));
    shown.labels = service.labels.clone();
    let mut names = synced();
    set(&mut names, &service, &[Arc::new(shown), slice("data/db", "b", &[("", 1), ("", 2)])]);
    set(&mut names, &cluster("data/web", "10.96.0.1"), &[]);
    let labels: Option<Selector> = Some("app=db".parse().unwrap());
    let view = View { labels, ..arpa_view() };
    let table = [
        ("db.data.svc.cluster.local.", "A", vec!["10.0.0.1"]),
        ("10-0-0-1.db.data.svc.cluster.local.", "A", vec!["10.0.0.1"]),
        ("web.data.svc.cluster.local.", "A", vec![]),
        ("1.0.96.10.in-addr.arpa.", "PTR", vec![]),
        ("1.0.0.10.in-addr.arpa.", "PTR", vec!["10-0-0-1.db.data.svc.cluster.local."]),
        ("2.0.0.10.in-addr.arpa.", "PTR", vec![]),
    ];
    for (name, qtype, want) in table {
        let said = ask(&names, &view, name, qtype);
        assert_eq!(data(&said), want, "{name}");
        assert_eq!(said.rcode == "NXDOMAIN", want.is_empty(), "{name}");
    }
}
