//! `towpath diff`.

use std::process::ExitCode;

use clap::Args;

use crate::client::AgentArgs;

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

/// Runs it.
pub(crate) fn diff(args: &DiffArgs) -> ExitCode {
    eprintln!("towpath: the agent at {} cannot be asked for this yet", args.agent.agent);
    ExitCode::from(2)
}
