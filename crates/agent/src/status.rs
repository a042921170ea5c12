//! `towpath status`: how the agent on this node is doing, in one screen.

mod text;
mod view;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::client::{self, AgentArgs};
use crate::colour::Colours;
use crate::debug::status::PATH;

pub(crate) use view::{ApiView, LastSyncView, ProblemsView, RulesStatus, StatusView, reasons};

/// The exit code without an answer; 1 says that the agent is not healthy.
const NO_AGENT: u8 = 2;

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    /// text or json.
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) output: String,
}

/// Runs it.
pub(crate) fn status(args: &StatusArgs) -> ExitCode {
    let view = match ask(args) {
        Ok(view) => view,
        Err(error) => return failed(&error),
    };
    match show(args, &view) {
        Err(error) if !crate::is_broken_pipe(&error) => failed(&error),
        _ => ExitCode::from(u8::from(!view.healthy)),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("towpath: {}", crate::in_one_line(error));
    ExitCode::from(NO_AGENT)
}

fn ask(args: &StatusArgs) -> Result<StatusView> {
    read(&client::get(args.agent.agent, PATH, &[("format", "json")])?)
}

/// Reads an answer; that of another version may lack something.
fn read(body: &str) -> Result<StatusView> {
    serde_json::from_str(body).with_context(|| {
        let other: Option<Version> = serde_json::from_str(body).ok();
        let other = other.map_or(String::new(), |agent| format!(" (the agent is {})", agent.version));
        let own = env!("CARGO_PKG_VERSION");
        format!("the agent's answer is not what this version of towpath, {own}, reads{other}")
    })
}

/// What every version says.
#[derive(Deserialize)]
struct Version {
    version: String,
}

fn show(args: &StatusArgs, view: &StatusView) -> Result<()> {
    let text = if args.output == "json" { view.json() } else { view.text(Colours::wanted()) };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_version() {
        let of = |body: &str| read(body).map_err(|error| error.to_string());
        let whole = StatusView::default();
        assert_eq!(of(&whole.json()), Ok(whole));
        let own = env!("CARGO_PKG_VERSION");
        let refused = format!("the agent's answer is not what this version of towpath, {own}, reads");
        assert_eq!(of("{\"version\": \"0.0.7\"}"), Err(format!("{refused} (the agent is 0.0.7)")));
        assert_eq!(of("<html>"), Err(refused));
    }
}
