//! `towpath top`.

use std::io::{IsTerminal, Stdout, Write};
use std::thread;
use std::time::Duration;

use admin::printable;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use flows::TopView;
use nix::sys::signal::{SigSet, Signal};

use crate::client::{self, AgentArgs};
use crate::debug;

/// The agent looks as often.
const REFRESH: Duration = Duration::from_secs(2);
/// To the upper left corner, and clears what follows.
const CLEAR: &str = "\x1b[H\x1b[J";
/// Clears to the end of the line.
const REST_OF_LINE: &str = "\x1b[K";
/// Clears to the end of the screen.
const REST: &str = "\x1b[J";
/// What does not fit in a line is cut off (DECAWM).
const CUT: &str = "\x1b[?7l";
/// What does not fit in a line goes on in the next, as terminals usually do.
const WRAP: &str = "\x1b[?7h";

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
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if args.once || dumb || !out.is_terminal() {
        out.write_all(printable(&view(args)?.text()).as_bytes())?;
        return Ok(());
    }
    let bold = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut first = CLEAR;
    loop {
        let text = view(args)?.text();
        paint(&mut out, &(std::mem::take(&mut first).to_owned() + &screen(&printable(&text), bold)))?;
        thread::sleep(REFRESH);
    }
}

/// Writes a whole screen: who interrupts meanwhile does so at its end, when the terminal is as it was.
fn paint(out: &mut Stdout, screen: &str) -> Result<()> {
    let mut ends = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| ends.add(signal));
    ends.thread_block()?;
    let written = out.write_all(screen.as_bytes()).and_then(|()| out.flush());
    ends.thread_unblock()?;
    Ok(written?)
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

/// The text over what was there before; the head of the table is bold. Each line goes to a row by number, so that what is higher
/// than the terminal does not roll: it has its last row alone.
fn screen(text: &str, bold: bool) -> String {
    let lines: Vec<String> = text.lines().enumerate().map(|(i, line)| row(i + 1, line, bold)).collect();
    format!("{CUT}{}{REST}{WRAP}\x1b[{};1H", lines.concat(), lines.len() + 1)
}

fn row(number: usize, line: &str, bold: bool) -> String {
    let (on, off) = if bold && line.starts_with("SERVICE") { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("\x1b[{number};1H{on}{line}{off}{REST_OF_LINE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_written_over_the_last_one() {
        let text = "# a\nSERVICE  X\nns/b     1\n";
        let expected = "\x1b[?7l\x1b[1;1H# a\x1b[K\x1b[2;1HSERVICE  X\x1b[K\x1b[3;1Hns/b     1\x1b[K\x1b[J\x1b[?7h\x1b[4;1H";
        assert_eq!(screen(text, false), expected);
        assert!(screen(text, true).contains("\x1b[2;1H\x1b[1mSERVICE  X\x1b[0m\x1b[K"));
    }
}
