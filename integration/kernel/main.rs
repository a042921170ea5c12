//! The real program against the real kernel, with real packets: every case of `tests/cases/flows.yaml`, each a test
//! of its own, and stories that a table cannot tell.
//!
//! ```text
//! cargo build && cargo test -p towpath-integration            # all
//! cargo test -p towpath-integration -- flows::nftables::etp   # some
//! cargo test -p towpath-integration -- ::iptables-legacy::    # a backend
//! cargo xtask vm 6.12 --program towpath-integration:kernel -- ::ipvs::    # one that this kernel may lack
//! cargo test -p towpath-integration -- lifecycle::
//! ```
//!
//! `TOWPATH_BIN` names the program to test; without it, it is the newest of `target/{release,debug}/towpath`.
//! What cannot run here (no root, no program, a case that no kernel can show) is reported as ignored. A program that
//! was named and is not there fails the run.

mod affinity;
mod agent;
mod audit;
mod backend;
mod bad_input;
mod case;
mod cluster;
mod configuration;
mod connections;
mod dns;
mod drain;
mod duties;
mod fallback;
mod faults;
mod http;
mod iptables;
mod ipvs;
mod kubeadm;
mod lifecycle;
mod local_pods;
mod modes;
mod node;
mod operations;
mod packets;
mod plan;
mod refusals;
mod rules;
mod scenes;
mod second_try;
mod secrets;
mod self_probe;
mod services;
mod shadow;
mod show;
mod stage;
mod stale_flows;
mod takeover;
mod tamper;
mod text;
mod vs;
mod xt;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use testkit::cases::{FlowCase, FlowTable, Mode, load_flows, table_path};

use crate::agent::{NoProgram, find_program};
use crate::backend::{BACKENDS, Backend, IPTABLES, IPVS};
use crate::case::Through;

/// A test that is no case of a table.
pub(crate) struct Test {
    name: &'static str,
    run: fn() -> Result<()>,
    /// What it needs beside root, the tools and the program; otherwise the reason why it cannot run.
    needs: fn() -> Result<(), String>,
    /// Modes that do not have what it asks for, as kube-proxy's do not.
    not_in: &'static [Mode],
}

impl Test {
    /// A test that runs wherever the others do.
    pub(crate) const fn new(name: &'static str, run: fn() -> Result<()>) -> Self {
        Self { name, run, needs: || Ok(()), not_in: &[] }
    }

    /// Asks for something more; the test is ignored, with the reason, where that is not there.
    pub(crate) const fn needing(self, needs: fn() -> Result<(), String>) -> Self {
        Self { needs, ..self }
    }

    /// What it asks for only mode nftables has, as with kube-proxy.
    pub(crate) const fn only_nftables(self) -> Self {
        Self { not_in: &[Mode::Iptables, Mode::Ipvs], ..self }
    }

    /// What it asks for is more than mode iptables has, as with kube-proxy; mode ipvs has it.
    pub(crate) const fn not_in_iptables(self) -> Self {
        Self { not_in: &[Mode::Iptables], ..self }
    }

    /// What it asks for mode ipvs has in another way, and a test of its own for that.
    pub(crate) const fn not_in_ipvs(self) -> Self {
        Self { not_in: &[Mode::Ipvs], ..self }
    }
}

