//! From and to mode ipvs while clients talk: live, and from one start to the next.
//!
//! ```text
//! the configuration file   nftables | ipvs            | nftables
//! new connections          DNAT       IPVS              DNAT
//! IPVS                     -          all weights 1     all weights 0 ... gone when the last connection is
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use super::{BOTH, ask_for, in_force, plan, play, stage};
use crate::Test;
use crate::backend::{Backend, IPVS, LEGACY, NFT_VARIANT, NFTABLES};
use crate::ipvs::held::{self, HELD, Held, Holders};
use crate::lifecycle::POD;
use crate::stage::Stage;
use crate::vs::{foreign, has_ipvs};

pub(crate) const TESTS: &[Test] = &[
    Test::new("between_nftables_and_ipvs_nobody_notices", || live(&NFTABLES, &[&IPVS, &NFTABLES, &IPVS]))
        .needing(has_ipvs),
    Test::new("between_iptables_legacy_and_ipvs_nobody_notices", || live(&LEGACY, &[&IPVS, &LEGACY]))
        .needing(has_ipvs),
    Test::new("between_iptables_nft_and_ipvs_nobody_notices", || live(&NFT_VARIANT, &[&IPVS, &NFT_VARIANT]))
        .needing(has_ipvs),
    Test::new("by_restarts_nobody_notices", by_restarts).needing(has_ipvs),
    Test::new("what_is_left_of_ipvs_drains_and_goes", leftovers_go).needing(has_ipvs),
    Test::new("what_is_left_of_ipvs_goes_at_the_deadline", leftovers_at_deadline).needing(has_ipvs),
    Test::new("foreign_virtual_servers_survive_moves", foreign_survive).needing(has_ipvs),
];

fn live(from: &'static Backend, to: &[&'static Backend]) -> Result<()> {
    let mut stage = stage(from, |_| ())?;
    if from.name != NFTABLES.name {
        stage.stop()?;
        stage.set_backend(from);
        stage.add_flags(&["--iptables-variant", if from.name == LEGACY.name { "legacy" } else { "nft" }]);
        stage.start()?;
        in_force(&mut stage, from)?;
    }
    play(stage, |stage| {
        for next in to {
            ask_for(stage, next)?;
            in_force(stage, next).with_context(|| format!("to {}", next.name))?;
        }
        ensure!(stage.metric("towpath_config_reloads_total")? == to.len() as f64, "it began anew");
        Ok(())
    })
}

/// Every mode before and after mode ipvs.
const TURNS: [&Backend; 7] = [&NFTABLES, &IPVS, &LEGACY, &IPVS, &NFT_VARIANT, &IPVS, &NFTABLES];

fn by_restarts() -> Result<()> {
    let mut stage = plan(TURNS[0])?.build()?;
    stage.start()?;
    play(stage, |stage| {
        for (i, next) in TURNS.iter().enumerate().skip(1) {
            if i % 2 == 0 {
                stage.stop()?
            } else {
                stage.kill()?
            }
            stage.set_backend(next);
            stage.start()?;
            in_force(stage, next).with_context(|| format!("to {}, the {i}th", next.name))?;
        }
        Ok(())
    })
}

/// Nothing at all is left of mode ipvs.
fn gone(stage: &Stage, patience: Duration) -> Result<()> {
    let mut last = String::new();
    let gone = wait::until("all of mode ipvs to go", patience, || {
        let tables = stage.node().command("nft", &["list", "tables"])?;
        let (servers, routes) = (stage.virtual_servers()?, stage.local_routes()?);
        last = format!("{tables}{servers:?} {routes:?}");
        let nothing = !tables.contains("towpath-ipvs") && servers.is_empty() && routes.is_empty();
        Ok(nothing.then_some(()))
    });
    gone.context(last)
}

/// A stage in mode ipvs with connections, and then in mode nftables.
fn left(flags: &[&str]) -> Result<(Stage, Vec<Held>)> {
    let mut stage = held::plan(plan(&IPVS)?)?.through_api().build()?;
    stage.add_flags(flags);
    stage.start()?;
    let held = Holders::listen(&stage)?.open_many(&stage, POD, HELD, 3)?;
    ask_for(&stage, &NFTABLES)?;
    in_force(&mut stage, &NFTABLES)?;
    Ok((stage, held))
}

/// They last as long as their connections, over a restart too.
fn leftovers_go() -> Result<()> {
    let (stage, mut held) = left(&[])?;
    stage.play(|stage| {
        held.iter_mut().try_for_each(Held::talk).context("in the new mode")?;
        ensure!(stage.weights(HELD, Tcp)?.len() == 3, "what drains is gone too early");
        stage.stop()?;
        stage.set_backend(&NFTABLES);
        stage.start()?;
        in_force(stage, &NFTABLES)?;
        held.iter_mut().try_for_each(Held::talk).context("after a restart")?;
        held.into_iter().try_for_each(Held::reset)?;
        gone(stage, Duration::from_secs(60))?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

/// The connections are open all the time; whether they still talk is not asked, as the deadline may be over by now.
fn leftovers_at_deadline() -> Result<()> {
    let (stage, _held) = left(&["--ipvs-drain-timeout", "3s"])?;
    stage.play(|stage| {
        gone(stage, Duration::from_secs(45))?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

fn foreign_survive() -> Result<()> {
    let mut stage = plan(&NFTABLES)?.build()?;
    stage.ipvs_commands(&foreign("192.0.2.7:80", "rr", "10.244.1.1:8080", 1)?)?;
    stage.ipvs_commands(&foreign("10.96.7.7:80", "rr", "10.244.1.1:8080", 0)?)?;
    let before = stage.ipvs_state()?;
    stage.start()?;
    stage.play(|stage| {
        for next in [&IPVS, &NFTABLES, &IPVS, &LEGACY] {
            stage.stop()?;
            stage.set_backend(next);
            stage.start()?;
            let now = stage.ipvs_state()?;
            let lost: Vec<_> = before.difference(&now).collect();
            ensure!(lost.is_empty(), "in mode {} these are gone: {lost:#?}", next.name);
        }
        Ok(())
    })
}
