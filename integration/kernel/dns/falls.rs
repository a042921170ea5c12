//! The end of the interception, however it comes, while clients ask.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

use crate::Test;
use crate::dns::load::{By, Load, PATIENCE, Query, Record};
use crate::dns::stand_in::StandIn;
use crate::dns::{CLIENTS, POD, VIP, both_vips, intercepted, not_intercepted, play};

pub(crate) const TESTS: &[Test] = &[
    Test::new("killed_under_load_dns_falls_back", killed),
    Test::new("hung_under_load_dns_falls_back_and_comes_again", hung),
    Test::new("a_hung_part_of_the_server_falls_back_alone", half_hung),
    Test::new("ended_in_order_no_query_is_lost", ended_in_order),
    Test::new("a_flow_that_was_not_tracked_goes_on_at_coredns", one_flow),
];

/// The promise; 0.9 s on a machine that is not busy with other things.
pub(crate) const WITHIN: Duration = Duration::from_secs(2);
/// How long clients ask before and after.
pub(crate) const WHILE: Duration = Duration::from_millis(700);

/// From some moment within the time on, CoreDNS answers each query. Returns the queries that nobody answered.
pub(crate) fn fell_back(record: &Record, then: Instant, within: Duration) -> Result<usize> {
    let since: Vec<_> = record.since(then).collect();
    let last_bad = since.iter().rposition(|(_, by)| *by != By::CoreDns);
    let good = last_bad.map_or(0, |place| place + 1);
    let (at, _) = since.get(good).with_context(|| format!("{}: never answered by CoreDNS", record.who))?;
    let took = at.duration_since(then);
    ensure!(took < within, "{}: CoreDNS answers only after {took:?}", record.who);
    Ok(since.iter().filter(|(_, by)| *by == By::Nobody).count())
}

/// Before, the stand-in answered each query.
pub(crate) fn was_local(record: &Record, then: Instant) -> Result<()> {
    // A query that was under way is neither before nor after.
    let before = record.queries.iter().filter(|(at, _)| *at + PATIENCE < then);
    let other = before.clone().filter(|(_, by)| *by != By::Local).count();
    ensure!(other == 0, "{}: {other} of {} were not answered here", record.who, before.count());
    Ok(())
}

/// scen-12.
fn killed() -> Result<()> {
    play(&both_vips(), |stage, server| {
        let load = Load::start(stage);
        thread::sleep(WHILE);
        let fresh = StandIn::start(stage.node())?;
        let then = Instant::now();
        std::mem::replace(server, fresh).kill();
        thread::sleep(WITHIN + WHILE);
        for record in load.end()? {
            was_local(&record, then)?;
            let lost = fell_back(&record, then, WITHIN)?;
            // Where no socket is left the kernel knows at once; one query may have been with the server.
            ensure!(!record.is_pods_udp || lost <= 1, "{}: {lost} queries were lost", record.who);
        }
        not_intercepted(stage)?;
        // The next process takes over what is there.
        ensure!(!server.apply(&both_vips())?, "something was written");
        server.await_alive(&both_vips())?;
        intercepted(stage)
    })
}

fn hung() -> Result<()> {
    play(&both_vips(), |stage, server| {
        let load = Load::start(stage);
        thread::sleep(WHILE);
        let then = Instant::now();
        server.signal(SIGSTOP)?;
        thread::sleep(WITHIN + WHILE);
        server.signal(SIGCONT)?;
        let again = Instant::now();
        server.await_alive(&both_vips())?;
        let back = Instant::now();
        thread::sleep(WHILE);
        for record in load.end()? {
            was_local(&record, then)?;
            // A connection that is open when the server comes again is reset.
            let before = |(at, _): &&Query| *at + PATIENCE < again;
            let during = record.queries.iter().filter(before).copied().collect();
            let during = Record { who: record.who.clone(), is_pods_udp: record.is_pods_udp, queries: during };
            fell_back(&during, then, WITHIN)?;
            let late = record.since(back).filter(|(_, by)| *by != By::Local).count();
            ensure!(late == 0, "{}: {late} queries were not answered here again", record.who);
        }
        intercepted(stage)
    })
}

fn half_hung() -> Result<()> {
    play(&both_vips(), |stage, server| {
        server.tell("mute udp")?;
        stage.soon("UDP to fall back", |stage| {
            CLIENTS.iter().try_for_each(|(from, vip, coredns)| stage.reaches(from, vip, Udp, &[coredns]))
        })?;
        CLIENTS.iter().try_for_each(|(from, vip, _)| stage.reaches(from, vip, Tcp, &[vip]))?;
        server.tell("mute tcp")?;
        stage.soon("TCP to fall back", not_intercepted)
    })
}

/// The order of a restart: first the packets go elsewhere, then what is under way is answered, then the process ends.
fn ended_in_order() -> Result<()> {
    play(&both_vips(), |stage, server| {
        let load = Load::start(stage);
        thread::sleep(WHILE);
        let before = Instant::now();
        server.tell("pause")?;
        server.tell("flip")?;
        let then = Instant::now();
        ensure!(server.alive()?.is_empty(), "still intercepted");
        thread::sleep(WHILE);
        let fresh = StandIn::start(stage.node())?;
        std::mem::replace(server, fresh).end()?;
        thread::sleep(WHILE);
        for record in load.end()? {
            was_local(&record, before)?;
            // TCP connections that are open at that moment are reset.
            let lost = record.queries.iter().filter(|(_, by)| *by == By::Nobody).count();
            let may = usize::from(record.who.contains("tcp"));
            ensure!(lost <= may, "{}: {lost} queries were lost", record.who);
            fell_back(&record, then, Duration::from_millis(200))?;
        }
        not_intercepted(stage)
    })
}

/// The same client socket, before, during and after.
fn one_flow() -> Result<()> {
    use testkit::probe::{Outcome, UdpFlow};
    play(&both_vips(), |stage, server| {
        let source = crate::stage::ip(POD)?;
        let flow = UdpFlow::open(stage.world.namespace(source), source, crate::stage::socket(VIP)?)?;
        let by = |want: &str| match flow.ask(Duration::from_millis(500))? {
            Outcome::Answered { endpoint, .. } => {
                ensure!(endpoint.to_string() == want, "{endpoint} answered, want {want}");
                Ok(())
            }
            other => anyhow::bail!("{other:?}, want {want}"),
        };
        by(VIP)?;
        server.tell("pause")?;
        server.tell("flip")?;
        by(crate::dns::COREDNS)?;
        server.apply(&both_vips())?;
        server.tell("ask")?;
        server.await_alive(&both_vips())?;
        by(VIP)?;
        server.signal(SIGSTOP)?;
        stage.soon("the flow to go on at CoreDNS", |_| by(crate::dns::COREDNS))
    })
}
