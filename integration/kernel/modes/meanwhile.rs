//! What happens while a move to another mode is under way: Services change, the file changes again, the program dies.

use anyhow::{Context, Result, bail, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use super::{BOTH, PATIENCE, ask_for, in_force, play, stage, told_mode};
use crate::Test;
use crate::backend::{Backend, LEGACY, NFT_VARIANT, NFTABLES};
use crate::lifecycle::{POD, many};
use crate::stage::Stage;
use crate::xt::Variant;

pub(crate) const TESTS: &[Test] = &[
    Test::new("services_change_while_legacy_rules_are_loaded", || changes_meanwhile(&LEGACY)),
    Test::new("services_change_while_nft_variant_rules_are_loaded", || changes_meanwhile(&NFT_VARIANT)),
    Test::new("a_change_of_mind_leaves_one_mode", change_of_mind),
    Test::new("killed_in_the_middle_of_a_move_one_mode_is_left", killed_in_the_middle),
];

/// So many Services that a load takes its time.
const MANY: u16 = 600;

/// The Service that changes gets another port and other endpoints again and again, from before a move until after it.
fn changes_meanwhile(backend: &'static Backend) -> Result<()> {
    play(stage(backend, |scene| many(scene, MANY))?, |stage| {
        let mut port = 1000;
        for to in [backend, &NFTABLES] {
            ask_for(stage, to)?;
            let before = port;
            while told_mode(stage)? != to.mode.as_str() || port < before + 5 {
                port += 1;
                change_other(stage, port)?;
                ensure!(port < before + 2000, "the mode does not change");
            }
            in_force(stage, to)?;
            stage.await_mark()?;
            let endpoints = if port.is_multiple_of(2) { &BOTH[..] } else { &BOTH[1..] };
            stage.reaches(POD, &format!("10.96.0.40:{port}"), Tcp, endpoints)?;
            if stage.reach(POD, &format!("10.96.0.40:{}", port - 1), Tcp).is_ok() {
                bail!("the port of before still answers");
            }
        }
        Ok(())
    })
}

fn change_other(stage: &mut Stage, port: u16) -> Result<()> {
    stage.scene.service("ns/other")?.ports[0].port = port;
    let slice =
        stage.scene.slices.iter_mut().find(|slice| slice.service == "ns/other").context("no slice")?;
    slice.endpoints[0].ready = (!port.is_multiple_of(2)).then_some(false);
    stage.publish()
}

/// The file names another mode before the move that it asked for is over.
fn change_of_mind() -> Result<()> {
    play(stage(&LEGACY, |scene| many(scene, MANY))?, |stage| {
        let mut read = 0.0;
        let turns: [&[&'static Backend]; 3] =
            [&[&LEGACY, &NFTABLES], &[&LEGACY, &NFTABLES], &[&LEGACY, &NFTABLES, &LEGACY]];
        for modes in turns {
            for to in modes {
                ask_for(stage, to)?;
                read += 1.0;
                wait::until("the file to be read", PATIENCE, || {
                    Ok((stage.metric("towpath_config_reloads_total")? >= read).then_some(()))
                })?;
            }
            in_force(stage, modes[modes.len() - 1])?;
        }
        Ok(())
    })
}

/// Rules of two modes are in the kernel, one of them half there: the next start has one.
fn killed_in_the_middle() -> Result<()> {
    for next in [&NFTABLES, &LEGACY] {
        play(stage(&LEGACY, |scene| many(scene, MANY))?, |stage| {
            ask_for(stage, &LEGACY)?;
            wait::until("rules of the other mode", PATIENCE, || {
                Ok((!stage.saved(Variant::Legacy)?.ours().is_empty()).then_some(()))
            })?;
            stage.kill()?;
            stage.set_backend(next);
            stage.start()?;
            in_force(stage, next)
        })?;
    }
    Ok(())
}
