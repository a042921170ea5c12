//! `towpath flows`.

use anyhow::{Result, bail};
use clap::Args;

use crate::client::AgentArgs;

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct FlowsArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

/// Runs it.
pub(crate) fn flows(args: &FlowsArgs) -> Result<()> {
    bail!("the agent at {} cannot be asked for this yet", args.agent.agent)
}
