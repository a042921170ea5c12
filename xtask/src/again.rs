//! Tests that failed beside all others are run once more, alone.
//!
//! Many tests here talk to a kernel and wait for answers, on machines that others use too. A few that failed and hold when
//! nothing runs beside them count as passed, and are named at the end, so that one that comes back there is seen. More than a
//! few are no accident: then nothing is run again.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::command::{cargo, shown};
use crate::counts::Counts;
use crate::test::{PROGRAM_VARIABLE, tally};

/// So many may fail by accident.
const FEW: usize = 3;

/// Runs the few that failed once more; the counts with what came of it.
pub fn again(mut counts: Counts, failed: &[String], program: &Path) -> Result<Counts> {
    if !are_few(&counts, failed) {
        return Ok(counts);
    }
    for name in failed {
        let holds = run_alone(name, program)?;
        let outcome = if holds { "holds alone, and counts as passed" } else { "fails alone too" };
        println!("\nfailed beside the others: {name}: {outcome}");
        counts.passed += u64::from(holds);
        counts.failed -= u64::from(holds);
    }
    Ok(counts)
}

/// Whether each failure is a test with a name, and there are only a few.
fn are_few(counts: &Counts, failed: &[String]) -> bool {
    (1..=FEW).contains(&failed.len()) && counts.failed == failed.len() as u64
}

/// Whether a test of this name ran and none failed.
fn run_alone(name: &str, program: &Path) -> Result<bool> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast", "--tests", "--", "--exact", name]);
    command.env(PROGRAM_VARIABLE, program).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot run `{}`", shown(&command)))?;
    let output = child.stdout.take().context("the output of cargo test")?;
    let told = tally(output, std::io::sink());
    let status = child.wait().context("waiting for cargo test")?;
    Ok(status.success() && told?.counts.is_good())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_failures_with_names() {
        let names = |count: usize| vec!["a::b".to_owned(); count];
        let counts = |failed| Counts { passed: 9, failed, skipped: 0 };
        assert!(are_few(&counts(1), &names(1)) && are_few(&counts(3), &names(3)));
        assert!(!are_few(&counts(0), &names(0)), "nothing failed");
        assert!(!are_few(&counts(4), &names(4)), "too many");
        assert!(!are_few(&counts(1), &names(0)), "a program died");
    }
}
