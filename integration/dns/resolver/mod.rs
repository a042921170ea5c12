//! What pods use: `dig`, and the resolvers of glibc and musl with a pod's `resolv.conf`.

mod libc;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::ask;
use crate::decode;
use crate::place::{self, Place};
use crate::table::Table;
use crate::trial;
use crate::wire::Query;

/// A test, the scenario that it plays, and what it needs.
pub(crate) struct Test {
    name: &'static str,
    id: Option<&'static str>,
    needs: fn() -> Result<(), String>,
    run: fn(&Place) -> Result<()>,
}

const TESTS: &[Test] = &[
    Test { name: "pairs_of_glibc", id: None, needs: || Ok(()), run: pairs },
    Test { name: "dig", id: None, needs: || place::needs("dig", "bind9-dnsutils"), run: dig },
    Test { name: "getent", id: None, needs: || place::needs("getent", "libc-bin"), run: libc::getent },
    Test { name: "scen-33", id: Some("scen-33"), needs: libc::needs_musl, run: libc::musl },
    Test {
        name: "scen-42",
        id: Some("scen-42"),
        needs: || place::needs("getent", "libc-bin"),
        run: libc::odd_search,
    },
];

/// What kubeadm writes.
pub(crate) const COREFILE: &str = ".:53 {
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . 198.18.0.53 {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    reload
    loadbalance
}";

/// All of them.
pub(crate) fn trials(table: &Arc<Table>, obstacle: Option<&String>) -> Vec<Trial> {
    let one = |test: &'static Test| {
        let (table, obstacle) = (Arc::clone(table), obstacle.cloned().or_else(|| (test.needs)().err()));
        trial(format!("resolver::{}", test.name), obstacle, move || {
            let place = Place::start(&table, COREFILE)?;
            (test.run)(&place).with_context(|| place.evidence())
        })
    };
    TESTS.iter().map(one).collect()
}

/// The scenarios that are played here.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    TESTS.iter().filter_map(|test| test.id)
}

const PAIRS: usize = 10_000;
/// That are under way at once, as of a process with many threads; less than any socket's buffer.
const WINDOW: usize = 20;

/// A and AAAA from one socket at the same time: both are answered, each of 10,000 times.
fn pairs(place: &Place) -> Result<()> {
    let socket = ask::udp(&place.ns, place.server, None)?;
    let name = "dual.shop.svc.cluster.local.";
    let (mut four, mut six) = (0, 0);
    for i in 0..PAIRS / WINDOW {
        for kind in [["A", "AAAA"]; WINDOW].as_flattened() {
            socket.send(&Query::new(name, kind)?.bytes()).context("sending")?;
        }
        for _ in 0..2 * WINDOW {
            let reply = ask::receive(&socket).with_context(|| format!("of the pairs from {}", i * WINDOW))?;
            let reply = decode::read(&reply)?;
            let line = reply.answer().first().with_context(|| format!("{reply:?}"))?;
            four += usize::from(line.ends_with("IN A 10.96.10.3"));
            six += usize::from(line.ends_with("IN AAAA fd00:10:96::a003"));
        }
    }
    ensure!((four, six) == (PAIRS, PAIRS), "{four} A, {six} AAAA of {PAIRS} pairs");
    Ok(())
}

/// Arguments beside the server, and a line that is in the output.
const DIGS: &[(&[&str], &str)] = &[
    (&["kubernetes.default.svc.cluster.local", "A", "+short"], "10.96.0.1"),
    (&["+tcp", "kubernetes.default.svc.cluster.local", "A", "+short"], "10.96.0.1"),
    (&["+notcp", "+noedns", "-x", "10.96.0.1", "+short"], "kubernetes.default.svc.cluster.local."),
    (&["_http._tcp.web.shop.svc.cluster.local", "SRV", "+short"], "web.shop.svc.cluster.local."),
    (&["wide.data.svc.cluster.local", "A", "+noedns"], "10.244.50.40"),
    (&["nx.default.svc.cluster.local", "A"], "status: NXDOMAIN"),
    (&["kubernetes.default.svc.cluster.local", "A", "+dnssec", "+nsid", "+cookie"], "status: NOERROR"),
    (&["kubernetes.default.svc.cluster.local", "A", "+edns=7", "+noednsnegotiation"], "status: BADVERS"),
    (&["www.example.net", "A", "+short"], "198.51.100.80"),
    (&["big.example.net", "A", "+short"], "198.51.100.82"),
    (&["cluster.local", "ANY", "+notcp"], "status: NOERROR"),
];

/// Warnings that every server of a cluster gets: RA=0 with cluster names, as CoreDNS has it, and the zone's name.
const KNOWN: &[&str] = &["recursion requested but not available", "reserved for Multicast DNS"];

/// It finds no other fault with any reply.
fn dig(place: &Place) -> Result<()> {
    for (args, want) in DIGS {
        let all = [&["@10.244.0.2", "+tries=1", "+time=3"], *args].concat();
        let out = place.ns.command("dig", &all)?;
        let about = || format!("dig {}:\n{out}", args.join(" "));
        ensure!(out.contains(want), "{}", about());
        let faults = |line: &&str| line.contains("WARNING") || line.to_lowercase().contains("malformed");
        let known = |line: &str| KNOWN.iter().any(|known| line.contains(known));
        ensure!(!out.lines().filter(faults).any(|line| !known(line)), "{}", about());
    }
    Ok(())
}
