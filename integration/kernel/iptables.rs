//! Mode iptables, with each variant: what only it has.

pub(crate) mod affinity;
pub(crate) mod filter;
pub(crate) mod loading;
pub(crate) mod localhost;
pub(crate) mod sly;
pub(crate) mod tamper;

use anyhow::{Context, Result, ensure};
use model::IpFamily;
use model::Protocol::Tcp;

use crate::Test;
use crate::lifecycle::{POD, many};
use crate::plan::Plan;
use crate::rules::generation;
use crate::scenes::{RICH, SMALL};
use crate::stage::Stage;
use crate::xt::{Rules, Variant};

pub(crate) const TESTS: &[Test] = &[
    Test::new("restart_with_nothing_changed_writes_nothing", restart_writes_nothing),
    Test::new("restart_writes_only_what_changed_meanwhile", restart_writes_what_changed),
    Test::new("one_change_leaves_the_counters_of_other_services", one_change_is_small),
    Test::new("cleanup_removes_ours_and_nothing_else", cleanup_removes_only_ours),
    Test::new("cleanup_beside_a_running_program_of_another_mode", cleanup_of_every_mode),
    Test::new("rules_name_their_service", rules_name_services),
];

const BOTH: [&str; 2] = ["10.244.0.1:8080", "10.244.1.1:8080"];

/// Packets through some frontends of both families: a chain that is written again has lost its counters.
fn knock(stage: &Stage) -> Result<()> {
    for (from, to) in [(POD, "10.96.0.10:80"), (POD, "10.96.0.30:80"), (POD6, "[fd00:96::10]:80")] {
        (0..8).try_for_each(|_| stage.reach(from, to, Tcp).map(drop))?;
    }
    Ok(())
}

const POD6: &str = "fd00:244::5";

/// Counted packets by rule, of chains of ours in table nat: those of the other table move by themselves.
fn counted(stage: &Stage) -> Result<Vec<(String, u64)>> {
    let rules = stage.saved_with_counters(Variant::current())?.ours();
    let mut counts = Vec::new();
    for ((family, table, chain), rules) in rules.0.iter().filter(|((_, table, _), _)| table == "nat") {
        for rule in rules {
            let (count, rule) = rule.split_once("] ").with_context(|| format!("no counters: {rule}"))?;
            let packets = count.trim_start_matches('[').split(':').next().unwrap_or_default();
            counts.push((format!("{family:?} {table} {chain} {rule}"), packets.parse()?));
        }
    }
    Ok(counts)
}

/// Rules of which something was counted before, and less is now: they were written again.
fn rewritten(before: &[(String, u64)], after: &[(String, u64)]) -> Vec<String> {
    let now = |rule: &String| after.iter().find(|(name, _)| name == rule).map_or(0, |(_, count)| *count);
    before.iter().filter(|(rule, count)| now(rule) < *count).map(|(rule, _)| rule.clone()).collect()
}

fn restart_writes_nothing() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD, POD6])?.start()?.play(|stage| {
        knock(stage)?;
        stage.stop()?;
        // Another order of the same objects is nothing new.
        stage.scene.services.reverse();
        stage.scene.slices.iter_mut().for_each(|slice| slice.endpoints.reverse());
        stage.publish()?;
        let before = (counted(stage)?, stage.saved(Variant::current())?, generation(stage.node())?);
        ensure!(before.0.iter().filter(|(_, count)| *count > 0).count() > 8, "nothing was counted");
        stage.start()?;
        let again = rewritten(&before.0, &counted(stage)?);
        ensure!(again.is_empty(), "written again: {again:#?}");
        stage.saved(Variant::current())?.ours().must_be(&before.1.ours())?;
        ensure!(generation(stage.node())? == before.2, "nf_tables was written to");
        let writes = stage.metric("towpath_kernel_writes_total")?;
        ensure!(writes == 0.0, "{writes} objects were written");
        Ok(())
    })
}

