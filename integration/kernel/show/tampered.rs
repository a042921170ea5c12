//! `explain --live` and `diff` of the running agent, in the moment before it repairs.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use model::IpFamily;
use serde_json::Value;
use testkit::schema::conforms;

use crate::Test;
use crate::backend::is_iptables;
use crate::iptables::tamper::chain_of_service;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::Stage;
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("explain_live_names_what_keeps_the_packet_from_its_rules", explain_tampered),
    Test::new("diff_of_the_agent_names_what_others_have_done", diff_tampered),
];

/// What somebody does, which list names it, and a part of its line.
type Tamper = (&'static str, &'static str, &'static str);

/// The same by lines of `iptables-restore`; `SVC` stands for the chain of the Service, `VIP` for that which leads to it.
const IN_IPTABLES: &[Tamper] = &[
    ("-t nat -F SVC", "differences", "-j TOWPATH-"),
    ("-t nat -F TOWPATH-SERVICES", "shared_differences", "TOWPATH-SERVICES"),
    ("-t nat -D PREROUTING 1", "shared_differences", "-t nat PREROUTING: "),
    (
        "-t nat -I TOWPATH-SERVICES 1 -d 10.96.0.10/32 -j ACCEPT",
        "shared_differences",
        "10.96.0.10/32 -j ACCEPT",
    ),
    ("-t nat -I VIP 1 -j ACCEPT", "shared_differences", ": -j ACCEPT"),
];

const IN_NFTABLES: &[Tamper] = &[
    (
        "delete element ip towpath vips { 10.96.0.10 . tcp . 80 }",
        "differences",
        "10.96.0.10 . tcp . 80 : goto",
    ),
    (
        "delete element ip towpath vips { 10.96.0.10 . tcp . 80 }
         add element ip towpath vips { 10.96.0.10 . tcp . 80 : drop }",
        "differences",
        "10.96.0.10 . tcp . 80 : drop",
    ),
    ("delete chain ip towpath nat-prerouting", "shared_differences", "nat-prerouting"),
    ("add table ip towpath { flags dormant; }", "shared_differences", "flags dormant"),
    (
        "insert rule ip towpath services ip daddr 10.96.0.10 drop",
        "shared_differences",
        "not ours: payload cmp drop",
    ),
    (
        "add chain ip towpath filter-forward { type filter hook forward priority 0; policy drop; }",
        "shared_differences",
        "policy drop",
    ),
];

fn tampers() -> &'static [Tamper] {
    if is_iptables() { IN_IPTABLES } else { IN_NFTABLES }
}

fn hand(stage: &Stage, tamper: &str) -> Result<()> {
    if !is_iptables() {
        return stage.node().nft(tamper).map(drop);
    }
    let ours = stage.saved(Variant::current())?.ours();
    let vip = |((_, table, chain), rules): (&(IpFamily, String, String), &Vec<String>)| {
        let leads =
            rules.iter().any(|rule| rule.contains("-d 10.96.0.10/32") && rule.contains("--dport 80 "));
        (table == "nat" && chain.starts_with("TOWPATH-VIP-") && leads).then(|| chain.clone())
    };
    let vip = ours.0.iter().find_map(vip).context("no chain of the VIP")?;
    let line = tamper.replace("SVC", &chain_of_service(&ours)?).replace("VIP", &vip);
    stage.edit(Variant::current(), &[line])
}

fn explain_tampered() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        for (tamper, list, words) in tampers() {
            before_the_repair(stage, tamper, |stage| {
                let args = ["explain", "--live", "--from", POD, "--to", "10.96.0.10:80", "-o", "json"];
                let view = view(stage, &args)?;
                conforms("explain-live", &view)?;
                Ok(view["kernel"][list].to_string().contains(words))
            })
            .with_context(|| format!("{tamper}: no {words:?} in {list}"))?;
        }
        Ok(())
    })
}

fn diff_tampered() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        for (tamper, _, words) in tampers() {
            before_the_repair(stage, tamper, |stage| {
                let output = stage.run_program(&["diff"])?;
                let text = String::from_utf8_lossy(&output.stdout);
                let names = text.contains(words);
                ensure!(names == (output.status.code() == Some(1)), "{output:?}");
                Ok(names)
            })
            .with_context(|| format!("{tamper}: no {words:?}"))?;
        }
        Ok(())
    })
}

fn view(stage: &Stage, args: &[&str]) -> Result<Value> {
    let output = stage.run_program(args)?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))
}

/// The agent may be faster than the question, so a few are asked.
fn before_the_repair(stage: &mut Stage, tamper: &str, seen: impl Fn(&Stage) -> Result<bool>) -> Result<()> {
    for n in 0..20 {
        // At another moment of the agent's pace each time.
        std::thread::sleep(Duration::from_millis(37 * n % 250));
        hand(stage, tamper).context("the test's own hand")?;
        let seen = seen(stage);
        stage.progress()?;
        if seen? {
            return Ok(());
        }
    }
    bail!("never seen")
}
