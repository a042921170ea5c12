//! How long the removal of large leftovers takes. Run with `--ignored --nocapture`; needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{clear, look, restore, saved};
use model::IpFamily;
use netlink::Socket;
use netlink::nft::{Expr, Family, NETLINK_NETFILTER, Transaction, Verdict};
use testkit::kube_proxy::{Cluster, foreign, hash, kubelet};
use testkit::netns::NetNs;
use xtables::Variant;

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 5;
/// The limit that the takeover has for 10,000 Services.
const LIMIT: Duration = Duration::from_secs(60);

/// Among rules of others, `load` adds what is measured; then everything is found and removed.
fn measure(variant: Variant, load: impl Fn(&NetNs)) {
    let ns = NetNs::new().unwrap();
    restore(&ns, variant, IpFamily::V4, &kubelet(IpFamily::V4));
    restore(&ns, variant, IpFamily::V4, &foreign(IpFamily::V4));
    let before = saved(&ns, variant, IpFamily::V4);
    load(&ns);
    let start = Instant::now();
    let found = look(&ns).found;
    let looked = start.elapsed();
    let start = Instant::now();
    let report = clear(&ns);
    let removed = start.elapsed();
    println!("{variant}: {found:?}, found in {looked:?}, removed in {removed:?}");
    assert_eq!((report.removed, report.kept, report.failed), (found, Vec::new(), Vec::new()));
    assert_eq!(saved(&ns, variant, IpFamily::V4), before);
    assert!(removed < LIMIT);
}

#[test]
#[ignore = "a measurement"]
fn removal_of_ten_thousand_services_legacy() {
    let text = Cluster::of_size(SERVICES, ENDPOINTS).iptables(IpFamily::V4);
    measure(Variant::Legacy, |ns| restore(ns, Variant::Legacy, IpFamily::V4, &text));
}

/// As many chains and rules as kube-proxy has, by netlink: the tools need minutes to write them.
#[test]
#[ignore = "a measurement"]
fn removal_of_ten_thousand_services_nft() {
    measure(Variant::Nft, |ns| {
        restore(ns, Variant::Nft, IpFamily::V4, &Cluster::example().iptables(IpFamily::V4));
        ns.run(|| load_by_netlink("nat")).unwrap();
    });
}

fn load_by_netlink(table: &'static str) {
    let mut socket = Socket::open(NETLINK_NETFILTER).unwrap();
    let mut transaction = Transaction::new(&mut socket, Family::Ip, table, None);
    for service in 0..SERVICES {
        let chain = format!("KUBE-SVC-{}", hash(&format!("load-{service}"), 16));
        transaction.add_chain(&chain, None);
        transaction.add_rule("KUBE-SERVICES", &[jump(&chain)]);
        transaction.add_rule(&chain, &[jump("KUBE-MARK-MASQ")]);
        for endpoint in 0..ENDPOINTS {
            let target = format!("KUBE-SEP-{}", hash(&format!("load-{service}-{endpoint}"), 16));
            transaction.add_chain(&target, None);
            transaction.add_rule(&chain, &[jump(&target)]);
            transaction.add_rule(&target, &[jump("KUBE-MARK-MASQ")]);
            transaction.add_rule(&target, &[Expr::Immediate { verdict: Verdict::Accept }]);
        }
    }
    transaction.commit(&mut socket).unwrap();
}

fn jump(chain: &str) -> Expr {
    Expr::Immediate { verdict: Verdict::Jump(chain.to_owned()) }
}
