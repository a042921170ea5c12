//! Other programs' hands in our chains: repaired within some seconds, and theirs left alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::IpFamily;
use model::Protocol::Tcp;
use testkit::scene::Scene;

use super::BOTH;
use crate::Test;
use crate::lifecycle::{POD, many};
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::Stage;
use crate::tamper::in_time;
use crate::xt::{Rules, Variant};

pub(crate) const TESTS: &[Test] = &[
    Test::new("deleted_rule", || repaired(|_| Ok(vec!["-t nat -D TOWPATH-SERVICES 1".into()]))),
    Test::new("rule_in_the_middle", || {
        repaired(|_| Ok(vec!["-t nat -I TOWPATH-SERVICES 2 -s 192.0.2.9/32 -j RETURN".into()]))
    }),
    Test::new("flushed_chain_of_a_service", || {
        repaired(|ours| Ok(vec![format!("-t nat -F {}", chain_of_service(ours)?)]))
    }),
    Test::new("deleted_jump_in_nat", || {
        repaired(|ours| Ok(vec![format!("-t nat -D PREROUTING {}", jump(ours, "nat", "PREROUTING")?)]))
    }),
    Test::new("deleted_jump_in_filter", || {
        repaired(|ours| Ok(vec![format!("-t filter -D FORWARD {}", jump(ours, "filter", "FORWARD")?)]))
    }),
    Test::new("second_jump", || repaired(|_| Ok(vec!["-t nat -A PREROUTING -j TOWPATH-SERVICES".into()]))),
    Test::new("flushed_nat_table", || repaired(|_| Ok(vec!["-t nat -F".into()]))),
    Test::new("flushed_and_deleted_everything", || {
        repaired(|_| Ok(["-t nat -F", "-t nat -X", "-t filter -F", "-t filter -X"].map(str::to_owned).into()))
    }),
    Test::new("stray_chain_of_our_name", || repaired(|_| Ok(vec!["-t nat -N TOWPATH-SVC-MINE".into()]))),
    Test::new("stray_chain_with_a_way_to_ours", || {
        repaired(|_| {
            Ok(vec!["-t nat -N TOWPATH-MINE".into(), "-t nat -A TOWPATH-MINE -j TOWPATH-SERVICES".into()])
        })
    }),
    Test::new("deleted_rule_right_after_a_large_load", after_a_large_load),
    Test::new("rule_replaced_by_one_of_the_same_size", same_size),
    Test::new("others_change_their_rules_and_nothing_of_ours_is_written", others_change),
];

/// Repair is due within some seconds; `cargo xtask bench hands` measures how soon it is.
const DEADLINE: Duration = Duration::from_secs(6);
/// The same right after a load of some seconds.
const AFTER_A_LOAD: Duration = Duration::from_secs(25);
const REPAIRED: &str = "towpath_drift_repaired_total";

/// The chain that the first frontend leads to.
pub(crate) fn chain_of_service(ours: &Rules) -> Result<String> {
    let rules =
        ours.0.iter().filter(|((family, ..), _)| *family == IpFamily::V4).flat_map(|(_, rules)| rules);
    let mut leads =
        rules.filter(|rule| rule.contains("-d 10.96.0.10/32") && rule.contains("-j TOWPATH-SVC-"));
    let rule = leads.next().context("no rule for 10.96.0.10")?;
    rule.split_whitespace().last().map(str::to_owned).context("no target")
}

/// The number of our jump in a built-in chain; the first line is the chain's policy.
fn jump(ours: &Rules, table: &str, chain: &str) -> Result<String> {
    let rules = ours.chain(IpFamily::V4, table, chain)?;
    let place = rules.iter().position(|rule| rule.contains("-j TOWPATH-")).context("no jump of ours")?;
    Ok(place.to_string())
}

type Script = fn(&Rules) -> Result<Vec<String>>;

/// Tampers in IPv4; then everything must be as it was, in time, counted and told.
fn repaired(script: Script) -> Result<()> {
    tampered_with(|_| (), script, DEADLINE)
}

fn tampered_with(change: fn(&mut Scene), script: Script, deadline: Duration) -> Result<()> {
    let mut stage = Plan::new(RICH)?.hosts(&[POD])?.with(change).build()?;
    let variant = Variant::current();
    stage.add_foreign_rules(variant)?;
    stage.start()?;
    stage.play(|stage| {
        let (before, repairs) = (stage.saved(variant)?, stage.metric(REPAIRED)?);
        let lines = script(&before)?;
        stage.edit(variant, &lines).with_context(|| format!("the test's own {lines:#?}"))?;
        let foreign = stage.saved(variant)?.foreign();
        let same = in_time(stage, deadline, |stage| {
            Ok(ours(stage)? == before.ours().unordered() && stage.metric(REPAIRED)? > repairs)
        });
        same.or_else(|late| ours(stage)?.must_be(&before.ours().unordered()).and(Err(late)))?;
        stage.progress()?;
        stage.saved(variant)?.foreign().must_be(&foreign).context("rules of others")?;
        // The log is written by a thread of its own.
        stage.soon("a word of it in the log", |stage| {
            ensure!(stage.log()?.contains("another program had changed our"), "no word of it in the log");
            Ok(())
        })?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

/// How long the first load took is no reason not to look for long: fifty times as long it would be, if it counted as a
/// comparison because of others.
fn after_a_large_load() -> Result<()> {
    let script: Script = |_| Ok(vec!["-t nat -D TOWPATH-SERVICES 1".into()]);
    tampered_with(|scene| many(scene, 500), script, AFTER_A_LOAD)
}

fn ours(stage: &Stage) -> Result<Rules> {
    Ok(stage.saved(Variant::current())?.ours().unordered())
}

/// Numbers and sizes are as before; only the contents show it.
fn same_size() -> Result<()> {
    let script: Script = |ours| {
        let chain = chain_of_service(ours)?;
        let rules = ours.chain(IpFamily::V4, "nat", &chain)?;
        let place = rules.iter().position(|rule| rule.contains("-s 10.244.0.0/16")).context("no rule")? + 1;
        let rule = rules[place - 1].replace("10.244.0.0/16", "10.245.0.0/16");
        Ok(vec![format!("-t nat -R {chain} {place} {rule}")])
    };
    repaired(script)
}

/// Others may do with their rules what they like; nothing of ours is written for that.
fn others_change() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let variant = Variant::current();
        let (ours, writes) = (stage.saved(variant)?.ours(), stage.metric("towpath_kernel_writes_total")?);
        let looks = full_syncs(stage)?;
        stage.add_foreign_rules(variant)?;
        let foreign = stage.saved(variant)?.foreign();
        // In the legacy variant a digest shows that nothing of ours is touched.
        if variant == Variant::Nft {
            in_time(stage, DEADLINE, |stage| Ok(full_syncs(stage)? > looks))?;
        }
        stage.progress()?;
        let now = stage.metric("towpath_kernel_writes_total")?;
        ensure!(now == writes && stage.metric(REPAIRED)? == 0.0, "{} objects were written", now - writes);
        stage.saved(variant)?.ours().must_be(&ours)?;
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.saved(variant)?.foreign().must_be(&foreign)
    })
}

pub(super) fn full_syncs(stage: &Stage) -> Result<f64> {
    stage.metric("kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}")
}
