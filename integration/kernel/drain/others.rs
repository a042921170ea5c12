//! What the deadline of a Service must leave alone: connections that are not its own, or that another Service has taken over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::cases::{ServiceSpec, SliceSpec};

use super::lines::{self, LINES, Line, Lines, SECOND, THIRD, plan};
use super::{DRAINING, deadline, ended};
use crate::Test;
use crate::ipvs::annotate;
use crate::stage::{NODE, Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("connections_of_others_to_the_same_endpoint_live_on", of_others),
    Test::new("connections_that_another_service_takes_over_live_on", taken_over),
    Test::new("connections_under_policy_local_end_too", policy_local),
    Test::new("an_annotation_that_goes_ends_nothing_and_one_that_changes_counts", changed).not_in_ipvs(),
    Test::new("the_deadline_is_on_the_page_of_the_service", on_the_page).not_in_ipvs(),
    Test::new("thousands_of_connections_end_while_changes_are_programmed", thousands).not_in_ipvs(),
];

const CLIENT: &str = "203.0.113.9";
const CLIENT6: &str = "2001:db8:1::9";
const DEADLINE: &str = "towpath.dev/drain-deadline";
/// Another Service with the endpoints of ns/lines, and what leads to it.
const TWIN: &str = "
name: ns/twin
type: NodePort
cluster_ips: [10.96.0.21, 'fd00:96::21']
external_traffic_policy: Local
ports: [{name: p, port: 90, node_port: 30091}]
";
const TWIN_AT: [(&str, &str); 3] =
    [(CLIENT, "10.96.0.21:90"), (CLIENT6, "[fd00:96::21]:90"), (NODE, "10.96.0.21:90")];
/// The endpoints themselves.
const DIRECT: [(&str, &str); 3] =
    [(CLIENT, "10.244.2.1:9090"), (CLIENT6, "[fd00:244:0:2::1]:9090"), (NODE, "10.244.2.1:9090")];

/// The slices of ns/lines for another Service.
fn slices_of(scene: &testkit::scene::Scene, service: &str) -> Vec<SliceSpec> {
    let own = scene.slices.iter().filter(|slice| slice.service == LINES).cloned();
    own.map(|slice| SliceSpec { service: service.to_owned(), ..slice }).collect()
}

/// A stage with both Services, the first with a deadline.
fn twins(deadline: Option<Duration>) -> Result<Stage> {
    let twin: ServiceSpec = testkit::scene::part(TWIN)?;
    let with_twin = plan(deadline)?.with(|scene| {
        scene.services.push(twin);
        let slices = slices_of(scene, "ns/twin");
        scene.slices.extend(slices);
    });
    with_twin.start()
}

/// Several connections through each of these ways.
fn open(stage: &Stage, lines: &Lines, ways: &[(&str, &str)], each: usize) -> Result<Vec<Line>> {
    let mut all = Vec::new();
    for (from, to) in ways {
        for _ in 0..each {
            all.push(lines.open(stage, from, to)?);
        }
    }
    all.iter_mut().try_for_each(Line::talk)?;
    Ok(all)
}

/// Connections straight to an endpoint, and those of a Service that still has it, are none of the deadline's business.
fn of_others() -> Result<()> {
    twins(Some(deadline()))?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut own = lines.open_everywhere(stage, 1)?;
        let mut others = open(stage, &lines, &TWIN_AT, 9)?;
        others.extend(open(stage, &lines, &DIRECT, 2)?);
        let gone = |line: &&mut Line| line.end != SECOND;
        lines::set_ends(stage, &[SECOND])?;
        ended(stage, own.iter_mut().filter(gone).count())?;
        own.iter_mut().filter(gone).try_for_each(Line::is_reset_when_it_asks)?;
        others.iter_mut().try_for_each(Line::talk).context("of others")?;
        // The endpoint hears of it too, with what it sends next.
        own.iter_mut().filter(gone).try_for_each(Line::server_hears)
    })
}

