//! `towpath flows`.

use std::io::Write;
use std::net::IpAddr;

use admin::printable;
use anyhow::Result;
use clap::{Args, ValueEnum};
use flows::{BadQuestion, FlowsView, Question};

use crate::client::{self, AgentArgs};
use crate::debug;

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct FlowsArgs {
    /// Only connections of this Service.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service)]
    service: Option<String>,
    /// Only connections from this address.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Only connections to this endpoint.
    #[arg(long, value_name = "IP[:PORT]", value_parser = endpoint)]
    endpoint: Option<String>,
    /// List at most so many connections, 0 to 1000; totals are of all.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(..=FlowsView::FLOWS as i64))]
    limit: u16,
    /// How it is printed.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    agent: AgentArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn service(text: &str) -> Result<String, BadQuestion> {
    Question::parse(Some(text), None, None).map(|_| text.to_owned())
}

fn endpoint(text: &str) -> Result<String, BadQuestion> {
    Question::parse(None, None, Some(text)).map(|_| text.to_owned())
}

/// Runs it.
pub(crate) fn flows(args: &FlowsArgs) -> Result<()> {
    let (client, limit) = (args.client.map(|ip| ip.to_string()), args.limit.to_string());
    let format = if args.output == Output::Json { "json" } else { "text" };
    let wanted = [("service", &args.service), ("client", &client), ("endpoint", &args.endpoint)];
    let given = wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let query: Vec<(&str, &str)> = given.chain([("limit", &*limit), ("format", format)]).collect();
    let mut page = client::get(args.agent.agent, debug::FLOWS, &query)?;
    if !page.ends_with('\n') {
        page.push('\n');
    }
    std::io::stdout().write_all(printable(&page).as_bytes())?;
    Ok(())
}