/// Stories by theme.
const THEMES: &[(&str, &[Test])] = &[
    ("services", services::TESTS),
    ("services", services::other_kinds::TESTS),
    ("services", services::source_ranges::TESTS),
    ("services", services::competition::TESTS),
    ("services", services::weights::TESTS),
    ("services", services::annotations::TESTS),
    ("affinity", affinity::TESTS),
    ("affinity", affinity::changes::TESTS),
    ("affinity", affinity::losses::TESTS),
    ("affinity", affinity::timeout::TESTS),
    ("stale-flows", stale_flows::TESTS),
    ("stale-flows", stale_flows::kept::TESTS),
    ("drain", drain::TESTS),
    ("drain", drain::others::TESTS),
    ("lifecycle", lifecycle::TESTS),
    ("tamper", tamper::TESTS),
    ("tamper", tamper::busy::TESTS),
    ("tamper", tamper::sly::TESTS),
    ("audit", audit::TESTS),
    ("self-probe", self_probe::TESTS),
    ("audit", audit::REPAIRS),
    ("self-probe", self_probe::RESTARTS),
    ("node", node::TESTS),
    ("bad-input", bad_input::TESTS),
    ("bad-input", refusals::TESTS),
    ("text", text::TESTS),
    ("show", show::TESTS),
    ("show", show::tampered::TESTS),
    ("local-pods", local_pods::TESTS),
    ("configuration", configuration::TESTS),
    ("duties", duties::TESTS),
    ("secrets", secrets::TESTS),
    ("connections", connections::TESTS),
    ("kubeadm", kubeadm::TESTS),
    ("api-faults", faults::silence::TESTS),
    ("api-faults", faults::credentials::TESTS),
    ("api-faults", faults::contents::TESTS),
    ("api-faults", faults::relists::TESTS),
    ("api-faults", faults::servers::TESTS),
    ("modes", modes::TESTS),
    ("modes", modes::meanwhile::TESTS),
    ("modes", modes::restart::TESTS),
    ("modes", modes::refused::TESTS),
    ("modes", modes::lock::TESTS),
    ("modes", modes::ipvs::TESTS),
    ("fallback", fallback::TESTS),
    ("takeover", takeover::TESTS),
    ("takeover", takeover::ipvs::TESTS),
    ("shadow", shadow::TESTS),
    ("operations", operations::TESTS),
    ("operations", operations::choice::TESTS),
    ("operations", operations::path::TESTS),
    ("operations", operations::state::TESTS),
    ("dns-node", dns::TESTS),
    ("dns-node", dns::falls::TESTS),
    ("dns-node", dns::node::TESTS),
    ("dns", dns::program::TESTS),
    ("dns", dns::program::ONCE),
    ("dns", dns::program::falls::TESTS),
    ("dns", dns::program::upgrade::TESTS),
    ("dns", dns::program::upgrade::ONCE),
    ("dns", dns::program::fresh::TESTS),
    ("dns", dns::program::fresh::ONCE),
    ("dns", dns::program::start::TESTS),
    ("dns", dns::program::config::TESTS),
    ("dns", dns::program::resolvers::TESTS),
];

/// Stories that are played in mode iptables only, with each variant.
const IN_IPTABLES: &[(&str, &[Test])] = &[
    ("iptables", iptables::TESTS),
    ("iptables", iptables::affinity::TESTS),
    ("iptables", iptables::filter::TESTS),
    ("iptables", iptables::loading::TESTS),
    ("iptables", iptables::localhost::TESTS),
    ("iptables", iptables::tamper::TESTS),
    ("iptables", iptables::sly::TESTS),
];

/// Stories of one variant only.
const IN_LEGACY: &[(&str, &[Test])] = &[("iptables", iptables::sly::WITH_LOCK)];
const IN_NFT: &[(&str, &[Test])] = &[("iptables", iptables::sly::BY_NFT)];

/// Stories that are played in mode ipvs only.
const IN_IPVS: &[(&str, &[Test])] = &[
    ("schedulers", ipvs::schedulers::TESTS),
    ("schedulers", ipvs::balance::TESTS),
    ("schedulers", ipvs::modules::TESTS),
    ("persistence", ipvs::persistence::TESTS),
    ("draining", ipvs::draining::TESTS),
    ("draining", ipvs::ends::TESTS),
    ("rolling", ipvs::rolling::TESTS),
    ("foreign", ipvs::foreign::TESTS),
    ("policies", ipvs::policies::TESTS),
    ("node", ipvs::node::TESTS),
    ("lifecycle", ipvs::lifecycle::TESTS),
    ("tamper", ipvs::tamper::TESTS),
];

/// Stories of the usual mode that hold in mode ipvs too.
const ALSO_IN_IPVS: &[(&str, &[Test])] = &[
    ("services", services::TESTS),
    ("services", services::other_kinds::TESTS),
    ("services", services::source_ranges::TESTS),
    ("services", services::competition::TESTS),
    ("services", services::weights::TESTS),
    ("affinity", affinity::TESTS),
    ("affinity", affinity::changes::TESTS),
    ("affinity", affinity::losses::TESTS),
    ("affinity", affinity::timeout::TESTS),
    ("stale-flows", stale_flows::TESTS),
    ("stale-flows", stale_flows::kept::TESTS),
    ("drain", drain::TESTS),
    ("drain", drain::others::TESTS),
    ("lifecycle", lifecycle::TESTS),
    ("local-pods", local_pods::TESTS),
    ("node", node::TESTS),
    ("configuration", configuration::TESTS),
    ("bad-input", bad_input::TESTS),
    ("show", show::TESTS),
    ("duties", duties::TESTS),
    ("dns", dns::program::TESTS),
    ("dns", dns::program::falls::TESTS),
    ("connections", connections::TESTS),
    ("audit", audit::TESTS),
    ("self-probe", self_probe::TESTS),
];