/// The Service goes, and one of another name has its load balancer's address, its NodePort and its endpoints.
fn taken_over() -> Result<()> {
    plan(Some(deadline()))?.start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut open = lines.open_everywhere(stage, 1)?;
        let addresses = vec![ip("10.96.0.22")?, ip("fd00:96::22")?];
        stage.change(|scene| {
            let slices = slices_of(scene, "ns/heir");
            scene.slices.retain(|slice| slice.service != LINES);
            scene.slices.extend(slices);
            for service in scene.services.iter_mut().filter(|service| service.name == LINES) {
                service.name = "ns/heir".to_owned();
                service.cluster_ips = addresses.clone();
                service.annotations.clear();
            }
        })?;
        open.iter_mut().try_for_each(Line::talk).context("before the deadline")?;
        let alone = |line: &Line| line.goes_to("10.96.0.20:90") || line.goes_to("[fd00:96::20]:90");
        ended(stage, open.iter().filter(|line| alone(line)).count())?;
        for line in &mut open {
            if alone(line) { line.is_reset_when_it_asks() } else { line.talk() }?;
        }
        Ok(())
    })
}

/// Under externalTrafficPolicy Local clients keep their addresses, and this node is left without an endpoint.
fn policy_local() -> Result<()> {
    let local = |scene: &mut testkit::scene::Scene| {
        if let Ok(service) = scene.service(LINES) {
            service.external_traffic_policy = Some(testkit::cases::Policy::Local);
        }
        let ends = scene.slices.iter_mut().flat_map(|slice| &mut slice.endpoints);
        ends.for_each(|end| end.node = Some(testkit::scene::NODE_NAME.to_owned()));
    };
    plan(Some(deadline()))?.with(local).start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let mut all = open(stage, &lines, &lines::FRONTENDS[6..], 2)?;
        lines::set_ends(stage, &[])?;
        all.iter_mut().try_for_each(Line::talk).context("before the deadline")?;
        ended(stage, all.len())?;
        for (n, line) in all.iter_mut().enumerate() {
            if n % 2 == 0 { line.is_reset_when_it_asks() } else { line.is_reset_when_it_reads() }?;
        }
        Ok(())
    })
}

/// Of two Services with a long deadline one loses it, and the other gets a short one.
fn changed() -> Result<()> {
    twins(Some(Duration::from_secs(3_600)))?.play(|stage| {
        stage.change(|scene| annotate(scene, "ns/twin", DEADLINE, Some("1h30m")))?;
        let lines = Lines::listen(stage)?;
        let mut own = lines.open_everywhere(stage, 1)?;
        let mut twins = open(stage, &lines, &TWIN_AT, 9)?;
        stage.change(|scene| {
            lines::keep_ends(scene, &[SECOND]);
            for slice in scene.slices.iter_mut().filter(|slice| slice.service == "ns/twin") {
                slice.endpoints.truncate(1);
            }
        })?;
        ensure!(stage.metric(DRAINING)? == 8.0, "two endpoints of each in each family");
        stage.change(|scene| {
            annotate(scene, "ns/twin", DEADLINE, None);
            annotate(scene, LINES, DEADLINE, Some("1s"));
        })?;
        let leaving = own.iter().filter(|line| line.end != SECOND).count();
        ended(stage, leaving)?;
        ensure!(stage.metric(DRAINING)? == 0.0, "something still drains");
        twins.iter_mut().try_for_each(Line::talk).context("of the Service without a deadline")?;
        for line in &mut own {
            if line.end == SECOND { line.talk() } else { line.is_reset_when_it_asks() }?;
        }
        Ok(())
    })
}

