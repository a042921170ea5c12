//! A mode that nobody chose: nftables where the kernel can, else iptables; the log says why.

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::seccomp;

use crate::Test;
use crate::backend::{LEGACY, NFTABLES};
use crate::lifecycle::POD;
use crate::modes::{modes_in_kernel, told_mode};
use crate::plan::Plan;
use crate::scenes::RICH;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("auto_is_nftables_where_the_kernel_can", || nftables(&["--proxy-mode", "auto"])),
    Test::new("an_empty_mode_is_nftables_where_the_kernel_can", || nftables(&["--proxy-mode", ""])),
    Test::new("no_mode_is_nftables_where_the_kernel_can", || nftables(&[])),
    Test::new("auto_without_nf_tables_is_iptables", || iptables(&["--proxy-mode", "auto"])),
    Test::new("no_mode_without_nf_tables_is_iptables", || iptables(&[])),
    Test::new("nftables_without_nf_tables_is_refused", nftables_or_nothing),
    Test::new("the_variant_is_the_kubelets", kubelets_variant),
    Test::new("without_ipv6_ipv4_is_served_and_that_is_told_once", no_ipv6),
];

const CIDRS: [&str; 2] = ["--cluster-cidr", "10.244.0.0/16,fd00:244::/56"];

fn stage(flags: &[&str]) -> Result<Stage> {
    let flags: Vec<&str> = CIDRS.iter().chain(flags).copied().collect();
    Plan::new(RICH)?.hosts(&[POD])?.flags(&flags).build()
}

/// It serves in this mode, and says why in the line of the start.
fn serves(stage: &mut Stage, mode: &str, place: &str, why: &[&str]) -> Result<()> {
    stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
    ensure!(told_mode(stage)? == mode, "the mode is {}", told_mode(stage)?);
    let found = modes_in_kernel(stage)?;
    ensure!(found == [place], "there are rules of {found:?}");
    let log = stage.log()?;
    let line = log.lines().find(|line| line.contains("starting")).context("no line says that it starts")?;
    let missing: Vec<&&str> = why.iter().filter(|word| !line.contains(**word)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in: {line}");
    Ok(())
}

fn nftables(flags: &[&str]) -> Result<()> {
    let mut stage = stage(flags)?;
    stage.start()?;
    stage.play(|stage| serves(stage, "nftables", NFTABLES.name, &["mode is left open", "nftables"]))
}

fn iptables(flags: &[&str]) -> Result<()> {
    let mut stage = stage(flags)?;
    stage.surroundings.restrict = seccomp::no_netfilter;
    stage.start()?;
    let why = ["mode is left open", "nf_tables", "Protocol not supported", "legacy"];
    stage.play(|stage| serves(stage, "iptables", LEGACY.name, &why))
}

/// What was asked for by name is not replaced by something else.
fn nftables_or_nothing() -> Result<()> {
    let mut stage = stage(&["--proxy-mode", "nftables"])?;
    stage.surroundings.restrict = seccomp::no_netfilter;
    stage.launch()?;
    stage.play(|stage| {
        let status = stage.await_end()?;
        let log = stage.log()?;
        let last = log.lines().last().unwrap_or_default();
        ensure!(!status.success() && last.contains("nf_tables"), "it ended with {status}: {last}");
        ensure!(modes_in_kernel(stage)?.is_empty(), "something was programmed");
        Ok(())
    })
}

/// Its hint chain shows which one it uses.
fn kubelets_variant() -> Result<()> {
    for (tool, place, word) in
        [("iptables-legacy", LEGACY.name, "legacy"), ("iptables-nft", "iptables-nft", "nft")]
    {
        let mut stage = stage(&["--proxy-mode", "iptables"])?;
        stage.node().command(tool, &["-w", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT"])?;
        stage.start()?;
        stage.play(|stage| serves(stage, "iptables", place, &["hint chain", word]))?;
    }
    Ok(())
}

/// Whoever looks at the pages meanwhile is no reason to try or to tell it again.
fn no_ipv6() -> Result<()> {
    let mut stage = stage(&["--proxy-mode", "iptables", "--iptables-variant", "legacy"])?;
    stage.surroundings.restrict = seccomp::no_ipv6;
    stage.start()?;
    stage.play(|stage| {
        stage.change(|scene| scene.services[3].ports[0].port = 81)?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        let log = stage.log()?;
        let told: Vec<&str> = log.lines().filter(|line| line.contains("only IPv4 is programmed")).collect();
        ensure!(told.len() == 1, "want one line: {told:#?}");
        Ok(())
    })
}
