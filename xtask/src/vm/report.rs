//! What is shown of a run: before it, and at its end.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::counts::Counts;
use crate::vm::programs::Program;
use crate::vm::tally::Outcome;

/// What came of one kernel.
#[derive(Debug)]
pub struct Run {
    kernel: String,
    took: Duration,
    /// Why it has no results, or not all.
    trouble: Option<String>,
    /// It could not be had, and that was allowed.
    skipped: bool,
    /// Faults that the kernel found in itself: told, but no failures, since an emulator may cause them.
    pub complaints: Vec<String>,
    /// Stories that failed at their first try, with the reason; the counts are those of the second.
    pub unsteady: Vec<String>,
    /// The programs' names, and what came of each.
    pub programs: Vec<(String, Outcome)>,
}

impl Run {
    /// A run with a machine.
    pub fn new(kernel: &str, release: Option<String>, took: Duration, trouble: Option<String>) -> Self {
        let kernel = release.unwrap_or_else(|| kernel.to_owned());
        let (complaints, unsteady, programs) = (Vec::new(), Vec::new(), Vec::new());
        Self { kernel, took, trouble, skipped: false, complaints, unsteady, programs }
    }

    /// There was no machine.
    pub fn failed(kernel: &str, why: &str) -> Self {
        Self::new(kernel, None, Duration::ZERO, Some(why.to_owned()))
    }

    /// There was no machine, and that was allowed.
    pub fn skipped(kernel: &str, why: &str) -> Self {
        Self { skipped: true, ..Self::failed(kernel, why) }
    }

    /// What came of machines side by side.
    pub fn together(kernel: &str, runs: Vec<Run>) -> Self {
        let mut all = Self::new(kernel, None, Duration::ZERO, None);
        for run in runs {
            all.kernel = run.kernel;
            all.took = all.took.max(run.took);
            all.trouble = all.trouble.or(run.trouble);
            all.complaints.extend(run.complaints);
            all.unsteady.extend(run.unsteady);
            all.programs.extend(run.programs);
        }
        all
    }

    /// Its tests. Trouble is counted as one that failed, if no test has.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, outcome) in &self.programs {
            counts += outcome.counts;
        }
        if self.trouble.is_some() && !self.skipped && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }

    fn rows(&self, text: &mut String) {
        let _ = writeln!(text, "\nLinux {}, {} s", self.kernel, self.took.as_secs());
        for (name, Outcome { counts, took, trouble }) in &self.programs {
            let (Counts { passed, failed, skipped }, seconds) = (counts, took.as_secs());
            let _ = write!(text, "{name:<54} {passed:>5} {failed:>6} {skipped:>7} {seconds:>4} s");
            let _ = writeln!(text, "{}", trouble.as_ref().map_or(String::new(), |why| format!("  {why}")));
        }
        let what = if self.skipped { "skipped" } else { "failed" };
        if let Some(why) = &self.trouble {
            let _ = writeln!(text, "{what}: {why}");
        }
        for line in &self.unsteady {
            let _ = writeln!(text, "told a second time, as the first failed: {line}");
        }
        for line in &self.complaints {
            let _ = writeln!(text, "the kernel says: {line}");
        }
    }
}

/// What would run.
pub fn list(kernels: &[String], programs: &[Program]) -> String {
    let mut text = format!("In Linux {}, each:\n", kernels.join(" and "));
    for program in programs {
        let _ = writeln!(text, "  {:<54} {}", program.name(), program.why);
        for (test, why) in program.too_slow {
            let _ = writeln!(text, "    without {test}: too slow in QEMU: {why}");
        }
    }
    text
}

/// Prints the table, and gives the count.
pub fn told(runs: &[Run]) -> Counts {
    let (text, total) = table(runs);
    print!("{text}");
    total
}

/// Prints the table and the count, and judges.
pub fn close(runs: &[Run]) -> ExitCode {
    let (text, good) = closing(runs);
    print!("{text}");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn table(runs: &[Run]) -> (String, Counts) {
    let mut text = format!("\n{:<54} {:>5} {:>6} {:>7}", "", "pass", "fail", "ignored");
    let mut total = Counts::default();
    for run in runs {
        run.rows(&mut text);
        total += run.counts();
    }
    (text, total)
}

fn closing(runs: &[Run]) -> (String, bool) {
    let (mut text, total) = table(runs);
    let Counts { passed, failed, skipped } = total;
    let _ = writeln!(text, "\n{passed} passed, {failed} failed, {skipped} ignored");
    let nothing_to_run = runs.iter().all(|run| run.skipped);
    (text, total.is_good() || (nothing_to_run && failed == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(passed: u64, failed: u64) -> Run {
        let counts = Counts { passed, failed, skipped: 1 };
        let outcome = Outcome { counts, took: Duration::from_secs(7), trouble: None };
        let mut run = Run::new("6.1", Some("6.1.0-56-amd64".into()), Duration::from_secs(20), None);
        run.programs.push(("netlink ipvs".into(), outcome));
        run
    }

    #[test]
    fn the_last_line_counts() {
        let (text, good) = closing(&[run(3, 0), run(4, 0)]);
        assert!(text.ends_with("\n7 passed, 0 failed, 2 ignored\n"), "{text}");
        assert!(text.contains("\nLinux 6.1.0-56-amd64, 20 s\nnetlink ipvs "), "{text}");
        assert!(good);
    }

    #[test]
    fn what_is_good() {
        let cases = [
            (vec![run(3, 0)], true),
            (vec![run(3, 1)], false),
            (vec![run(0, 0)], false),
            (vec![run(3, 0), Run::failed("6.12", "no package")], false),
            (vec![run(3, 0), Run::skipped("6.12", "no package")], true),
            (vec![Run::skipped("6.12", "no package")], true),
        ];
        for (runs, expected) in cases {
            assert_eq!(closing(&runs).1, expected, "{runs:?}");
        }
    }

    #[test]
    fn machines_side_by_side_are_one_run() {
        let mut second = Run { took: Duration::from_secs(30), ..run(4, 0) };
        second.trouble = Some("the machine died".into());
        let (text, good) = closing(&[Run::together("6.1", vec![run(3, 0), second])]);
        assert!(text.contains("\nLinux 6.1.0-56-amd64, 30 s\n"), "{text}");
        assert!(text.ends_with("\n7 passed, 1 failed, 2 ignored\n") && !good, "{text}");
    }

    #[test]
    fn a_run_that_died_is_a_failure_though_all_programs_ended() {
        let mut died = run(3, 0);
        died.trouble = Some("the machine died".into());
        let (text, good) = closing(&[died]);
        assert!(!good && text.contains("\nfailed: the machine died\n"), "{text}");
    }
}
