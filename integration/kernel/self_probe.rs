//! The self-probe with real packets: it works, somebody drops them, it works again.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::scene::NODE_NAME;

use crate::Test;
use crate::agent::run_to_end;
use crate::duties::event;
use crate::http::{self, Answer};
use crate::plan::Plan;
use crate::rules::generation;
use crate::scenes::SMALL;
use crate::stage::{NODE, NODE6, Stage, socket};

pub(crate) const TESTS: &[Test] = &[
    Test::new("healthy_while_packets_flow_in_both_families", healthy_while_packets_flow),
    Test::new("dropped_packets_are_unhealthy_until_they_flow", dropped_packets),
    Test::new("what_cannot_be_tried_counts_for_nothing", without_a_route),
    Test::new("it_goes_when_it_is_turned_off", turned_off),
    Test::new("a_verdict_is_an_event_of_the_node", events),
    Test::new("who_crowds_its_port_does_not_break_it", crowded),
];

/// Only where the generation of nf_tables says whether something was written.
pub(crate) const RESTARTS: &[Test] = &[Test::new("a_restart_writes_nothing_for_it", restart)];

const ON: [&str; 2] = ["--self-probe", "--self-probe-interval=100ms"];
const FRONTENDS: [&str; 2] = ["198.18.102.49", "2001:2::10:249"];
/// Somebody else's table, which drops what goes to the canary of a family.
const DROPS: &str = "
add table inet somebody
add chain inet somebody out { type filter hook output priority 100; }
add rule inet somebody out tcp dport 10253 drop
";

fn page(stage: &Stage, path: &str) -> Result<Answer> {
    let at = "127.0.0.1:10256".parse()?;
    http::get(stage.node(), at, path)?.with_context(|| format!("{path}: no answer"))
}

fn tries(stage: &Stage, family: &str, result: &str) -> f64 {
    let name = format!("towpath_self_probe_tries_total{{ip_family=\"{family}\",result=\"{result}\"}}");
    stage.metric(&name).unwrap_or(0.0)
}

