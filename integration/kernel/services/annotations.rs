//! Annotations of towpath that come, change, go, and cannot be read, on a Service that goes on serving.

use anyhow::{Context, Result, ensure};
use model::Protocol::{Tcp, Udp};

use super::{CLIENTS, CLIENTS6, NODE_PORTS, VIPS, endpoints_of, play};
use crate::Test;
use crate::ipvs::annotate;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("an_annotation_that_cannot_be_read_changes_nothing", unreadable),
    Test::new("annotations_come_and_go_and_leave_nothing", come_and_go),
    Test::new("strict_ranges_of_one_family_close_the_other", one_family),
];

const MULTI: &str = "ns/multi";

/// Name, value, and what the Problem must say that is allowed.
const UNREADABLE: [(&str, &str, &str); 24] = [
    ("prefer-local", "True", "write false or true"),
    ("prefer-local", "yes", "write false or true"),
    ("prefer-local", "1", "write false or true"),
    ("strict-source-ranges", "TRUE", "write false or true"),
    ("strict-source-ranges", "on", "write false or true"),
    ("no-local", "deny", "write drop or reject"),
    ("no-local", "Reject", "write drop or reject"),
    ("no-local", "true", "write drop or reject"),
    ("drain-deadline", "-1s", "from 0s to 24h"),
    ("drain-deadline", "1000h", "from 0s to 24h"),
    ("drain-deadline", "30", "from 0s to 24h"),
    ("drain-deadline", "soon", "from 0s to 24h"),
    ("drain-deadline", "24h0m1s", "from 0s to 24h"),
    ("weights", "abc", "write ADDRESS=WEIGHT or CIDR=WEIGHT"),
    ("weights", "web-0=3", "not an IP address or a CIDR"),
    ("weights", "10.244.1.1=0", "a weight of 1 to 65535"),
    ("weights", "10.244.1.1=-1", "a weight of 1 to 65535"),
    ("weights", "10.244.1.1=100000000000000000000", "a weight of 1 to 65535"),
    ("weights", "10.244.1.1=1, 10.244.1.1=2", "the second weight of 10.244.1.1/32"),
    ("weights", "10.244.1.1/16=1", "write 10.244.0.0/16 or 10.244.1.1"),
    ("scheduler", "fastest", "use one of rr, wrr"),
    ("prefer-locall", "true", "towpath.dev/prefer-local"),
    ("drain_deadline", "5m30s", "towpath.dev/drain-deadline"),
    ("weight", "10.244.1.1=3", "towpath.dev/weights"),
];

/// All that it asks for without annotations.
fn serves(stage: &Stage) -> Result<()> {
    stage.reaches(CLIENTS[0], VIPS[0][0], Tcp, &endpoints_of(Tcp, 0))?;
    stage.reach(CLIENTS[2], NODE_PORTS[0], Udp)?;
    stage.reach(CLIENTS6[2], NODE_PORTS[1], Tcp).map(drop)
}

/// Writes an annotation, and waits until that is read and programmed, whether or not it means anything.
fn put(stage: &mut Stage, name: &str, value: Option<&str>) -> Result<()> {
    annotate(&mut stage.scene, MULTI, name, value);
    stage.publish()?;
    stage.await_mark().with_context(|| format!("{name}: {value:?}"))
}

/// How many kernel objects the Service became.
fn objects(stage: &Stage) -> Result<u64> {
    let page: serde_json::Value = serde_json::from_str(&stage.page("/debug/rules/ns/multi?format=json")?)?;
    page["rules"]["objects"].as_u64().with_context(|| format!("no number of objects in {page:#}"))
}

fn unreadable() -> Result<()> {
    play(|stage| {
        stage.await_mark()?;
        let before = objects(stage)?;
        for (name, value, allowed) in UNREADABLE {
            let name = format!("towpath.dev/{name}");
            let what = || format!("{name}: {value:?}");
            put(stage, &name, Some(value))?;
            let page = stage.progress_where("one Problem", |page| page.problems.len() == 1);
            let problems = page.with_context(what)?.problems;
            let says = [MULTI, &name, allowed].iter().all(|word| problems[0].contains(word));
            ensure!(says, "{}: {problems:?}", what());
            // It is said once, and not again for a change beside it.
            let log = stage.log()?.matches(&problems[0]).count();
            ensure!(log == 1, "{}: {log} times in the log", what());
            ensure!(objects(stage)? == before, "{} changed the rules", what());
            put(stage, &name, None)?;
            stage.progress_where("no Problem", |page| page.problems.is_empty()).with_context(what)?;
        }
        // One bad word does not take the others away, nor the Service.
        stage.change(|scene| {
            annotate(scene, MULTI, "towpath.dev/weights", Some("abc"));
            annotate(scene, MULTI, "towpath.dev/prefer-local", Some("true"));
            annotate(scene, MULTI, "towpath.dev/no-local", Some("no"));
        })?;
        let says =
            |text: &String| ["towpath.dev/weights", "towpath.dev/no-local"].iter().all(|w| text.contains(w));
        stage.progress_where("both in one Problem", |page| {
            page.problems.len() == 1 && says(&page.problems[0])
        })?;
        stage.reaches(CLIENTS[0], VIPS[0][0], Tcp, &endpoints_of(Tcp, 0)[1..])?;
        stage.change(|scene| annotate(scene, MULTI, "towpath.dev/prefer-local", None))?;
        serves(stage)
    })
}