/// Stories of the usual mode that hold in mode iptables too, with each variant.
const ALSO_IN_IPTABLES: &[(&str, &[Test])] = &[
    ("services", services::TESTS),
    ("services", services::other_kinds::TESTS),
    ("services", services::competition::TESTS),
    ("services", services::weights::TESTS),
    ("services", services::annotations::TESTS),
    ("stale-flows", stale_flows::TESTS),
    ("stale-flows", stale_flows::kept::TESTS),
    ("drain", drain::TESTS),
    ("drain", drain::others::TESTS),
    ("local-pods", local_pods::TESTS),
    ("node", node::TESTS),
    ("configuration", configuration::TESTS),
    ("bad-input", bad_input::TESTS),
    ("show", show::TESTS),
    ("show", show::tampered::TESTS),
    ("duties", duties::TESTS),
    ("secrets", secrets::TESTS),
    ("connections", connections::TESTS),
    ("kubeadm", kubeadm::TESTS),
    ("dns-node", dns::TESTS),
    ("dns-node", dns::falls::TESTS),
    ("dns", dns::program::TESTS),
    ("dns", dns::program::falls::TESTS),
    ("dns", dns::program::upgrade::TESTS),
    ("dns", dns::program::fresh::TESTS),
    ("audit", audit::TESTS),
    ("self-probe", self_probe::TESTS),
];

fn main() -> Result<ExitCode> {
    if let Some(code) = dns::server::play_if_asked() {
        return Ok(code);
    }
    let arguments = Arguments::from_args();
    let obstacle = obstacle()?;
    let mut trials = flow_trials(&obstacle)?;
    for (theme, tests) in THEMES {
        trials.extend(tests.iter().map(|test| trial(theme, test, None, obstacle.clone())));
    }
    for backend in IPTABLES {
        trials.extend(backend_trials(backend, IN_IPTABLES, ALSO_IN_IPTABLES, &obstacle));
        let own = if backend.name == backend::LEGACY.name { IN_LEGACY } else { IN_NFT };
        trials.extend(backend_trials(backend, own, &[], &obstacle));
    }
    trials.extend(backend_trials(&IPVS, IN_IPVS, ALSO_IN_IPVS, &obstacle));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn backend_trials(
    backend: &'static Backend,
    own: &[(&str, &'static [Test])],
    also: &[(&str, &'static [Test])],
    obstacle: &Option<String>,
) -> Vec<Trial> {
    let all = own.iter().chain(also).flat_map(|(theme, tests)| tests.iter().map(move |test| (theme, test)));
    let held = all.filter(|(_, test)| !test.not_in.contains(&backend.mode));
    held.map(|(theme, test)| {
        trial(&format!("{theme}::{}", backend.name), test, Some(backend), obstacle.clone())
    })
    .collect()
}

/// Why nothing can run here.
fn obstacle() -> Result<Option<String>> {
    match find_program() {
        Err(NoProgram::Named(why)) => bail!(why),
        Err(NoProgram::NotBuilt(why)) => Ok(Some(why)),
        Ok(_) => Ok(testkit::requires_root().err()),
    }
}

fn flow_trials(obstacle: &Option<String>) -> Result<Vec<Trial>> {
    let table = Arc::new(load_flows(&table_path("flows.yaml"))?);
    let mut trials = Vec::new();
    for backend in BACKENDS {
        let cases = table.cases.iter().enumerate().filter(|(_, case)| case.backends.contains(&backend.mode));
        for (i, case) in cases {
            let through = backend.through.iter();
            trials.extend(through.map(|t| flow_trial(&table, i, case, backend, *t, obstacle.clone())));
        }
    }
    Ok(trials)
}

fn flow_trial(
    table: &Arc<FlowTable>,
    i: usize,
    case: &FlowCase,
    backend: &'static Backend,
    through: Through,
    obstacle: Option<String>,
) -> Trial {
    let obstacle = case.kernel_skip.clone().or(obstacle);
    let needs = backend.needs;
    let table = Arc::clone(table);
    let theme = match through {
        Through::Manifests => "flows",
        Through::Api => "flows-api",
    };
    let name = format!("{theme}::{}::{}", backend.name, case.id);
    Trial::ignorable_test(name.clone(), move || {
        let obstacle = obstacle.or_else(|| needs().err());
        unless(&name, obstacle, || case::run(&table, &table.cases[i], backend, through))
    })
}

fn trial(
    theme: &str,
    test: &'static Test,
    backend: Option<&'static Backend>,
    obstacle: Option<String>,
) -> Trial {
    let name = format!("{theme}::{}", test.name);
    Trial::ignorable_test(name.clone(), move || {
        let of_backend = || backend.and_then(|backend| (backend.needs)().err());
        let obstacle = obstacle.or_else(of_backend).or_else(|| (test.needs)().err());
        unless(&name, obstacle, || backend.map_or_else(test.run, |backend| backend.during(test.run)))
    })
}

fn unless(name: &str, obstacle: Option<String>, run: impl Fn() -> Result<()>) -> Result<Completion, Failed> {
    match obstacle {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => second_try::run(name, &run)
            .map(|()| Completion::Completed)
            .map_err(|error| Failed::from(format!("{error:#}"))),
    }
}
