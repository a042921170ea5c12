//! The real program against the real kernel: every case of `tests/cases/flows.yaml`, each a test of its own.
//!
//! ```text
//! cargo build && cargo test -p towpath-integration            # all
//! cargo test -p towpath-integration -- flows::nftables::etp   # some
//! ```
//!
//! `TOWPATH_BIN` names the program to test; without it, it is the newest of `target/{release,debug}/towpath`.
//! What cannot run here (no root, no program, a case that no kernel can show) is reported as ignored.

mod agent;
mod case;
mod http;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use testkit::cases::{FlowCase, FlowTable, Mode, load_flows, table_path};

/// Dataplanes that the program has so far.
const MODES: &[Mode] = &[Mode::Nftables];

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::from_args();
    let table = Arc::new(load_flows(&table_path("flows.yaml"))?);
    let obstacle = testkit::requires_root().and_then(|()| agent::find_program().map(drop)).err();
    let mut trials = Vec::new();
    for mode in MODES {
        let cases = table.cases.iter().enumerate().filter(|(_, case)| case.backends.contains(mode));
        trials.extend(cases.map(|(i, case)| flow_trial(&table, i, case, *mode, obstacle.clone())));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn flow_trial(
    table: &Arc<FlowTable>,
    i: usize,
    case: &FlowCase,
    mode: Mode,
    obstacle: Option<String>,
) -> Trial {
    let obstacle = case.kernel_skip.clone().or(obstacle);
    let table = Arc::clone(table);
    Trial::ignorable_test(format!("flows::{}::{}", mode.as_str(), case.id), move || match obstacle {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => case::run(&table, &table.cases[i], mode).map(|()| Completion::Completed).map_err(failed),
    })
}

fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}
