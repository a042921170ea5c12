//! One case: a world, manifests, the program, real packets.

use std::path::Path;

use anyhow::{Context, Result};
use testkit::cases::{FlowCase, FlowTable, Mode};
use testkit::flags::run_flags;
use testkit::manifest::Manifests;
use testkit::scratch::Scratch;
use testkit::verdict::check_flows;
use testkit::world::{Layout, World};

use crate::agent::{Agent, log_tail};
use crate::rules::listable;

/// Runs all steps of a case; the error says which flows went wrong, and shows rules and log.
pub(crate) fn run(table: &FlowTable, case: &FlowCase, mode: Mode) -> Result<()> {
    let config = table.config(case, mode);
    let scratch = Scratch::new()?;
    let world = World::new(&Layout::for_case(case, &config.node, mode))?;
    let directory = scratch.path().join("manifests");
    std::fs::create_dir(&directory).context("making the manifests directory")?;
    let manifests = Manifests::write(&directory, case, &config)?;
    manifests.set_slices(case.phases()[0].slices)?;
    let log = scratch.path().join("towpath.log");
    let mut agent = Agent::start(world.node(), &directory, &log, &run_flags(&config, mode))?;
    let result = run_phases(&world, &manifests, &mut agent, case, mode);
    result.with_context(|| evidence(&world, &log))
}

fn run_phases(
    world: &World,
    manifests: &Manifests,
    agent: &mut Agent,
    case: &FlowCase,
    mode: Mode,
) -> Result<()> {
    let mut number = None;
    for (i, phase) in case.phases().into_iter().enumerate() {
        if i > 0 {
            manifests.set_slices(phase.slices)?;
        }
        number = Some(agent.await_sync(world.node(), number)?);
        check_flows(world, case, phase.flows, mode).with_context(|| format!("in step {i}"))?;
        listable(world.node())?;
    }
    Ok(())
}

/// What a failure should show: log and rules.
pub(crate) fn evidence(world: &World, log: &Path) -> String {
    let rules = world.node().command("nft", &["list", "ruleset"]).unwrap_or_else(|e| format!("{e:#}"));
    format!("log:\n{}\nrules:\n{rules}\nwhat went wrong", log_tail(log))
}
