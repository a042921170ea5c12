//! The annotation `towpath.dev/drain-deadline`: connections to an endpoint that is gone live until then, and end then.

mod lines;
pub(crate) mod others;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use netlink::nft;
use testkit::probe::UdpFlow;
use testkit::wait;

use self::lines::{FRONTENDS, LINES, Line, Lines, SECOND, THIRD, plan, set_ends};
use crate::Test;
use crate::packets::{ANSWER, answer};
use crate::plan::Plan;
use crate::rules::listable;
use crate::stage::{Stage, ip, socket};
use crate::vs::is_virtual_machine;

pub(crate) const TESTS: &[Test] = &[
    Test::new("clients_hear_a_reset_at_the_deadline_and_nothing_before", || at_the_deadline("1", &[SECOND])),
    Test::new("so_they_do_where_nobody_is_left_and_conntrack_is_strict", || at_the_deadline("0", &[])),
    Test::new("so_they_do_where_the_endpoint_terminates", terminating),
    Test::new("who_is_not_ready_or_comes_back_keeps_its_connections", stays),
    Test::new("a_restart_begins_the_deadline_anew", restart),
    Test::new("udp_of_an_endpoint_that_terminates_moves_at_the_deadline", udp).not_in_ipvs(),
    Test::new("without_the_annotation_nothing_ends", without),
];

const ENDED: &str = "towpath_drain_ended_flows_total";
const DRAINING: &str = "towpath_draining_endpoints";

/// The deadline of ns/lines. Connections are opened and used within it.
fn deadline() -> Duration {
    Duration::from_secs(if is_virtual_machine() { 40 } else { 6 })
}

/// Waits until so many flows have ended.
fn ended(stage: &Stage, flows: usize) -> Result<()> {
    wait::until("the deadline", deadline() * 4, || Ok((stage.metric(ENDED)? >= flows as f64).then_some(())))
}

/// The tables that answer with resets are there, or not.
fn has_tables(stage: &Stage) -> Result<bool> {
    let found = stage.node().run(|| {
        let mut socket = netlink::Socket::open(nft::NETLINK_NETFILTER)?;
        nft::chains(&mut socket, nft::Family::Ip, "towpath-drain")
    })?;
    Ok(!found.context("listing chains")?.is_empty())
}

fn at_the_deadline(loose: &str, left: &[usize]) -> Result<()> {
    plan(Some(deadline()))?.start()?.play(|stage| {
        stage.node().set_sysctls(&[("netfilter/nf_conntrack_tcp_loose", loose)])?;
        let lines = Lines::listen(stage)?;
        // Two to each endpoint through each frontend: one whose client asks, one whose client only reads.
        let mut open = lines.open_everywhere(stage, 2)?;
        let since = Instant::now();
        set_ends(stage, left)?;
        open.iter_mut().try_for_each(Line::talk).context("before the deadline")?;
        let gone = |line: &Line| !left.contains(&line.end);
        let (mut leaving, mut staying): (Vec<Line>, Vec<Line>) = open.into_iter().partition(gone);
        ensure!(stage.metric(DRAINING)? >= 2.0 && since.elapsed() < deadline(), "too slow to tell");
        ended(stage, leaving.len())?;
        ensure!(since.elapsed() >= deadline(), "ended after {:?}", since.elapsed());
        for (n, line) in leaving.iter_mut().enumerate() {
            if n % 2 == 0 { line.is_reset_when_it_asks() } else { line.is_reset_when_it_reads() }?;
        }
        staying.iter_mut().try_for_each(Line::talk).context("of another endpoint")?;
        listable(stage.node())?;
        ensure!(has_tables(stage)?, "no table");
        if !left.is_empty() {
            // The same ports again are new connections.
            leaving.into_iter().try_for_each(|line| lines.open_again(stage, line)?.talk())?;
        }
        let cleaned = stage.run_program(&["cleanup"])?;
        ensure!(cleaned.status.success() && !has_tables(stage)?, "{cleaned:?}");
        Ok(())
    })
}

/// An endpoint that terminates is gone, though it serves; one alone goes on getting new connections, and keeps these.
fn terminating() -> Result<()> {
    plan(Some(deadline()))?.start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut open = lines.open_everywhere(stage, 1)?;
        stage.change(|scene| {
            for slice in scene.slices.iter_mut().filter(|slice| slice.service == LINES) {
                for end in &mut slice.endpoints {
                    (end.ready, end.serving, end.terminating) = (Some(false), Some(true), Some(true));
                }
            }
        })?;
        open.iter_mut().try_for_each(Line::talk)?;
        ended(stage, open.len())?;
        open.iter_mut().try_for_each(Line::is_reset_when_it_asks)?;
        let (from, to) = FRONTENDS[0];
        lines.open(stage, from, to)?.talk().context("a new connection")
    })
}