/// The page says what drains until when, in JSON and in words, and nothing once it is back.
fn on_the_page() -> Result<()> {
    plan(Some(Duration::from_secs(3_600)))?.start()?.play(|stage| {
        let page = |stage: &Stage, format: &str| stage.page(&format!("/debug/rules/{LINES}?format={format}"));
        lines::set_ends(stage, &[SECOND, THIRD])?;
        let view: serde_json::Value = serde_json::from_str(&page(stage, "json")?)?;
        let draining = view["draining"].as_array().context("no list")?;
        let ends: Vec<_> = draining.iter().filter_map(|one| one["endpoint"].as_str()).collect();
        ensure!(ends == ["10.244.2.1:9090", "[fd00:244:0:2::1]:9090"], "{view:#}");
        let left = draining[0]["endsInSeconds"].as_u64().context("no time")?;
        ensure!((3_000..=3_600).contains(&left), "{left} s are left");
        let said = "draining: 10.244.2.1:9090 tcp, gone at 20";
        ensure!(page(stage, "text")?.contains(said), "{}", page(stage, "text")?);
        ensure!(page(stage, "html")?.contains("Connections end at"));
        let whole = lines::slices()?;
        stage.change(|scene| {
            scene.slices.retain(|slice| slice.service != LINES);
            scene.slices.extend(whole);
        })?;
        ensure!(!page(stage, "text")?.contains("draining: "), "{}", page(stage, "text")?);
        ensure!(!page(stage, "html")?.contains("Connections end at"));
        Ok(())
    })
}

/// Connections that are to end. Half of them of the endpoint that goes.
const THOUSANDS: u32 = 40_000;

/// Connections of 203.0.113.9 and its neighbours to two endpoints that nobody has, as conntrack has them.
pub(crate) fn remember(stage: &Stage, count: u32, vip: &str) -> Result<()> {
    use std::fmt::Write;
    let mut text = String::new();
    for n in 0..count {
        let (client, port, end) = (9 + n / 30_000, 10_000 + n % 30_000, 1 + n % 2);
        writeln!(
            text,
            "-I -p tcp -s 203.0.113.{client} -d {vip} --sport {port} --dport 90 --dst-nat 10.244.2.{end}:9090 \
             --state ESTABLISHED --timeout 3600 -u ASSURED,SEEN_REPLY"
        )?;
    }
    let scratch = testkit::scratch::Scratch::new()?;
    let file = scratch.path().join("flows");
    std::fs::write(&file, text)?;
    stage.node().command("conntrack", &["-R", &file.to_string_lossy()]).map(drop)
}

/// Their end keeps no change waiting.
fn thousands() -> Result<()> {
    plan(Some(Duration::from_secs(1)))?.start()?.play(|stage| {
        let lines = Lines::listen(stage)?;
        let (from, to) = lines::FRONTENDS[6];
        remember(stage, THOUSANDS, "198.51.100.20")?;
        let mut mine = (0..6).map(|_| lines.open(stage, from, to)).collect::<Result<Vec<_>>>()?;
        lines::set_ends(stage, &[SECOND, THIRD])?;
        let (began, mut slowest, mut changes) = (Instant::now(), Duration::ZERO, 0);
        while stage.metric(super::ENDED)? < f64::from(THOUSANDS / 2) {
            ensure!(began.elapsed() < deadline() * 10, "they do not end");
            let begun = Instant::now();
            changes += 1;
            let weights = format!("10.244.1.1={changes}");
            stage.change(|scene| annotate(scene, "ns/served", "towpath.dev/weights", Some(&weights)))?;
            slowest = slowest.max(begun.elapsed());
        }
        for line in &mut mine {
            if line.end == 0 { line.is_reset_when_it_asks() } else { line.talk() }?;
        }
        let log = stage.log()?;
        let told = log.lines().find(|line| line.contains("drain deadlines are over")).unwrap_or("nothing");
        eprintln!("{changes} changes, the slowest in {slowest:?}; {told}");
        ensure!(slowest < deadline() * 2, "a change took {slowest:?}");
        Ok(())
    })
}