/// Waits until both families were tried some more times, all of them with success.
fn works(stage: &Stage) -> Result<()> {
    for family in ["IPv4", "IPv6"] {
        let before = tries(stage, family, "works");
        stage.soon(&format!("tries of {family} that work"), |stage| {
            let now = tries(stage, family, "works");
            ensure!(now >= before + 2.0, "{now} tries worked, {before} before");
            Ok(())
        })?;
    }
    stage.soon("readiness", |stage| {
        let answer = page(stage, "/readyz")?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
}

fn healthy_while_packets_flow() -> Result<()> {
    Plan::new(SMALL)?.flags(&ON).start()?.play(|stage| {
        works(stage)?;
        for family in ["IPv4", "IPv6"] {
            ensure!(tries(stage, family, "fails") == 0.0, "{family}: a try failed");
        }
        let rules = stage.page("/debug/rules")?;
        ensure!(FRONTENDS.iter().all(|frontend| rules.contains(frontend)), "no canary in {rules}");
        Ok(())
    })
}

fn dropped_packets() -> Result<()> {
    Plan::new(SMALL)?.flags(&ON).start()?.play(|stage| {
        works(stage)?;
        stage.node().nft(DROPS)?;
        stage.soon("a verdict", |stage| {
            let ready = page(stage, "/readyz")?;
            ensure!(ready.status == 503 && ready.body.contains("the self-probe fails: IPv4: "), "{ready:?}");
            ensure!(ready.body.contains("IPv6: "), "{ready:?}");
            Ok(())
        })?;
        let health = page(stage, "/healthz")?;
        let body: Value = serde_json::from_str(&health.body)?;
        ensure!(
            health.status == 503 && body["selfProbe"].is_string() && body["healthy"] == false,
            "{health:?}"
        );
        let status = stage.run_program(&["status"])?;
        let told = String::from_utf8_lossy(&status.stdout);
        ensure!(
            status.status.code() == Some(1) && told.contains("the self-probe fails: IPv4: "),
            "{status:?}"
        );
        let live = page(stage, "/livez")?;
        ensure!(live.status == 200, "a restart mends nothing: {live:?}");
        stage.node().nft("delete table inet somebody")?;
        works(stage)?;
        stage.soon("words of it in the log", |stage| {
            let log = stage.log()?;
            for word in ["failed 3 times in a row", "works again"] {
                ensure!(log.contains(word), "{word:?} is not in the log");
            }
            Ok(())
        })
    })
}

fn events() -> Result<()> {
    Plan::new(SMALL)?.flags(&ON).through_api().start()?.play(|stage| {
        works(stage)?;
        stage.node().nft(DROPS)?;
        let failed = event(stage, "SelfProbeFailed")?;
        let text = failed["message"].as_str().unwrap_or_default().to_owned();
        ensure!(failed["type"] == "Warning" && failed["involvedObject"]["kind"] == "Node", "{failed:#}");
        ensure!(text.contains("198.18.102.49:10253") && text.contains("no answer within 1s"), "{text}");
        stage.node().nft("delete table inet somebody")?;
        let works = event(stage, "SelfProbeSucceeded")?;
        ensure!(works["type"] == "Normal" && works["involvedObject"]["name"] == NODE_NAME, "{works:#}");
        Ok(())
    })
}

/// Programs of the node take all places there are, say nothing, and come again when they are sent away.
fn crowded() -> Result<()> {
    Plan::new(SMALL)?.flags(&ON).start()?.play(|stage| {
        works(stage)?;
        let (ended, came) = (AtomicBool::new(false), AtomicUsize::new(0));
        let tried = thread::scope(|scope| {
            for to in [format!("{NODE}:10253"), format!("[{NODE6}]:10253"), format!("{}:10253", FRONTENDS[0])]
            {
                let (stage, ended, came) = (&*stage, &ended, &came);
                scope.spawn(move || crowd(stage, &to, ended, came));
            }
            let tried = many_tries(stage, &came);
            ended.store(true, Relaxed);
            tried
        });
        tried?;
        for family in ["IPv4", "IPv6"] {
            let failed = tries(stage, family, "fails");
            ensure!(failed == 0.0, "{family}: {failed} tries failed while {came:?} others came");
        }
        Ok(())
    })
}

/// Holds connections there, more than are served, and opens new ones for those that end.
fn crowd(stage: &Stage, to: &str, ended: &AtomicBool, came: &AtomicUsize) -> Result<()> {
    let to = socket(to)?;
    stage.node().run(|| {
        let mut held = VecDeque::new();
        while !ended.load(Relaxed) {
            if let Ok(stream) = TcpStream::connect_timeout(&to, Duration::from_secs(1)) {
                held.push_back(stream);
                came.fetch_add(1, Relaxed);
            }
            if held.len() > 40 {
                held.pop_front();
            }
        }
    })
}

fn many_tries(stage: &Stage, came: &AtomicUsize) -> Result<()> {
    stage.soon("others at the port", |_| {
        ensure!(came.load(Relaxed) > 200, "{came:?} came");
        Ok(())
    })?;
    (0..8).try_for_each(|_| works(stage))
}

fn without_a_route() -> Result<()> {
    let stage = Plan::new(SMALL)?.flags(&ON).build()?;
    stage.node().command("ip", &["route", "del", "default"])?;
    stage.play(|stage| {
        stage.start()?;
        stage.soon("tries of IPv4", |stage| {
            let unknown = tries(stage, "IPv4", "unknown");
            let works = tries(stage, "IPv4", "works");
            // In mode ipvs the rules bring a route.
            ensure!(unknown > 3.0 || works > 3.0, "{unknown} unknown, {works} work");
            Ok(())
        })?;
        ensure!(tries(stage, "IPv4", "fails") == 0.0, "a try without a route failed");
        let ready = page(stage, "/readyz")?;
        ensure!(ready.status == 200, "{ready:?}");
        Ok(())
    })
}

fn turned_off() -> Result<()> {
    Plan::new(SMALL)?.flags(&ON).start()?.play(|stage| {
        works(stage)?;
        stage.stop()?;
        stage.drop_flags("--self-probe");
        stage.start()?;
        let page = stage.progress()?;
        drop(page);
        let rules = stage.page("/debug/rules?diff=1")?;
        ensure!(!FRONTENDS.iter().any(|frontend| rules.contains(frontend)), "something is left in {rules}");
        stage.stop()?;
        stage.add_flags(&ON);
        stage.start()?;
        works(stage)?;
        stage.stop()?;
        let output = run_to_end(stage.node(), &["cleanup"])?;
        ensure!(output.status.success(), "cleanup: {output:?}");
        let left = stage.node().command("nft", &["list", "ruleset"])?;
        ensure!(!left.contains("10253") && !left.contains(FRONTENDS[0]), "left:\n{left}");
        Ok(())
    })
}

fn restart() -> Result<()> {
    Plan::new(SMALL)?.flags(&ON).start()?.play(|stage| {
        works(stage)?;
        stage.stop()?;
        let before = generation(stage.node())?;
        stage.start()?;
        ensure!(generation(stage.node())? == before, "something was written");
        works(stage)
    })
}
