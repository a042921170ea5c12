//! `cargo xtask test`: every test of the workspace, then those that need another kernel, with one count at the end.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::again::again;
use crate::command::{build_towpath, cargo, is_root, shown};
use crate::counts::Counts;
use crate::packages;
use crate::vm;

/// Names the built program to the tests that run it.
pub const PROGRAM_VARIABLE: &str = "TOWPATH_BIN";
/// With the value 1 it does what `--skip-vm` does.
const SKIP_VARIABLE: &str = "TOWPATH_SKIP_VM";

/// What to leave out.
#[derive(Debug, Args)]
pub struct Options {
    /// Do not install missing Debian packages
    #[arg(long)]
    skip_install: bool,
    /// Leave out the virtual machine, as the environment variable TOWPATH_SKIP_VM=1 does
    #[arg(long)]
    skip_vm: bool,
}

/// Runs everything. The last line of the output is the count.
pub fn run(options: &Options) -> Result<ExitCode> {
    match counted(options) {
        Ok(counts) => Ok(close(counts)),
        Err(error) => {
            // The count is the last line whatever happens, and says that it went wrong.
            eprintln!("error: {error:#}");
            Ok(close(Counts { failed: 1, ..Counts::default() }))
        }
    }
}

fn close(counts: Counts) -> ExitCode {
    println!("{counts}");
    if counts.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn counted(options: &Options) -> Result<Counts> {
    prepare(options.skip_install)?;
    let program = build_towpath()?;
    let here = test(&program)?;
    let skipped = options.skip_vm || is_set(env::var_os(SKIP_VARIABLE).as_deref());
    let there = if skipped { vm::left_out() } else { in_machine(!options.skip_install) };
    println!("\n{}", made_up(here, there, skipped));
    let mut all = here;
    all += there;
    Ok(all)
}

fn is_set(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "1")
}

/// What cannot run is a failure that says why in one line.
fn in_machine(may_install: bool) -> Counts {
    vm::of_test(may_install).unwrap_or_else(|error| {
        eprintln!("error: the virtual machine: {error:#} (--skip-vm or {SKIP_VARIABLE}=1 leaves it out)");
        Counts { failed: 1, ..Counts::default() }
    })
}

/// How the count is made up.
fn made_up(here: Counts, there: Counts, skipped: bool) -> String {
    if skipped {
        return format!(
            "This machine: {here}. Virtual machine: left out, each of its programs counted as skipped. Together:"
        );
    }
    format!(
        "This machine: {here}. Linux {} in a virtual machine: {there}, most of them tests that run here too and count twice. Together:",
        vm::TESTED
    )
}

fn prepare(skip_install: bool) -> Result<()> {
    if !is_root() {
        println!("Not root: tests that need a kernel of their own are skipped and counted as such.");
        return Ok(());
    }
    if skip_install { Ok(()) } else { packages::ensure_installed() }
}

fn test(program: &Path) -> Result<Counts> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.env(PROGRAM_VARIABLE, program).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run `{}`", shown(&command)))?;
    let output = child.stdout.take().context("the output of cargo test")?;
    let told = tally(output, std::io::stdout().lock());
    let status = child.wait().context("waiting for cargo test")?;
    let Told { counts, failed } = told?;
    again(judge(counts, status.success()), &failed, program)
}

/// What test programs have told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// By their closing lines.
    pub counts: Counts,
    /// The names of tests that failed.
    pub failed: Vec<String>,
}

/// Passes the output on as it comes, and counts.
pub fn tally(from: impl Read, mut to: impl Write) -> Result<Told> {
    let mut from = BufReader::new(from);
    let mut told = Told::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("reading from cargo test")? > 0 {
        to.write_all(&line).context("passing the output on")?;
        to.flush().context("passing the output on")?;
        let text = String::from_utf8_lossy(&line);
        told.failed.extend(failed_test(&text));
        if let Some(found) = Counts::of_line(&text) {
            told.counts += found;
        }
        line.clear();
    }
    Ok(told)
}

/// The name in `test NAME ... FAILED`.
fn failed_test(line: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.trim_end().strip_suffix(" ... FAILED")?;
    Some(name.trim_end().to_owned())
}

/// A test program that did not compile, or died before its closing line, has counted nothing: that is a failure too.
fn judge(mut counts: Counts, cargo_succeeded: bool) -> Counts {
    if !cargo_succeeded && counts.failed == 0 {
        eprintln!(
            "cargo test failed without a failed test: something did not build or did not finish; see above"
        );
        counts.failed = 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 2 tests\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
        test a::c ... ok\n\
        test a::b      ... FAILED\n\
        test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out";

    #[test]
    fn output_is_passed_on_and_counted() {
        let mut seen = Vec::new();
        let told = tally(OUTPUT.as_bytes(), &mut seen).unwrap();
        assert_eq!(seen, OUTPUT.as_bytes());
        assert_eq!(told.counts, Counts { passed: 3, failed: 1, skipped: 3 });
        assert_eq!(told.failed, ["a::b"]);
    }

    #[test]
    fn output_need_not_be_text() {
        let told = tally(&b"\xff\xfe\ntest result: ok. 1 passed; 0 failed\n"[..], std::io::sink()).unwrap();
        assert_eq!(told.counts.passed, 1);
    }

    #[test]
    fn the_count_is_explained() {
        let counts = |passed, skipped| Counts { passed, failed: 0, skipped };
        let text = made_up(counts(9, 3), counts(4, 0), false);
        assert!(text.starts_with("This machine: 9 passed, 0 failed, 3 skipped. Linux 6.12"), "{text}");
        assert!(text.contains(": 4 passed, 0 failed, most of them"), "{text}");
        let text = made_up(counts(9, 3), counts(0, 14), true);
        assert!(text.contains("Virtual machine: left out"), "{text}");
    }

    #[test]
    fn one_value_leaves_the_machine_out() {
        let set = |value: &str| is_set(Some(OsStr::new(value)));
        assert!(set("1") && !set("0") && !set("") && !is_set(None));
    }

    #[test]
    fn a_program_that_died_is_a_failure() {
        let counts = Counts { passed: 9, ..Counts::default() };
        assert_eq!(judge(counts, true).failed, 0);
        assert_eq!(judge(counts, false).failed, 1);
        assert_eq!(judge(Counts { failed: 4, ..counts }, false).failed, 4);
    }
}
