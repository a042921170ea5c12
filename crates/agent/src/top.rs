//! `towpath top`.

use anyhow::{Result, bail};
use clap::Args;

use crate::client::AgentArgs;

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

/// Runs it.
pub(crate) fn top(args: &TopArgs) -> Result<()> {
    bail!("the agent at {} cannot be asked for this yet", args.agent.agent)
}
