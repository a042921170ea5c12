//! How long a large cluster takes. Run by hand: `cargo test --release -p towpath-shadow --test size -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod support;

use std::time::Instant;

use model::IpFamily;
use support::expected;
use testkit::kube_proxy::Cluster;
use testkit::netns::NetNs;
use towpath_shadow::{Place, Reader, compare, locate};
use xtables::Variant;

const SERVICES: usize = 10_000;
/// Of the nf_tables variant of iptables, whose tool takes minutes to load 10,000.
const FEWER: usize = 1_000;

/// Prints the time that passed, and this thread's time on a processor, which other programs do not lengthen.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), on_cpu());
    let result = work();
    println!("{what}: {:.2} s, {:.2} s on a processor", start.elapsed().as_secs_f64(), on_cpu() - before);
    result
}

/// Seconds that this thread has run.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn measure(place: Place, services: usize, load: impl FnOnce(&NetNs, &Cluster)) {
    let cluster = Cluster::of_size(services, 5);
    let ns = NetNs::new().unwrap();
    timed("load", || load(&ns, &cluster));
    let programmed = ns.run(|| {
        assert_eq!(timed("locate", || locate().unwrap()), [place]);
        let mut reader = Reader::new(place);
        let first = timed("read", || reader.read().unwrap());
        assert!(timed("read again", || reader.read().unwrap()) == first);
        first
    });
    let programmed = programmed.unwrap();
    let expected = timed("resolve", || expected(&cluster, place.mode()));
    let differences = timed("compare", || compare(&expected, &programmed));
    assert_eq!((programmed.frontends.len(), differences.len()), (services, 0));
}

#[test]
#[ignore = "measures: run by hand"]
fn nftables() {
    measure(Place::Nftables, SERVICES, |ns, cluster| ns.nft(&cluster.nft(IpFamily::V4)).unwrap());
}

#[test]
#[ignore = "measures: run by hand"]
fn iptables_legacy() {
    measure(Place::Iptables(Variant::Legacy), SERVICES, |ns, cluster| {
        let text = cluster.iptables(IpFamily::V4);
        ns.command_with_input("iptables-legacy-restore", &["--noflush", "-w"], &text).unwrap();
    });
}

#[test]
#[ignore = "measures: run by hand"]
fn iptables_nft() {
    measure(Place::Iptables(Variant::Nft), FEWER, |ns, cluster| {
        let text = cluster.iptables(IpFamily::V4);
        ns.command_with_input("iptables-nft-restore", &["--noflush"], &text).unwrap();
    });
}
