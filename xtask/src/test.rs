//! `cargo xtask test`: every test of the workspace, with one count at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::command::{build_towpath, cargo, is_root, shown};
use crate::counts::Counts;
use crate::packages;

/// Names the built program to the tests that run it.
const PROGRAM_VARIABLE: &str = "TOWPATH_BIN";

/// Runs everything. The last line of the output is the count.
pub fn run(skip_install: bool) -> Result<ExitCode> {
    match counted(skip_install) {
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

fn counted(skip_install: bool) -> Result<Counts> {
    prepare(skip_install)?;
    let program = build_towpath()?;
    test(&program)
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
    let counts = tally(output, std::io::stdout().lock());
    let status = child.wait().context("waiting for cargo test")?;
    Ok(judge(counts?, status.success()))
}

/// Passes the output on as it comes, and counts.
fn tally(from: impl Read, mut to: impl Write) -> Result<Counts> {
    let mut from = BufReader::new(from);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("reading from cargo test")? > 0 {
        to.write_all(&line).context("passing the output on")?;
        to.flush().context("passing the output on")?;
        if let Some(found) = Counts::of_line(&String::from_utf8_lossy(&line)) {
            counts += found;
        }
        line.clear();
    }
    Ok(counts)
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
        \n\
        test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out";

    #[test]
    fn output_is_passed_on_and_counted() {
        let mut seen = Vec::new();
        let counts = tally(OUTPUT.as_bytes(), &mut seen).unwrap();
        assert_eq!(seen, OUTPUT.as_bytes());
        assert_eq!(counts, Counts { passed: 3, failed: 1, skipped: 3 });
    }

    #[test]
    fn output_need_not_be_text() {
        let counts = tally(&b"\xff\xfe\ntest result: ok. 1 passed; 0 failed\n"[..], std::io::sink()).unwrap();
        assert_eq!(counts.passed, 1);
    }

    #[test]
    fn a_program_that_died_is_a_failure() {
        let counts = Counts { passed: 9, ..Counts::default() };
        assert_eq!(judge(counts, true).failed, 0);
        assert_eq!(judge(counts, false).failed, 1);
        assert_eq!(judge(Counts { failed: 4, ..counts }, false).failed, 4);
    }
}
