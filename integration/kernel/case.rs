//! One case: a world, manifests, the program, real packets.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::cases::{FlowCase, FlowTable, Mode, NodeConfig, SliceSpec};
use testkit::flags::run_flags;
use testkit::manifest::{Manifests, list, node, service, service_cidr, slice};
use testkit::scratch::Scratch;
use testkit::verdict::check_flows;
use testkit::world::{Layout, World};

use crate::agent::{Agent, Progress, Surroundings, listening, log_tail};
use crate::backend::Backend;
use crate::cluster::Cluster;
use crate::rules::listable;
use crate::stage::{has_mark, marks};
use crate::vs::has_ipvs;

/// Where the program reads the case from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Through {
    /// A directory of manifests, and flags.
    Manifests,
    /// An API server, and a `KubeProxyConfiguration`.
    Api,
}

/// Runs all steps of a case; the error says which flows went wrong, and shows rules and log.
pub(crate) fn run(table: &FlowTable, case: &FlowCase, backend: &Backend, through: Through) -> Result<()> {
    match through {
        Through::Manifests => run_manifests(table, case, backend),
        Through::Api => run_api(table, case, backend),
    }
}

/// The case's settings, and the backend's.
fn flags(config: &NodeConfig, backend: &Backend) -> Vec<String> {
    run_flags(config, backend.mode).into_iter().chain(backend.flags()).collect()
}

fn run_api(table: &FlowTable, case: &FlowCase, backend: &Backend) -> Result<()> {
    let mode = backend.mode;
    let config = table.config(case, mode);
    let scratch = Scratch::new()?;
    let world = World::new(&Layout::for_case(case, &config.node, mode))?;
    let mut cluster = Cluster::start(world.node(), scratch.path())?;
    cluster.publish(&whole(case, &config, case.phases()[0].slices))?;
    let log = scratch.path().join("towpath.log");
    let flags = [&listening()[..], &flags(&config, backend)].concat();
    let surroundings = Surroundings::beside(&log);
    let mut agent = Agent::start_with(world.node(), &log, &cluster.configure(&flags)?, &surroundings)?;
    let mut result = Ok(());
    for (i, phase) in case.phases().into_iter().enumerate() {
        let number = u16::try_from(i + 1).context("a case has a few steps")?;
        cluster.publish(&whole(case, &config, phase.slices))?;
        result = marks(number)?.into_iter().try_for_each(|mark| cluster.apply(mark));
        let read = |page: &Progress| has_mark(page, number);
        result = result
            .and_then(|()| agent.await_progress(world.node(), "all to be read", read).map(drop))
            .and_then(|()| {
                check_flows(&world, case, phase.flows, mode).with_context(|| format!("in step {i}"))
            })
            .and_then(|()| listable(world.node()));
        if result.is_err() {
            break;
        }
    }
    result.with_context(|| evidence(&world, &log))
}

/// All objects of a step.
fn whole(case: &FlowCase, config: &NodeConfig, slices: &[SliceSpec]) -> Value {
    let services = case.services.iter().map(service);
    let slices = slices.iter().enumerate().map(|(i, spec)| slice(spec, i));
    list([node(config), service_cidr(config)].into_iter().chain(services).chain(slices))
}

fn run_manifests(table: &FlowTable, case: &FlowCase, backend: &Backend) -> Result<()> {
    let mode = backend.mode;
    let config = table.config(case, mode);
    let scratch = Scratch::new()?;
    let world = World::new(&Layout::for_case(case, &config.node, mode))?;
    let directory = scratch.path().join("manifests");
    std::fs::create_dir(&directory).context("making the manifests directory")?;
    let manifests = Manifests::write(&directory, case, &config)?;
    manifests.set_slices(case.phases()[0].slices)?;
    let log = scratch.path().join("towpath.log");
    let (flags, surroundings) = (flags(&config, backend), Surroundings::beside(&log));
    let mut agent = Agent::start(world.node(), &directory, &log, &flags, &surroundings)?;
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
    // What iptables wrote there, nft prints too; the legacy tables it does not know of.
    let print = |program: &str, args: &[&str]| world.node().command(program, args);
    let ipvs = [("ipvsadm", &["-Ln"][..]), ("ip", &["route", "show", "table", "local"])];
    let ipvs = ipvs.into_iter().filter(|_| has_ipvs().is_ok());
    let commands =
        [("nft", &["list", "ruleset"][..]), ("iptables-legacy-save", &[]), ("ip6tables-legacy-save", &[])];
    let rules: String = commands
        .into_iter()
        .chain(ipvs)
        .map(|(tool, args)| print(tool, args).unwrap_or_else(|e| format!("{e:#}")))
        .collect();
    format!("log:\n{}\nrules:\n{rules}\nwhat went wrong", log_tail(log))
}
