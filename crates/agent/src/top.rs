//! `towpath top`.

use std::io::{IsTerminal, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use flows::TopView;

use crate::client::{self, AgentArgs};
use crate::debug;

/// The agent looks as often.
const REFRESH: Duration = Duration::from_secs(2);
/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// Clears to the end of the line.
const REST_OF_LINE: &str = "\x1b[K";
/// Clears to the end of the screen.
const REST: &str = "\x1b[J";

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// By what Services are ordered.
    #[arg(long, value_name = "WHAT", default_value = "new")]
    sort: Sort,
    /// Show so many Services, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=debug::TOP_MOST as i64))]
    limit: u16,
    /// Print it once; so it is also where standard output is no terminal.
    #[arg(long)]
    once: bool,
    /// How it is printed.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    agent: AgentArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// New connections in a second.
    New,
    /// Live connections.
    Live,
    /// Bytes in a second.
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs it.
pub(crate) fn top(args: &TopArgs) -> Result<()> {
    let mut out = std::io::stdout();
    if args.output == Output::Json {
        writeln!(out, "{}", page(args)?)?;
        return Ok(());
    }
    if args.once || !out.is_terminal() {
        out.write_all(view(args)?.text().as_bytes())?;
        return Ok(());
    }
    let bold = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    write!(out, "{HOME}{REST}")?;
    loop {
        out.write_all(screen(&view(args)?.text(), bold).as_bytes())?;
        out.flush()?;
        thread::sleep(REFRESH);
    }
}

fn view(args: &TopArgs) -> Result<TopView> {
    let page = page(args)?;
    serde_json::from_str(&page).context("the agent's answer cannot be read: is it of another version?")
}

fn page(args: &TopArgs) -> Result<String> {
    let sort = match args.sort {
        Sort::New => "new",
        Sort::Live => "live",
        Sort::Bytes => "bytes",
    };
    let limit = args.limit.to_string();
    client::get(args.agent.agent, debug::TOP, &[("sort", sort), ("limit", &limit), ("format", "json")])
}

/// The text over what was there before; the head of the table is bold.
fn screen(text: &str, bold: bool) -> String {
    let lines = text.lines().map(|line| {
        if bold && line.starts_with("SERVICE") {
            format!("\x1b[1m{line}\x1b[0m{REST_OF_LINE}\n")
        } else {
            format!("{line}{REST_OF_LINE}\n")
        }
    });
    format!("{HOME}{}{REST}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_written_over_the_last_one() {
        let text = "# a\nSERVICE  X\nns/b     1\n";
        assert_eq!(screen(text, false), "\x1b[H# a\x1b[K\nSERVICE  X\x1b[K\nns/b     1\x1b[K\n\x1b[J");
        assert!(screen(text, true).contains("\x1b[1mSERVICE  X\x1b[0m\x1b[K\n"));
    }
}
