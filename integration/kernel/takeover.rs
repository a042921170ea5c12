//! A node where kube-proxy has served until now: towpath takes over, its leftovers go, and nobody notices.
//!
//! ```text
//! foreign rules, kubelet's | before --------------------------------- the same, rule by rule
//! kube-proxy's leftovers   | serve -- towpath starts, in sync -- gone
//! requests, connections    | ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
//! ```

pub(crate) mod ipvs;
mod leftovers;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::wait;

use crate::Test;
use crate::backend::{Backend, LEGACY, NFT_VARIANT, NFTABLES};
use crate::lifecycle::POD;
use crate::modes::{self, BOTH, CLIENT, CLIENT6, POD6, in_force, modes_in_kernel, plan, traffic};
use crate::rules::generation;
use crate::stage::Stage;
use crate::xt::{Rules, Variant};
use leftovers::Leftover;

pub(crate) const TESTS: &[Test] = &[
    Test::new("of_iptables_legacy_by_nftables", || taken_over(Leftover::Legacy, &NFTABLES)),
    Test::new("of_iptables_legacy_by_iptables_legacy", || taken_over(Leftover::Legacy, &LEGACY)),
    Test::new("of_iptables_legacy_by_iptables_nft", || taken_over(Leftover::Legacy, &NFT_VARIANT)),
    Test::new("of_iptables_nft_by_nftables", || taken_over(Leftover::NftVariant, &NFTABLES)),
    Test::new("of_iptables_nft_by_iptables_legacy", || taken_over(Leftover::NftVariant, &LEGACY)),
    Test::new("of_iptables_nft_by_iptables_nft", || taken_over(Leftover::NftVariant, &NFT_VARIANT)),
    Test::new("of_nftables_by_nftables", || taken_over(Leftover::Nftables, &NFTABLES)),
    Test::new("of_nftables_by_iptables_legacy", || taken_over(Leftover::Nftables, &LEGACY)),
    Test::new("of_nftables_by_iptables_nft", || taken_over(Leftover::Nftables, &NFT_VARIANT)),
    Test::new("of_ipvs_chains_by_nftables", || taken_over(Leftover::IpvsChains, &NFTABLES)),
    Test::new("of_all_modes_at_once", of_all_modes),
    Test::new("cleanup_removes_kube_proxys_and_not_ours", cleanup_alone),
    Test::new("cleanup_without_leftovers_is_fine", cleanup_of_nothing),
    Test::new("not_wanted_they_stay", not_wanted),
    Test::new("nothing_goes_before_ours_is_there", not_before_ours),
];

/// What others have, in each variant and in tables of their own.
struct Foreign {
    iptables: [Rules; 2],
    table: String,
}

const OTHERS: &str = "
table inet others {
    set kube-proxy { type ipv4_addr; elements = { 192.0.2.1 } }
    chain KUBE-SERVICES { type filter hook input priority 7; ip saddr @kube-proxy drop; }
}
table inet kube-proxy {
    chain mine { ip daddr 192.0.2.2 drop; }
}
";

impl Foreign {
    fn load(stage: &Stage) -> Result<Self> {
        stage.node().nft(OTHERS)?;
        for variant in Variant::ALL {
            leftovers::load_foreign(stage, variant)?;
        }
        Self::seen(stage)
    }

    fn seen(stage: &Stage) -> Result<Self> {
        let [legacy, nft] = Variant::ALL;
        let list = |table| stage.node().command("nft", &["list", "table", "inet", table]);
        let table = list("others")? + &list("kube-proxy")?;
        Ok(Self { iptables: [stage.saved(legacy)?.foreign(), stage.saved(nft)?.foreign()], table })
    }

    /// Everything is as it was.
    fn stays(&self, stage: &Stage) -> Result<()> {
        let now = Self::seen(stage)?;
        for (now, before) in now.iptables.iter().zip(&self.iptables) {
            now.must_be(before)?;
        }
        ensure!(now.table == self.table, "was:\n{}is:\n{}", self.table, now.table);
        Ok(())
    }
}

/// A node with other people's rules, kubelet's, and what kube-proxy left.
fn stage(left: &[Leftover], backend: &Backend) -> Result<(Stage, Foreign)> {
    let stage = plan(backend)?.build()?;
    let foreign = Foreign::load(&stage)?;
    left.iter().try_for_each(|leftover| leftover.load(&stage))?;
    Ok((stage, foreign))
}

/// It serves: the test's leftovers are no dead text.
fn serves(stage: &Stage) -> Result<()> {
    for traffic::Stream(from, to, protocol) in modes::STREAMS {
        stage.reach(from, to, *protocol).context("by kube-proxy's rules")?;
    }
    Ok(())
}

fn taken_over(leftover: Leftover, backend: &'static Backend) -> Result<()> {
    let (mut stage, foreign) = stage(&[leftover], backend)?;
    if !leftover.serves() {
        stage.start()?;
        return stage.play(|stage| gone(stage, &foreign, backend));
    }
    serves(&stage)?;
    modes::play(stage, |stage| {
        stage.start()?;
        gone(stage, &foreign, backend)
    })
    .with_context(|| format!("{leftover:?} by {}", backend.name))
}

