//! Starts, ends, and large lists.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::wait;

use super::{Knows, PLAIN, Scenario};
use crate::ask;
use crate::load::Load;
use crate::objects::{service, slice};
use crate::place::Place;
use crate::wire::{self, Query};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { knows: Knows::Snapshot, id: "scen-08", corefile: READY, run: from_a_snapshot },
    Scenario { knows: Knows::Nothing, id: "scen-09", corefile: READY, run: from_nothing },
    Scenario { knows: Knows::All, id: "scen-10", corefile: PLAIN, run: relist },
    Scenario { knows: Knows::All, id: "scen-11", corefile: PLAIN, run: upgrade },
];

const NAME: &str = "kubernetes.default.svc.cluster.local.";
const ADDRESS: &str = "10.96.0.1";
const READY: &str = ".:53 {
    ready 127.0.0.1:8181
    prometheus 127.0.0.1:9153
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . 198.18.0.53
}";
const READY_PAGE: &str = "http://127.0.0.1:8181/ready";
/// Slices of the large list. `cargo xtask bench dns` has the 50,000 of the table, and the times of a release build.
const SLICES: usize = 2_000;
/// What a query may take at most in 99 of 100 cases meanwhile, in a debug build beside other tests.
const P99: Duration = Duration::from_millis(50);

/// Known names are answered from the file, which the metrics say; then from what the source delivers.
fn from_a_snapshot(place: &mut Place) -> Result<()> {
    place.await_answer(NAME, "A", "NOERROR", &[&format!("{NAME} 5 IN A {ADDRESS}")])?;
    ensure!(place.ask("nx.default.svc.cluster.local.", "A")?.rcode == "SERVFAIL");
    let stale = || -> Result<bool> {
        let page = place.page("http://127.0.0.1:9153/metrics")?;
        Ok(page.lines().any(|line| line == "towpath_dns_stale 1"))
    };
    ensure!(stale()?, "the metrics do not say that answers are old");
    place.deliver()?;
    place.await_answer("nx.default.svc.cluster.local.", "A", "NXDOMAIN", &[])?;
    ensure!(!stale()?, "the metrics say that answers are old");
    place.remove("fixtures.yaml")?;
    place.await_answer(NAME, "A", "NXDOMAIN", &[])
}

/// Nobody is told that a name does not exist before all is known.
fn from_nothing(place: &mut Place) -> Result<()> {
    for name in
        [NAME, "nx.default.svc.cluster.local.", "db.data.svc.cluster.local.", "1.0.96.10.in-addr.arpa."]
    {
        let reply = place.ask(name, "A")?;
        ensure!(reply.rcode == "SERVFAIL", "{name}: {reply:?}");
    }
    ensure!(place.page(READY_PAGE).is_err(), "ready without names");
    place.deliver()?;
    place.await_answer(NAME, "A", "NOERROR", &[&format!("{NAME} 5 IN A {ADDRESS}")])?;
    wait::until("it to be ready", Duration::from_secs(5), || Ok(place.page(READY_PAGE).is_ok().then_some(())))
}

fn large_list(round: usize) -> String {
    let mut text = String::new();
    for i in 0..SLICES {
        let address = format!("10.{}.{}.{}", 100 + round, i / 250, i % 250 + 1);
        let _ = write!(text, "{}", service("data", &format!("many-{i}"), "None"));
        text += &slice("data", &format!("many-{i}"), "a", &[(&address, "h", true)]);
    }
    text
}

/// All is read again while pods ask: nobody notices, and memory stays within twice of what it was.
fn relist(place: &mut Place) -> Result<()> {
    let last = format!("many-{}.data.svc.cluster.local.", SLICES - 1);
    let all_read = |round: usize| {
        let address = format!("10.{}.{}.{}", 100 + round, (SLICES - 1) / 250, (SLICES - 1) % 250 + 1);
        let want = format!("{last} 5 IN A {address}");
        wait::until("the list to be read", Duration::from_secs(20), || {
            Ok((place.ask(&last, "A")?.answer() == [want.as_str()]).then_some(()))
        })
    };
    place.write("many.yaml", &large_list(0))?;
    all_read(0)?;
    let steady = place.memory()?;
    let load = Load { ns: &place.ns, server: place.server, clients: 4, rate: 500, name: NAME, want: ADDRESS };
    let mut outcome = load.during(|| {
        (1..3).try_for_each(|round| {
            place.write("many.yaml", &large_list(round))?;
            all_read(round)
        })
    })?;
    let (p99, peak) = (outcome.p99(), place.memory()?);
    ensure!(
        outcome.lost == 0 && outcome.wrong == 0,
        "{} lost, {} wrong of {}",
        outcome.lost,
        outcome.wrong,
        outcome.sent
    );
    ensure!(p99 < P99, "p99 {p99:?} of {} queries", outcome.sent);
    ensure!(peak < 2 * steady, "{peak} KiB, before {steady} KiB");
    Ok(())
}

/// The new program starts beside the old one, with its snapshot as an agent does; then the old one ends: no UDP query is
/// lost, and TCP connections are closed only after their replies.
fn upgrade(place: &mut Place) -> Result<()> {
    place.stub.play(|seen| {
        let record = format!("{} 60 IN A 198.51.100.1", seen.name);
        let reply = seen.reply("NOERROR", 0, &[&record], &[]).ok()?;
        Some(vec![crate::stub::Play::after(Duration::from_millis(300), reply)])
    });
    let connect = |_| ask::tcp(&place.ns, place.server, None);
    let mut streams: Vec<_> = (0..50).map(connect).collect::<Result<_>>()?;
    let old = place.take_program().context("no program")?;
    let load =
        Load { ns: &place.ns, server: place.server, clients: 20, rate: 1_000, name: NAME, want: ADDRESS };
    let mut new = None;
    let outcome =
        load.during(|| {
            new = Some(place.spawn(&["--snapshot-path", &place.snapshot(true)?])?);
            wait::until("both to listen", Duration::from_secs(10), || {
                Ok((listeners(place)? >= 2).then_some(()))
            })?;
            for stream in &mut streams {
                let query = Query::new("slow.example.net.", "A")?.bytes();
                stream.write_all(&wire::framed(&query)).context("sending")?;
            }
            old.signal(Signal::SIGTERM)?;
            for (i, stream) in streams.iter_mut().enumerate() {
                ask::read_framed(stream)
                    .with_context(|| format!("TCP connection {i} was closed before its reply"))?;
            }
            let status = old.terminate(Duration::from_secs(15))?;
            ensure!(status.success(), "the old program ended with {status}");
            Ok(())
        })?;
    place.put_program(new);
    ensure!(outcome.sent > 200, "only {} queries", outcome.sent);
    ensure!(
        outcome.lost == 0 && outcome.wrong == 0,
        "{} lost, {} wrong of {}",
        outcome.lost,
        outcome.wrong,
        outcome.sent
    );
    Ok(())
}

/// How many sockets there are at the server's address.
fn listeners(place: &Place) -> Result<usize> {
    let sockets = place.ns.command("ss", &["--udp", "--listening", "--numeric", "--no-header"])?;
    Ok(sockets.matches("10.244.0.2:53").count())
}
