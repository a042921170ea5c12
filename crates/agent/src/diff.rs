//! `towpath diff`: what the kernel should have, against what it has.

mod here;
mod view;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use model::NamespacedName;

use crate::cli::OfflineArgs;
use crate::client::{self, AgentArgs};
use crate::debug::diff::PATH;

pub(crate) use view::DiffView;

/// The exit code when nothing could be compared; 1 says that something differs.
const NOT_COMPARED: u8 = 2;

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    /// Only what belongs to this Service.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service_name)]
    pub(crate) service: Option<NamespacedName>,
    /// text or json.
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
}

/// Runs it.
pub(crate) fn diff(args: &DiffArgs) -> ExitCode {
    let (text, equal) = match compare(args) {
        Ok(compared) => compared,
        Err(error) => return failed(&error),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => failed(&error.into()),
        _ => ExitCode::from(u8::from(!equal)),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("towpath: {}", crate::in_one_line(error));
    ExitCode::from(NOT_COMPARED)
}

/// The text to print, and whether nothing differs.
fn compare(args: &DiffArgs) -> Result<(String, bool)> {
    let view = match &args.offline.manifests {
        Some(_) => here::compare(&args.offline, args.service.as_ref())?,
        None => of_agent(args)?,
    };
    let text = if args.output == "json" { view.json() } else { admin::printable(&view.text()).into_owned() };
    Ok((text, view.equal()))
}

/// The agent's rules, which it compares itself.
fn of_agent(args: &DiffArgs) -> Result<DiffView> {
    let service = args.service.as_ref().map(ToString::to_string);
    let mut query = vec![("format", "json")];
    query.extend(service.as_deref().map(|name| ("service", name)));
    let body = client::get(args.agent.agent, PATH, &query)?;
    serde_json::from_str(&body).context("the agent's answer is not what this version of towpath reads")
}

/// `NAMESPACE/NAME`.
pub(crate) fn service_name(text: &str) -> Result<NamespacedName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(NamespacedName::new(namespace, name))
        }
        _ => Err(format!("{text:?} is not NAMESPACE/NAME")),
    }
}