/// Each with a value, and another one.
const READABLE: [(&str, &str, &str); 6] = [
    ("prefer-local", "true", "false"),
    ("no-local", "reject", "drop"),
    ("strict-source-ranges", "true", "false"),
    ("drain-deadline", "5m30s", "0"),
    ("weights", "10.244.1.0/24=3", "fd00:244::/32=1000, 10.244.0.2=65535"),
    ("scheduler", "wlc", "rr"),
];

/// All of them at once on a Service with affinity and source ranges, one after the other, and away again.
fn come_and_go() -> Result<()> {
    play(|stage| {
        stage.change(|scene| {
            if let Ok(service) = scene.service(MULTI) {
                service.session_affinity = Some("ClientIP".to_owned());
                service.lb_source_ranges = vec!["203.0.113.0/24".to_owned(), "2001:db8:1::/64".to_owned()];
            }
        })?;
        let before = objects(stage)?;
        for (name, value, other) in READABLE {
            for value in [value, other] {
                let name = format!("towpath.dev/{name}");
                put(stage, &name, Some(value))?;
                stage.reach(CLIENTS[2], VIPS[0][1], Tcp).with_context(|| format!("{name}: {value}"))?;
                stage.reach(CLIENTS6[2], NODE_PORTS[1], Udp).with_context(|| format!("{name}: {value}"))?;
            }
        }
        // A restart with all of them writes nothing anew.
        stage.stop()?;
        stage.start()?;
        stage.progress_where("no Problem", |page| page.problems.is_empty())?;
        ensure!(stage.metric("towpath_kernel_writes_total")? == 0.0, "a restart wrote");
        for (name, ..) in READABLE {
            let name = format!("towpath.dev/{name}");
            put(stage, &name, None)?;
        }
        let after = objects(stage)?;
        ensure!(after == before, "{before} objects before, {after} after");
        stage.reach(CLIENTS[0], NODE_PORTS[0], Tcp).map(drop)
    })
}

/// A family without a range is closed to all but the ClusterIP, with affinity as without, and a Problem says so.
fn one_family() -> Result<()> {
    play(|stage| {
        stage.change(|scene| {
            annotate(scene, MULTI, "towpath.dev/strict-source-ranges", Some("true"));
            if let Ok(service) = scene.service(MULTI) {
                service.session_affinity = Some("ClientIP".to_owned());
                service.lb_source_ranges = vec!["203.0.113.0/29".to_owned()];
            }
        })?;
        let told = "has no range of IPv6, so IPv6 is closed to all but the ClusterIP";
        stage.progress_where("the Problem", |page| {
            page.problems.len() == 1 && page.problems[0].contains(told)
        })?;
        for protocol in [Tcp, Udp] {
            for to in [NODE_PORTS[0], VIPS[0][1], VIPS[0][2]] {
                stage.reach(CLIENTS[2], to, protocol)?;
                // A pod and the node are in no range.
                stage.dropped(CLIENTS[0], to, protocol)?;
                stage.dropped(CLIENTS[1], to, protocol)?;
            }
            for (client, to) in
                CLIENTS6.into_iter().flat_map(|c| [NODE_PORTS[1], VIPS[1][1], VIPS[1][2]].map(|to| (c, to)))
            {
                stage.dropped(client, to, protocol)?;
            }
            CLIENTS6
                .into_iter()
                .try_for_each(|client| stage.reach(client, VIPS[1][0], protocol).map(drop))?;
        }
        stage.change(|scene| annotate(scene, MULTI, "towpath.dev/strict-source-ranges", None))?;
        stage.progress_where("no Problem", |page| page.problems.is_empty())?;
        for (client, to) in
            [(CLIENTS[0], NODE_PORTS[0]), (CLIENTS6[2], NODE_PORTS[1]), (CLIENTS6[0], VIPS[1][1])]
        {
            stage.reach(client, to, Tcp)?;
        }
        stage.dropped(CLIENTS[0], VIPS[0][1], Tcp)
    })
}
