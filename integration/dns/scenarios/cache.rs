//! What is kept, for how long, and what is told of it. Real seconds pass here, as few as a TTL can have; the long times
//! of the table are tested with a clock of their own in `crates/dns-forward`.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Knows, Scenario};
use crate::compare::Transport::{Tcp, Udp};
use crate::place::Place;
use crate::stub::{Play, Seen};
use crate::wire::{AA, QR, Query, RA, RD};

const STALE: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53 198.18.0.54
    cache {
        success 9984 3600 0
        serve_stale 1h
    }
}";
const PREFETCH: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53
    cache {
        success 9984 3600 0
        prefetch 1 1m 50%
    }
}";
const SHORT_DENIAL: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53
    cache {
        denial 9984 2 0
    }
}";
const PLAIN: &str = ".:53 {
    kubernetes cluster.local
    forward . 198.18.0.53
    cache 3600
}";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { knows: Knows::All, id: "scen-18", corefile: STALE, run: stale },
    Scenario { knows: Knows::All, id: "scen-20", corefile: PREFETCH, run: prefetched },
    Scenario { knows: Knows::All, id: "scen-24", corefile: SHORT_DENIAL, run: denied },
    Scenario { knows: Knows::All, id: "scen-25", corefile: PLAIN, run: not_cached },
    Scenario { knows: Knows::All, id: "scen-27", corefile: PLAIN, run: counted_down },
];

const NAME: &str = "n.example.net.";
/// Extended error "stale answer" (RFC 8914).
const STALE_ANSWER: u16 = 3;

/// Lets a part of a TTL pass.
fn pass(time: Duration) {
    thread::sleep(time);
}

fn with_ttl(seen: &Seen, ttl: u32) -> Option<Vec<u8>> {
    seen.reply("NOERROR", 0, &[&format!("{} {ttl} IN A 198.51.100.1", seen.name)], &[]).ok()
}

/// All upstreams are dead, and what is cached has expired.
fn stale(place: &mut Place) -> Result<()> {
    let answers = |seen: &Seen| Some(vec![Play::now(with_ttl(seen, 1)?)]);
    place.stub.play(answers);
    place.second.play(answers);
    ensure!(place.ask(NAME, "A")?.answer().len() == 1);
    place.stub.silence();
    place.second.silence();
    pass(Duration::from_millis(1200));
    for transport in [Udp, Tcp, Udp] {
        let begun = Instant::now();
        let reply = place.send(&Query::new(NAME, "A")?.edns(1232, 0, &[]), transport)?;
        ensure!(begun.elapsed() < Duration::from_millis(2000), "it took {:?}", begun.elapsed());
        ensure!(reply.answer() == [format!("{NAME} 30 IN A 198.51.100.1")], "{reply:?}");
        ensure!(reply.extended_error() == Some(STALE_ANSWER), "extended error: {:?}", reply.options);
    }
    let reply = place.send(&Query::new("unknown.example.net.", "A")?.edns(1232, 0, &[]), Udp)?;
    ensure!(reply.rcode == "SERVFAIL" && reply.extended_error().is_some(), "nothing cached: {reply:?}");
    Ok(())
}

/// One background refresh, and nobody waits for it.
fn prefetched(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| Some(vec![Play::after(Duration::from_millis(150), with_ttl(seen, 3)?)]));
    for _ in 0..3 {
        ensure!(place.ask(NAME, "A")?.answer().len() == 1);
    }
    ensure!(place.stub.asked(NAME) == 1, "not cached");
    pass(Duration::from_millis(2100));
    for _ in 0..3 {
        let begun = Instant::now();
        ensure!(place.ask(NAME, "A")?.answer().len() == 1);
        ensure!(begun.elapsed() < Duration::from_millis(100), "a client waited {:?}", begun.elapsed());
    }
    testkit::wait::until("the refresh", Duration::from_secs(2), || {
        Ok((place.ask(NAME, "A")?.ttl() >= Some(2)).then_some(()))
    })?;
    let asked = place.stub.asked(NAME);
    ensure!(asked == 2, "{asked} queries to the upstream");
    Ok(())
}

/// No longer than the cap, and the TTL of the SOA counts down.
fn denied(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| {
        let soa = "example.net. 3600 IN SOA ns.example.net. host.example.net. 1 7200 1800 86400 3600";
        Some(vec![Play::now(seen.reply("NXDOMAIN", 0, &[], &[soa]).ok()?)])
    });
    let mut last = u32::MAX;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let reply = place.ask(NAME, "A")?;
        let soa = reply.sections.authority.first().context("no SOA")?;
        let ttl: u32 = soa.split(' ').nth(1).context("a TTL")?.parse()?;
        ensure!(reply.rcode == "NXDOMAIN" && ttl <= 2 && ttl <= last, "TTL {ttl} after {last}");
        last = ttl;
        pass(Duration::from_millis(250));
    }
    ensure!(last < 2, "the TTL stays at {last}");
    ensure!(place.stub.asked(NAME) == 1, "not cached");
    pass(Duration::from_millis(900));
    place.ask(NAME, "A")?;
    ensure!(place.stub.asked(NAME) == 2, "cached for longer than the cap");
    Ok(())
}

/// A denial without SOA is asked for again; a failure is not, for some seconds.
fn not_cached(place: &mut Place) -> Result<()> {
    for i in 1..4 {
        ensure!(place.ask("nothing.example.net.", "A")?.rcode == "NXDOMAIN");
        ensure!(place.stub.asked("nothing.example.net.") == i, "a denial without SOA was cached");
    }
    ensure!(place.ask("fail.example.net.", "A")?.rcode == "SERVFAIL");
    let asked = place.stub.asked("fail.example.net.");
    for _ in 0..3 {
        ensure!(place.ask("fail.example.net.", "A")?.rcode == "SERVFAIL");
    }
    ensure!(place.stub.asked("fail.example.net.") == asked, "a failure was asked for again at once");
    Ok(())
}

/// Every TTL is less by the time that passed; the rest is of this query.
fn counted_down(place: &mut Place) -> Result<()> {
    let (name, begun) = ("alias.example.net.", Instant::now());
    ensure!(place.ask(name, "A")?.answer().len() == 2);
    pass(Duration::from_millis(2300));
    for flags in [RD, 0] {
        let reply = place.send(&Query { flags, ..Query::new(name, "A")? }, Udp)?;
        let elapsed = u32::try_from(begun.elapsed().as_secs())?;
        for line in reply.answer() {
            let ttl: u32 = line.split(' ').nth(1).context("a TTL")?.parse()?;
            ensure!((60 - elapsed - 1..=60 - elapsed).contains(&ttl), "after {elapsed} s: {line}");
        }
        ensure!(reply.flags == QR | RA | flags && !reply.has(AA), "flags {:#06x}", reply.flags);
        ensure!(reply.sections.opt.is_none(), "an OPT that nobody asked for");
    }
    let reply = place.send(&Query::new(name, "A")?.edns(600, 0, &[]), Udp)?;
    ensure!(reply.sections.opt.is_some_and(|opt| opt.payload == 1232), "no OPT of its own");
    ensure!(place.stub.asked(name) == 1, "asked again");
    Ok(())
}