/// The third endpoint leaves, and tells when the deadline is over that would have counted for the others.
fn stays() -> Result<()> {
    plan(Some(deadline()))?.start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut open = lines.open_everywhere(stage, 1)?;
        let set = |stage: &mut Stage, end: usize, how: [bool; 3]| {
            stage.change(|scene| {
                for slice in scene.slices.iter_mut().filter(|slice| slice.service == LINES) {
                    let end = &mut slice.endpoints[end];
                    (end.ready, end.serving, end.terminating) = (Some(how[0]), Some(how[1]), Some(how[2]));
                }
            })
        };
        set(stage, 0, [false, false, false])?;
        set(stage, 1, [false, true, true])?;
        set(stage, 1, [true, true, false])?;
        let leaving = open.iter().filter(|line| line.end == THIRD).count();
        set(stage, THIRD, [false, false, true])?;
        ended(stage, leaving)?;
        for line in &mut open {
            if line.end == THIRD { line.is_reset_when_it_asks() } else { line.talk() }?;
        }
        Ok(())
    })
}

fn restart() -> Result<()> {
    plan(Some(deadline()))?.start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut open = lines.open_everywhere(stage, 1)?;
        stage.stop()?;
        lines::keep_ends(&mut stage.scene, &[SECOND]);
        stage.publish()?;
        let since = Instant::now();
        stage.start()?;
        open.iter_mut().try_for_each(Line::talk).context("before the deadline")?;
        ended(stage, open.iter().filter(|line| line.end != SECOND).count())?;
        ensure!(since.elapsed() >= deadline(), "ended after {:?}", since.elapsed());
        for line in &mut open {
            if line.end == SECOND { line.talk() } else { line.is_reset_when_it_asks() }?;
        }
        Ok(())
    })
}

fn udp() -> Result<()> {
    const SCENE: &str = "
services:
- name: ns/dns
  type: ClusterIP
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  ports: [{name: d, port: 53, protocol: UDP}]
slices:
- service: ns/dns
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.1.1}, {ip: 10.244.1.2}]
- service: ns/dns
  family: 6
  ports: [{name: d, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}, {ip: 'fd00:244:0:1::2'}]
";
    let (client, client6) = ("203.0.113.9", "2001:db8:1::9");
    let dead = [socket("10.244.1.1:5353")?, socket("[fd00:244:0:1::1]:5353")?];
    let plan = Plan::new(SCENE)?.outside(&[client, client6])?;
    plan.with(|scene| lines::annotate(scene, "ns/dns", deadline())).start()?.play(|stage| {
        let mut flows = Vec::new();
        for (from, to) in [(client, "10.96.0.10:53"), (client6, "[fd00:96::10]:53")] {
            for _ in 0..12 {
                let flow = UdpFlow::open(stage.world.namespace(ip(from)?), ip(from)?, socket(to)?)?;
                let at = answer(&flow.ask(ANSWER)?)?.endpoint;
                flows.push((flow, at));
            }
        }
        let leaving = flows.iter().filter(|(_, at)| dead.contains(at)).count();
        ensure!(leaving > 0, "none of {} flows is at {dead:?}", flows.len());
        stage.change(|scene| {
            for slice in scene.slices.iter_mut().filter(|slice| slice.service == "ns/dns") {
                let first = &mut slice.endpoints[0];
                (first.ready, first.serving, first.terminating) = (Some(false), Some(true), Some(true));
            }
        })?;
        for (flow, at) in &flows {
            ensure!(answer(&flow.ask(ANSWER)?)?.endpoint == *at, "{} moved too early", flow.source);
        }
        ended(stage, leaving)?;
        for (flow, at) in &flows {
            let now = answer(&flow.ask(ANSWER)?)?.endpoint;
            let right = if dead.contains(at) { !dead.contains(&now) } else { now == *at };
            ensure!(right, "{}: was at {at}, is at {now}", flow.source);
        }
        Ok(())
    })
}

fn without() -> Result<()> {
    plan(None)?.start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut open = lines.open_everywhere(stage, 1)?;
        set_ends(stage, &[SECOND])?;
        open.iter_mut().try_for_each(Line::talk)?;
        ensure!(stage.metric(DRAINING)? == 0.0 && stage.metric(ENDED)? == 0.0 && !has_tables(stage)?);
        stage.reaches(FRONTENDS[0].0, lines::SERVED, Tcp, &[lines::SERVER])
    })
}
