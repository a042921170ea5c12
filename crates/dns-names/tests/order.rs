//! `loadbalance`: which address comes first.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dns_wire::{Asked, Name, Reply, rtype, store};
use model::{Endpoint, EndpointDns, IpFamily, NamespacedName, Service, ServiceEntry, Slice};
use towpath_dns_names::{Ask, External, Names, Update, View};
use world::message::query;

const QUERIES: u32 = 3000;

/// The addresses of an answer in their order.
fn addresses(names: &Names, asked: &str, qtype: u16, turn: u32) -> Vec<IpAddr> {
    let asked: Name = asked.parse().unwrap();
    let message = query(&asked, qtype);
    let query = dns_wire::parse_query(&message).unwrap();
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, &query, 65_535);
    let ask = Ask { query: &query, name: query.name, own: &[], turn: Some(turn), hops: 0 };
    let zones = vec!["ext.example.".parse().unwrap()];
    let external = External { zones, headless: true, ..External::default() };
    let view = View { zonal: true, ..View::default() };
    if asked.as_ref().ends_with(external.zones[0].as_ref()) {
        names.external(&view, &external, &ask, &mut reply);
    } else {
        names.answer(&view, &ask, &mut reply);
    }
    reply.finish();
    let stored = store(&out, &Asked { id: 7, question: query.question }).unwrap();
    let ip = |data: &[u8]| match data.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()),
        _ => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()),
    };
    stored.answers().map(|record| ip(&record.data)).collect()
}

/// Endpoints: address, hostname, topology zone; with a minus in front, not ready.
fn slice(own: &str, family: IpFamily, endpoints: &[(&str, &str, &str)]) -> Arc<Slice> {
    let endpoint = |&(ip, hostname, zone): &(&str, &str, &str)| {
        let mut endpoint = Endpoint::new(ip.trim_start_matches('-').parse().unwrap());
        endpoint.conditions.ready = !ip.starts_with('-');
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        endpoint.dns = EndpointDns { hostname: text(hostname), pod: None, zone: text(zone) }.boxed();
        endpoint
    };
    let name = |name: &str| NamespacedName::new("data", name);
    let mut slice = Slice::new(name(own), name("db"), family);
    slice.endpoints = endpoints.iter().map(endpoint).collect();
    Arc::new(slice)
}

fn apply(names: &mut Names, service: Service, slices: &[Arc<Slice>]) {
    let slices: BTreeMap<_, _> = slices.iter().map(|s| (Arc::clone(&s.name.name), Arc::clone(s))).collect();
    let name = service.name.clone();
    let entry = ServiceEntry { service: Some(Arc::new(service)), slices };
    names.apply(Update::Service(name, Some(Arc::new(entry))));
}

fn cluster() -> Names {
    let mut names = Names::new();
    names.apply(Update::Synced);
    let db = Service { name: NamespacedName::new("data", "db"), headless: true, ..Service::default() };
    let slices = [
        slice("a", IpFamily::V4, &[("-10.0.0.8", "", "x"), ("-10.0.0.9", "", "x"), ("10.0.0.1", "h", "x")]),
        slice("b", IpFamily::V6, &[("fd00::1", "h", "x"), ("fd00::2", "", "y"), ("fd00::3", "", "y")]),
        slice("c", IpFamily::V4, &[("10.0.0.2", "h", "y"), ("-10.0.0.7", "", "y"), ("10.0.0.3", "", "x")]),
        slice("d", IpFamily::V4, &[("-10.0.0.6", "", "x")]),
    ];
    apply(&mut names, db, &slices);
    let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let web = Service {
        name: NamespacedName::new("data", "web"),
        cluster_ips: ips(&["10.96.0.1", "fd00::96"]),
        external_ips: ips(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        load_balancer_ips: ips(&["192.0.2.3", "2001:db8::2"]),
        ..Service::default()
    };
    apply(&mut names, web, &[]);
    names
}

#[test]
fn each_address_comes_first_equally_often() {
    let names = cluster();
    let table: [(&str, u16, usize); 9] = [
        ("db.data.svc.cluster.local.", rtype::A, 3),
        ("db.data.svc.cluster.local.", rtype::AAAA, 3),
        ("h.db.data.svc.cluster.local.", rtype::A, 2),
        ("h.db.data.svc.cluster.local.", rtype::AAAA, 1),
        ("x.pin._zone.db.data.svc.cluster.local.", rtype::A, 2),
        ("z.prefer._zone.db.data.svc.cluster.local.", rtype::A, 3),
        ("web.data.svc.cluster.local.", rtype::A, 1),
        ("web.data.ext.example.", rtype::A, 3),
        ("db.data.ext.example.", rtype::AAAA, 3),
    ];
    for (asked, qtype, count) in table {
        // A and AAAA in pairs; behind a search path; each alone.
        for step in [2, 10, 1] {
            let mut firsts: BTreeMap<IpAddr, usize> = BTreeMap::new();
            for number in 0..QUERIES {
                let mut order = addresses(&names, asked, qtype, number * step);
                *firsts.entry(order[0]).or_default() += 1;
                order.sort();
                order.dedup();
                assert_eq!(order.len(), count, "{asked}: all, each once");
            }
            let share = QUERIES as usize / count;
            let even = firsts.values().all(|times| times.abs_diff(share) < share / 6);
            assert!(even && firsts.len() == count, "{asked} step {step}: {firsts:?}");
        }
    }
}

#[test]
fn each_of_many_comes_first_and_nothing_is_lost() {
    let names = world::index(&world::fixtures(), true);
    let mut firsts = std::collections::BTreeSet::new();
    for turn in 0..1000 {
        let order = addresses(&names, "wide.data.svc.cluster.local.", rtype::A, turn);
        assert_eq!(order.iter().collect::<std::collections::BTreeSet<_>>().len(), 40);
        firsts.insert(order[0]);
    }
    assert_eq!(firsts.len(), 40);
}
