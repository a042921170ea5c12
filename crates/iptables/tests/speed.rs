//! How long the tools take with 10,000 Services of 5 endpoints. Ignored: it takes a minute, and wants a release build.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kernel_world;
mod spec;

use std::process::Command;
use std::time::Instant;

use dataplane::{Engine, Operate};
use kernel_world::{World, each_variant};
use model::{Change, Endpoint, IpFamily, NamespacedName, Service, Slice, SlicePort};
use towpath_iptables::Iptables;
use xtables::Variant;

const SERVICES: u32 = 10_000;

#[test]
#[ignore = "a measurement: run it with --release --ignored --nocapture"]
fn ten_thousand_services() {
    each_variant(|world| {
        let mut engine = engine(world);
        let time = |what: &str, since: Instant, writes: usize| {
            println!("{} {what}: {:.3} s, {writes} objects", world.variant, since.elapsed().as_secs_f64());
        };
        let start = Instant::now();
        let writes = engine.sync().unwrap().writes;
        time("first load", start, writes);
        for endpoints in [4, 5, 3] {
            engine.handle(Change::Slice(slice(SERVICES - 1, endpoints).into()));
            let start = Instant::now();
            let writes = engine.sync().unwrap().writes;
            time("one change", start, writes);
        }
        engine.handle(Change::ServiceGone(NamespacedName::new("a", "s77")));
        let start = Instant::now();
        let writes = engine.sync().unwrap().writes;
        time("one Service less", start, writes);
        engine.request_full();
        let start = Instant::now();
        let writes = engine.sync().unwrap().writes;
        time("full comparison", start, writes);
        assert_eq!(writes, 0);
    });
}

#[test]
#[ignore = "a measurement: run it with --release --ignored --nocapture"]
fn ten_thousand_services_beside_a_rule_of_nft() {
    each_variant(|world| {
        if world.variant == Variant::Legacy {
            return;
        }
        engine(world).sync().unwrap();
        let nft =
            |words: &str| assert!(Command::new("nft").args(words.split(' ')).status().unwrap().success());
        nft("add rule ip nat POSTROUTING numgen random mod 2 0 counter");
        let mut engine = engine(world);
        let time = |what: &str, since: Instant| println!("{what}: {:.3} s", since.elapsed().as_secs_f64());
        let start = Instant::now();
        engine.sync().unwrap();
        time("restart, everything anew", start);
        engine.handle(Change::Slice(slice(SERVICES - 1, 4).into()));
        let start = Instant::now();
        engine.sync().unwrap();
        time("one change", start);
        engine.request_full();
        let start = Instant::now();
        assert_eq!(engine.sync().unwrap().writes, 0);
        time("full comparison", start);
        nft("add table ip other");
        let start = Instant::now();
        assert!(!engine.dataplane_mut().touched_by_others());
        time("look at a commit of somebody else", start);
        nft("flush chain ip nat POSTROUTING");
        engine.request_full();
        // The table can be printed again, and all but the jump is as it should.
        assert_eq!(engine.sync().unwrap().writes, 1);
    });
}

fn engine(world: &World) -> Engine<Iptables> {
    let mut engine = world.engine("services: []");
    let prototype = spec::service(&kernel_world::scene(PROTOTYPE).services[0]);
    for n in 0..SERVICES {
        engine.handle(Change::Service(service(&prototype, n).into()));
        engine.handle(Change::Slice(slice(n, 5).into()));
    }
    engine
}

const PROTOTYPE: &str =
    "services: [{name: a/b, type: ClusterIP, cluster_ips: [10.96.0.1], ports: [{name: p, port: 80}]}]";

fn service(prototype: &Service, n: u32) -> Service {
    let ip = std::net::Ipv4Addr::from(0x0a60_0001 + n);
    Service {
        name: NamespacedName::new("a", format!("s{n}")),
        cluster_ips: vec![ip.into()],
        ..prototype.clone()
    }
}

fn slice(n: u32, endpoints: u32) -> Slice {
    let endpoint = |i: u32| Endpoint {
        node: Some("other".into()),
        ..Endpoint::new(std::net::Ipv4Addr::from(0x0af4_0000 + n * 8 + i).into())
    };
    Slice {
        ports: vec![SlicePort { name: "p".into(), protocol: model::Protocol::Tcp, port: 8080 }],
        endpoints: (0..endpoints).map(endpoint).collect(),
        ..Slice::new(
            NamespacedName::new("a", format!("s{n}-x")),
            NamespacedName::new("a", format!("s{n}")),
            IpFamily::V4,
        )
    }
}
