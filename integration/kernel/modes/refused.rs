//! Moves that cannot be: refused in one line, and the mode that is in force stays.

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::seccomp;

use super::{BOTH, ask_for, in_force, modes_in_kernel, plan, play, told_mode};
use crate::Test;
use crate::backend::{Backend, LEGACY, NFT_VARIANT, NFTABLES};
use crate::lifecycle::POD;
use crate::stage::Stage;
use crate::vs;

pub(crate) const TESTS: &[Test] = &[
    Test::new("from_nftables_to_ipvs_where_the_kernel_has_none", || refused(&NFTABLES, "ipvs", "IPVS"))
        .needing(vs::has_no_ipvs),
    Test::new("from_iptables_legacy_to_ipvs_where_the_kernel_has_none", || refused(&LEGACY, "ipvs", "IPVS"))
        .needing(vs::has_no_ipvs),
    Test::new("from_iptables_nft_to_a_word_that_is_no_mode", || {
        refused(&NFT_VARIANT, "userspace", "userspace")
    }),
    Test::new("where_the_kernel_has_no_nf_tables", no_nf_tables),
];

fn refused(backend: &'static Backend, mode: &'static str, named: &'static str) -> Result<()> {
    let mut stage = plan(backend)?.through_api().build()?;
    stage.start()?;
    play(stage, |stage| {
        stage.cluster()?.reconfigure(|config| config["mode"] = mode.into())?;
        stays(stage, backend, named)?;
        // The mended file is taken.
        ask_for(stage, backend)?;
        stage.change(|scene| scene.services[3].ports[0].port = 1001)?;
        stage.reaches(POD, "10.96.0.40:1001", Tcp, &BOTH)?;
        in_force(stage, backend)
    })
}

/// The file is refused in one line, and nothing else happens.
fn stays(stage: &Stage, backend: &Backend, named: &str) -> Result<()> {
    stage.soon("the file to be refused", |stage| {
        ensure!(stage.metric("towpath_config_refused_total")? == 1.0);
        Ok(())
    })?;
    let log = stage.log()?;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("stay in force")).collect();
    ensure!(lines.len() == 1 && lines[0].contains(named), "want one line that names {named}: {lines:#?}");
    ensure!(told_mode(stage)? == backend.mode.as_str(), "another mode is told");
    let found = modes_in_kernel(stage)?;
    ensure!(found == [backend.name], "there are rules of {found:?}");
    Ok(())
}

/// The move needs what this kernel does not give to the program.
fn no_nf_tables() -> Result<()> {
    let mut stage = plan(&LEGACY)?.through_api().build()?;
    stage.surroundings.restrict = seccomp::no_netfilter;
    stage.start()?;
    stage.play(|stage| {
        ask_for(stage, &NFTABLES)?;
        stays(stage, &LEGACY, "nf_tables").context("to mode nftables")?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}
