//! Configuration, start order, readiness, shutdown: the only place that wires the others.
//!
//! ```text
//! cli, file --> settings --> run      sources (threads) --Message--> sync (thread) --> kernel
//!                       \-> render, explain, cleanup                    ^  |
//!                             reload, snapshot, pages --questions------+  +-> board --> HTTP pages
//! ```
//!
//! Invariants:
//! * one thread owns the engine and the kernel sockets; everything reaches it through one bounded queue;
//! * a page never reads the engine: it asks for a copy, or reads the board, which is small;
//! * leaving the process leaves the rules.

mod ask;
mod audit;
mod board;
mod cleanup;
mod cli;
mod client;
mod colour;
mod compare;
mod connection_table;
mod connections;
mod debug;
mod diff;
mod dns;
mod dns_feed;
mod drain;
mod driver;
mod duties;
mod events;
mod explain;
mod health;
mod janitor;
mod list_flows;
mod listing;
mod load;
mod local_book;
mod logging;
mod metrics;
mod migrate;
mod modes;
mod opened;
mod options;
mod records;
mod reload;
mod render;
mod repair;
mod rules_view;
mod run;
mod self_probe;
mod serve;
mod settings;
mod shadow;
mod signals;
mod snapshot;
mod source;
mod stale_flows;
mod status;
mod switch;
mod sync;
mod top;
mod traffic;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Runs the program. Errors are printed in one line to standard error.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match cli::Cli::try_parse_from(cli::prepared(args)) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        cli::Command::Run(args) => run::run(&args),
        cli::Command::Render(args) => render::render(&args),
        cli::Command::Explain(args) => explain::explain(&args),
        cli::Command::Cleanup(args) => cleanup::cleanup(&args),
        cli::Command::Dns(args) => dns::command(&args),
        cli::Command::Migrate(args) => return migrate::migrate(&args),
        cli::Command::Diff(args) => return diff::diff(&args),
        cli::Command::Status(args) => return status::status(&args),
        cli::Command::Flows(args) => list_flows::flows(&args),
        cli::Command::Top(args) => top::top(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`| head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("towpath: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Help and version go out as clap prints them; a refusal becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let first: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = first.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    eprintln!("towpath: {} (see towpath --help)", admin::in_one_line(message));
    ExitCode::from(2)
}

/// Whether nobody reads our output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The error and its causes; a cause that the text before it already says is not said again.
pub(crate) fn in_one_line(error: &anyhow::Error) -> String {
    let line = error.chain().map(ToString::to_string).fold(String::new(), |mut line, cause| {
        if !line.contains(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
        line
    });
    admin::in_one_line(&line)
}
