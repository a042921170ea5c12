//! `cargo xtask bench`: the bench program, built for release.

use std::process::ExitCode;

use anyhow::Result;

use crate::command;

/// Runs it; its exit code is ours.
pub fn run(args: &[String]) -> Result<ExitCode> {
    let mut bench = command::cargo(&["run", "--release", "--package", "towpath-bench", "--"]);
    bench.args(args);
    Ok(command::exit_code(command::status(&mut bench)?))
}
