use std::fmt::Write;

use model::{Change, Conditions, Endpoint, IpFamily, Service, ServicePort, Slice, SlicePort, Store, Touched};
use resolve::{ProxyConfig, resolve};

use super::*;

fn name() -> NamespacedName {
    NamespacedName::new("ns", "web")
}

/// Ports 80 and 81 lead to port 8080 of the endpoints, port 53 of UDP to 5353.
fn service(deadline: Option<u64>) -> Change {
    let port = |name: &str, protocol, port| ServicePort { name: name.into(), protocol, port, node_port: 0 };
    Change::Service(Arc::new(Service {
        name: name(),
        cluster_ips: vec!["10.96.0.1".parse().unwrap()],
        drain_deadline: deadline.map(Duration::from_secs),
        ports: vec![port("a", Protocol::Tcp, 80), port("b", Protocol::Tcp, 81), port("d", Protocol::Udp, 53)],
        ..Service::default()
    }))
}

/// Endpoints by their last byte: `1` is ready, `1-` not ready, `1t` terminates and serves, `1x` only terminates.
fn slice(endpoints: &str) -> Change {
    let endpoint = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (last, how) = text.split_at(end);
        let conditions = Conditions {
            ready: how.is_empty(),
            serving: how.is_empty() || how == "t",
            terminating: how > "-",
        };
        let ip = [10, 0, 0, last.parse().unwrap()].into();
        Endpoint { conditions, ..Endpoint::new(ip) }
    };
    let port = |name: &str, protocol, port| SlicePort { name: name.into(), protocol, port };
    Change::Slice(Arc::new(Slice {
        ports: vec![
            port("a", Protocol::Tcp, 8080),
            port("b", Protocol::Tcp, 8080),
            port("d", Protocol::Udp, 5353),
        ],
        endpoints: endpoints.split_whitespace().map(endpoint).collect(),
        ..Slice::new(NamespacedName::new("ns", "web-x"), name(), IpFamily::V4)
    }))
}

/// What a change means, TCP's part of it in words.
fn told(tracker: &mut DrainTracker, store: &mut Store, change: Change) -> String {
    store.apply(change, &mut Touched::default());
    let routes = resolve(store, &ProxyConfig::default(), &name()).routes;
    let (mut text, mut udp) = (String::new(), 0);
    for news in tracker.update(&name(), &routes) {
        let (word, who, frontends) = match news {
            DrainNews::Left { who, frontends, before: false, .. } => ("left", who, frontends.len()),
            DrainNews::Left { who, frontends, before: true, .. } => ("over", who, frontends.len()),
            DrainNews::Back(who) => ("back", who, 3),
            DrainNews::Deadline(_, deadline) => {
                write!(text, "deadline {:?} ", deadline.map(|d| d.as_secs())).unwrap();
                continue;
            }
        };
        assert_eq!(frontends, 3);
        if who.protocol == Protocol::Udp {
            udp += 1;
        } else {
            udp -= 1;
            write!(text, "{word} {} ", who.endpoint).unwrap();
        }
    }
    assert_eq!(udp, 0, "UDP has the same endpoints");
    text.trim_end().to_owned()
}

#[test]
fn only_what_terminates_or_is_in_no_slice_has_left() {
    let (mut tracker, mut store) = (DrainTracker::default(), Store::new("node"));
    let mut step = |change, want: &str| assert_eq!(told(&mut tracker, &mut store, change), want);
    step(slice("1 2 3"), "");
    step(service(Some(30)), "deadline Some(30) back 10.0.0.1:8080 back 10.0.0.2:8080 back 10.0.0.3:8080");
    step(slice("1 2 3"), "");
    step(slice("1- 2 3"), "");
    step(slice("1- 2t 3"), "left 10.0.0.2:8080");
    step(slice("1 2x 3"), "");
    step(slice("1 3"), "over 10.0.0.2:8080");
    step(slice("1 4"), "back 10.0.0.4:8080 left 10.0.0.3:8080");
    step(slice("1t 4x"), "left 10.0.0.1:8080 left 10.0.0.4:8080");
    step(slice("1 4x"), "back 10.0.0.1:8080");
    step(service(Some(20)), "deadline Some(20)");
    step(Change::ServiceGone(name()), "left 10.0.0.1:8080 over 10.0.0.4:8080");
    step(slice("1"), "");
    step(service(Some(20)), "deadline Some(20) back 10.0.0.1:8080");
    step(service(None), "deadline None");
    step(slice("2t"), "");
    step(service(Some(0)), "deadline Some(0) left 10.0.0.2:8080");
}

#[test]
fn a_start_asks_for_what_no_slice_has() {
    let (mut tracker, mut store) = (DrainTracker::default(), Store::new("node"));
    told(&mut tracker, &mut store, slice("1 2t"));
    assert_eq!(tracker.all(), []);
    told(&mut tracker, &mut store, service(Some(30)));
    let [check] = &tracker.all()[..] else { panic!("{:?}", tracker.all()) };
    let known: Vec<String> = check.known.iter().map(|(p, e)| format!("{p} {e}")).collect();
    assert_eq!(known, ["tcp 10.0.0.1:8080", "tcp 10.0.0.2:8080", "udp 10.0.0.1:5353", "udp 10.0.0.2:5353"]);
    assert_eq!((check.frontends.len(), check.deadline), (3, Duration::from_secs(30)));
}