fn restart_writes_what_changed() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD, POD6])?.start()?.play(|stage| {
        knock(stage)?;
        stage.stop()?;
        stage.scene.service("ns/empty")?.ports[0].port = 81;
        stage.publish()?;
        let before = counted(stage)?;
        stage.start()?;
        untouched(&rewritten(&before, &counted(stage)?))?;
        let writes = stage.metric("towpath_kernel_writes_total")?;
        ensure!((1.0..30.0).contains(&writes), "{writes} objects were written for one port");
        stage.refused(POD, "10.96.0.40:81", Tcp)
    })
}

/// Chains of single Services that did not change; those that many share are written whole.
fn untouched(rewritten: &[String]) -> Result<()> {
    let own = |rule: &&String| {
        ["TOWPATH-SVC-", "TOWPATH-SEP-", "TOWPATH-EXT-"].iter().any(|c| rule.contains(&format!(" {c}")))
    };
    let wrong: Vec<&String> =
        rewritten.iter().filter(own).filter(|rule| !rule.contains(" nat TOWPATH-VIP")).collect();
    ensure!(wrong.is_empty(), "written again: {wrong:#?}");
    Ok(())
}

fn one_change_is_small() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD, POD6])?.with(|scene| many(scene, 300)).start()?.play(|stage| {
        knock(stage)?;
        let (before, writes) = (counted(stage)?, stage.metric("towpath_kernel_writes_total")?);
        stage.change(|scene| scene.service("many/s7").map(|s| s.ports[0].port = 81).unwrap_or_default())?;
        untouched(&rewritten(&before, &counted(stage)?))?;
        // That Service, and the mark by which the test knows that it was read.
        let writes = stage.metric("towpath_kernel_writes_total")? - writes;
        ensure!((1.0..60.0).contains(&writes), "{writes} objects were written for one port");
        stage.refused(POD, "10.96.16.7:81", Tcp)
    })
}

fn cleanup(stage: &Stage) -> Result<String> {
    let output = stage.run_program(&["cleanup"])?;
    ensure!(output.status.success(), "cleanup: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cleanup_removes_only_ours() -> Result<()> {
    let mut stage = Plan::new(RICH)?.build()?;
    stage.add_foreign_rules(Variant::current())?;
    let before = stage.saved(Variant::current())?;
    stage.start()?;
    stage.play(|stage| {
        ensure!(!stage.saved(Variant::current())?.ours().is_empty(), "nothing was programmed");
        stage.stop()?;
        for _ in 0..2 {
            cleanup(stage)?;
            let left = stage.saved(Variant::current())?;
            left.ours().must_be(&Rules::default())?;
            left.foreign().must_be(&before.foreign())?;
        }
        ensure!(localhost::route_localnet(stage)? == "0", "route_localnet stays");
        Ok(())
    })
}

/// It removes the rules of every mode, and what runs repairs its own.
fn cleanup_of_every_mode() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        for variant in Variant::ALL {
            stage.iptables_of_both(variant, "-t nat -N TOWPATH-SERVICES").unwrap_or_default();
        }
        cleanup(stage)?;
        stage.soon("the repair", |stage| stage.reach(POD, "10.96.0.10:80", Tcp).map(drop))?;
        stage.progress()?;
        let other = Variant::ALL.into_iter().find(|variant| *variant != Variant::current()).context("two")?;
        stage.saved(other)?.ours().must_be(&Rules::default())
    })
}

/// Whoever looks at the rules finds the Service by its name.
fn rules_name_services() -> Result<()> {
    Plan::new(RICH)?.start()?.play(|stage| {
        let ours = stage.saved(Variant::current())?.ours();
        for family in IpFamily::ALL {
            for name in ["ns/plain:p", "ns/plain:u", "ns/local:p", "ns/sticky:p", "ns/empty:p"] {
                let named = ours.0.iter().filter(|((f, _, _), _)| *f == family).flat_map(|(_, rules)| rules);
                let count = named.filter(|rule| rule.contains(name)).count();
                ensure!(count > 0, "{family:?}: no rule names {name}:\n{ours}");
            }
        }
        Ok(())
    })
}
