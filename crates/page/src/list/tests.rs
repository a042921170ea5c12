use std::sync::Arc;

use model::{Endpoint, Protocol, Slice, SlicePort};

use super::*;
use crate::Catalogue;

fn entry(n: usize) -> Entry {
    let port = ServicePort {
        name: "http".into(),
        protocol: if n.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp },
        port: 80,
        node_port: if n.is_multiple_of(3) { 30_000 + n as u16 } else { 0 },
    };
    let service = Service {
        name: NamespacedName::new(if n < 5 { "kube-system" } else { "shop" }, format!("s{n:03}")),
        kind: if n.is_multiple_of(3) { ServiceType::NodePort } else { ServiceType::ClusterIp },
        cluster_ips: vec![format!("10.96.0.{n}").parse().unwrap(), format!("fd00::{n:x}").parse().unwrap()],
        ports: vec![port],
        ..Service::default()
    };
    let slices = Arc::new([Arc::new(slice(&service.name, n))]);
    Entry { service: Arc::new(service), slices, usable: (n % 7) as u32, known: 7 }
}

fn slice(service: &NamespacedName, n: usize) -> Slice {
    let addresses = [format!("10.244.{n}.1"), format!("10.244.{n}.11")];
    Slice {
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: addresses.iter().map(|ip| Endpoint::new(ip.parse().unwrap())).collect(),
        ..Slice::new(service.clone(), service.clone(), IpFamily::V4)
    }
}

fn catalogue(count: usize) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for n in 0..count {
        let entry = entry(n);
        catalogue.set(entry.service.name.clone(), Some(entry));
    }
    catalogue
}

fn ask(catalogue: &Catalogue, query: &str, sort: &str, page: &str, marks: &Marks) -> ListView {
    let search = Search::new(Some(query.into()), Some(sort), Some(page));
    list(&search, marks, |after| catalogue.after(after, 7))
}

fn names(view: &ListView) -> Vec<&str> {
    view.rows.iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn searches() {
    let catalogue = catalogue(10);
    for (query, expected) in [
        ("", vec!["s000", "s001", "s002", "s003", "s004", "s005", "s006", "s007", "s008", "s009"]),
        ("kube-system", vec!["s000", "s001", "s002", "s003", "s004"]),
        ("SHOP/s007", vec!["s007"]),
        ("shop nodeport", vec!["s006", "s009"]),
        ("10.96.0.3", vec!["s003"]),
        ("fd00::9", vec!["s009"]),
        (":30006", vec!["s006"]),
        ("/udp shop", vec!["s005", "s007", "s009"]),
        ("  s001   http ", vec!["s001"]),
        // As the list shows them.
        ("10.96.0.3:80/udp", vec!["s003"]),
        ("[fd00::4]:80/tcp", vec!["s004"]),
        ("node:30006/tcp", vec!["s006"]),
        // Endpoints, whole.
        ("10.244.3.1", vec!["s003"]),
        ("10.244.3.11:8080", vec!["s003"]),
        ("10.244.3.11:8080/tcp http", vec!["s003"]),
        ("10.244.3.11:8081", vec![]),
        ("10.244.3", vec![]),
        ("<script>", vec![]),
    ] {
        let view = ask(&catalogue, query, "", "", &Marks::default());
        assert_eq!(names(&view), expected, "{query}");
        assert_eq!((view.matched, view.total, view.pages), (expected.len(), 10, 1));
    }
}

#[test]
fn orders() {
    let catalogue = catalogue(9);
    let marks: Marks =
        [("shop/s006".to_owned(), 2), ("kube-system/s002".to_owned(), 1)].into_iter().collect();
    for (sort, first) in [
        ("name", ["s000", "s001", "s002"]),
        ("type", ["s001", "s002", "s004"]),
        ("endpoints", ["s000", "s007", "s001"]),
        ("problems", ["s006", "s002", "s000"]),
        ("nonsense", ["s000", "s001", "s002"]),
    ] {
        let view = ask(&catalogue, "", sort, "", &marks);
        assert_eq!(names(&view)[..3], first, "{sort}");
    }
}

#[test]
fn parts() {
    let catalogue = catalogue(250);
    for (page, first, count, shown) in [
        ("", "s000", 100, 1),
        ("1", "s000", 100, 1),
        ("3", "s200", 50, 3),
        ("99", "s200", 50, 3),
        ("-1", "s000", 100, 1),
        ("0", "s000", 100, 1),
    ] {
        let view = ask(&catalogue, "", "", page, &Marks::default());
        assert_eq!((names(&view)[0], view.rows.len(), view.page), (first, count, shown), "{page}");
        assert_eq!((view.pages, view.matched), (3, 250));
    }
    let none = ask(&Catalogue::default(), "a", "", "", &Marks::default());
    assert_eq!((none.pages, none.page, none.rows.len()), (1, 1, 0));
}

#[test]
fn a_row_says_where_a_service_is() {
    let view = ask(&catalogue(4), "s003", "", "", &Marks::default());
    let row = &view.rows[0];
    assert_eq!(row.frontends, ["10.96.0.3:80/udp", "[fd00::3]:80/udp", "node:30003/udp"]);
    assert_eq!((row.kind, row.usable, row.known, row.proxied), ("NodePort", 3, 7, true));
    assert_eq!((row.internal_policy, row.external_policy), ("Cluster", Some("Cluster")));
    let long = Search::new(Some("x".repeat(5_000)), None, None);
    assert_eq!(long.query.len(), MAX_QUERY);
}

#[test]
fn endpoints_are_counted_as_they_come_and_go() {
    let mut catalogue = catalogue(10);
    assert_eq!(catalogue.endpoints(), 20);
    let mut changed = entry(3);
    changed.slices = Arc::default();
    catalogue.set(changed.service.name.clone(), Some(changed));
    catalogue.set(entry(4).service.name.clone(), None);
    catalogue.set(entry(44).service.name.clone(), None);
    assert_eq!((catalogue.len(), catalogue.endpoints()), (9, 16));
}
