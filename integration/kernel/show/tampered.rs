//! `explain --live` and `diff` of the running agent, in the moment before it repairs.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::schema::conforms;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("explain_live_names_what_keeps_the_packet_from_its_rules", explain_tampered).only_nftables(),
    Test::new("diff_of_the_agent_names_what_others_have_done", diff_tampered).only_nftables(),
];

/// What somebody does, which list names it, and a part of its line.
const TAMPERS: &[(&str, &str, &str)] = &[
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

fn explain_tampered() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        for (tamper, list, words) in TAMPERS {
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
        for (tamper, _, words) in TAMPERS {
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
        stage.node().nft(tamper).context("the test's own script")?;
        let seen = seen(stage);
        stage.progress()?;
        if seen? {
            return Ok(());
        }
    }
    bail!("never seen")
}
