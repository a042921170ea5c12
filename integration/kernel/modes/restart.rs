//! The mode changes from one start to the next: the new process has other rules complete before those it finds go.

use anyhow::{Result, ensure};

use super::{in_force, modes_in_kernel, plan, play};
use crate::Test;
use crate::backend::{Backend, LEGACY, NFT_VARIANT, NFTABLES};
use crate::rules::generation;
use crate::stage::Stage;
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("every_mode_after_every_other_nobody_notices", every_pair),
    Test::new("a_killed_program_starts_in_another_mode", || {
        played(&[&LEGACY, &NFTABLES, &NFT_VARIANT], Stage::kill)
    }),
    Test::new("foreign_rules_survive_every_mode", foreign_rules_survive),
    Test::new("without_its_manifests_the_old_mode_serves_on", old_mode_serves_on),
];

/// All ordered pairs in a row.
const EVERY_PAIR: [&Backend; 7] =
    [&NFTABLES, &LEGACY, &NFT_VARIANT, &NFTABLES, &NFT_VARIANT, &LEGACY, &NFTABLES];

fn every_pair() -> Result<()> {
    played(&EVERY_PAIR, Stage::stop)
}

fn played(backends: &[&'static Backend], end: fn(&mut Stage) -> Result<()>) -> Result<()> {
    let mut stage = plan(backends[0])?.build()?;
    stage.start()?;
    play(stage, |stage| {
        for next in &backends[1..] {
            end(stage)?;
            stage.set_backend(next);
            stage.start()?;
            in_force(stage, next)?;
        }
        Ok(())
    })
}

/// What others have is as it was after every mode, and after cleanup.
fn foreign_rules_survive() -> Result<()> {
    let mut stage = plan(&NFTABLES)?.build()?;
    for variant in Variant::ALL {
        stage.add_foreign_rules(variant)?;
    }
    stage
        .node()
        .nft("table inet others {\n chain c { type filter hook input priority 7; counter\n }\n}\n")?;
    let foreign = |stage: &Stage| {
        Ok::<_, anyhow::Error>([
            stage.saved(Variant::Legacy)?.foreign(),
            stage.saved(Variant::Nft)?.foreign(),
        ])
    };
    let before = foreign(&stage)?;
    stage.start()?;
    stage.play(|stage| {
        for next in EVERY_PAIR {
            stage.stop()?;
            stage.set_backend(next);
            stage.start()?;
            in_force(stage, next)?;
            for (now, before) in foreign(stage)?.iter().zip(&before) {
                now.must_be(before)?;
            }
        }
        ensure!(stage.node().command("nft", &["list", "tables"])?.contains("inet others"));
        Ok(())
    })
}

/// A start in another mode that has nothing to program yet leaves what serves.
fn old_mode_serves_on() -> Result<()> {
    let mut stage = plan(&NFTABLES)?.through_api().build()?;
    stage.start()?;
    play(stage, |stage| {
        stage.stop()?;
        let before = generation(stage.node())?;
        stage.cluster()?.server.faults().refuse(true);
        stage.set_backend(&LEGACY);
        stage.launch()?;
        stage.soon("the server to be missed", |stage| {
            ensure!(stage.log()?.contains("WARN api: "), "nothing is said");
            Ok(())
        })?;
        ensure!(generation(stage.node())? == before, "something was written to nf_tables");
        ensure!(modes_in_kernel(stage)? == [NFTABLES.name]);
        stage.cluster()?.server.faults().refuse(false);
        in_force(stage, &LEGACY)
    })
}