/// All that kube-proxy left goes, nothing else does, and it catches nothing any more.
fn gone(stage: &mut Stage, foreign: &Foreign, backend: &Backend) -> Result<()> {
    await_gone(stage)?;
    foreign.stays(stage)?;
    in_force(stage, backend)?;
    foreign.stays(stage)?;
    // A Service that nobody streams to loses its endpoints.
    stage.reaches(POD, "10.96.0.40:1000", Tcp, &BOTH)?;
    stage.change(|scene| scene.slices.retain(|slice| slice.service != "ns/other"))?;
    stage.refused(POD, "10.96.0.40:1000", Tcp)?;
    stage.refused(POD6, "[fd00:96::40]:1000", Tcp)?;
    // One that kube-proxy knew and the cluster does not have any more.
    let stale = stage.send(CLIENT, leftovers::STALE, Tcp, crate::packets::SILENCE)?;
    ensure!(!matches!(stale, testkit::probe::Outcome::Answered { .. }), "a stale Service answers: {stale:?}");
    Ok(())
}

fn await_gone(stage: &Stage) -> Result<()> {
    let mut last = Vec::new();
    let gone = wait::until("kube-proxy's leftovers to go", Duration::from_secs(20), || {
        last = leftovers::found(stage)?;
        Ok(last.is_empty().then_some(()))
    });
    gone.with_context(|| format!("still there: {last:#?}"))
}

/// As after somebody who has tried each mode in turn.
fn of_all_modes() -> Result<()> {
    let (mut stage, foreign) = stage(&Leftover::ALL, &NFTABLES)?;
    stage.start()?;
    stage.play(|stage| gone(stage, &foreign, &NFTABLES))
}

/// Beside a running program, which does not notice.
fn cleanup_alone() -> Result<()> {
    for backend in [&NFTABLES, &LEGACY, &NFT_VARIANT] {
        let (mut stage, foreign) = stage(&[], backend)?;
        stage.add_flags(&["--takeover=false"]);
        stage.start()?;
        Leftover::ALL.iter().try_for_each(|leftover| leftover.load(&stage))?;
        modes::play(stage, |stage| {
            let output = stage.run_program(&["cleanup", "--kube-proxy"])?;
            ensure!(output.status.success(), "cleanup: {output:?}");
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(told.contains("kube-proxy") && told.contains("KUBE-"), "what went is not told: {told}");
            ensure!(leftovers::found(stage)?.is_empty(), "left: {:#?}", leftovers::found(stage)?);
            foreign.stays(stage)?;
            ensure!(modes_in_kernel(stage)? == [backend.name], "ours went too");
            stage.progress()?;
            let repaired = stage.metric("towpath_drift_repaired_total")?;
            ensure!(repaired == 0.0, "ours was touched: {repaired} objects were repaired");
            Ok(())
        })?;
    }
    Ok(())
}

fn cleanup_of_nothing() -> Result<()> {
    let (stage, foreign) = stage(&[], &NFTABLES)?;
    let before = generation(stage.node())?;
    for _ in 0..2 {
        let output = stage.run_program(&["cleanup", "--kube-proxy"])?;
        ensure!(output.status.success(), "cleanup: {output:?}");
    }
    ensure!(generation(stage.node())? == before, "something was written");
    foreign.stays(&stage)
}

fn not_wanted() -> Result<()> {
    for backend in [&NFTABLES, &LEGACY, &NFT_VARIANT] {
        let (mut stage, _) = stage(&[Leftover::Legacy, Leftover::Nftables], backend)?;
        let (before, everything) = (leftovers::found(&stage)?, Foreign::seen(&stage)?);
        stage.add_flags(&["--takeover=false"]);
        stage.start()?;
        stage.play(|stage| {
            // What a start does beside the first sync, it has done when it removes rules of ours in another mode.
            in_force(stage, backend)?;
            stage.change(|scene| scene.services[3].ports[0].port = 1001)?;
            let now = leftovers::found(stage)?;
            ensure!(now == before, "had {before:#?}, has {now:#?}");
            everything.stays(stage)
        })?;
    }
    Ok(())
}

/// As long as there is nothing of ours, theirs serves.
fn not_before_ours() -> Result<()> {
    let stage = plan(&NFTABLES)?.through_api().build()?;
    Leftover::Legacy.load(&stage)?;
    let before = leftovers::found(&stage)?;
    stage.cluster()?.server.faults().refuse(true);
    modes::play(stage, |stage| {
        stage.launch()?;
        stage.soon("the server to be missed", |stage| {
            ensure!(stage.log()?.contains("WARN api: "), "nothing is said");
            Ok(())
        })?;
        ensure!(leftovers::found(stage)? == before, "leftovers went before ours was there");
        stage.reach(CLIENT6, "[fd00:192::2]:30010", Tcp)?;
        stage.cluster()?.server.faults().refuse(false);
        stage.await_mark()?;
        await_gone(stage)?;
        in_force(stage, &NFTABLES)
    })
}
