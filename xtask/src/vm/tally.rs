//! What a run comes to: each program's counts, and what went wrong beside its tests.

use std::time::Duration;

use crate::counts::Counts;
use crate::vm::console::{Event, Verdict};
use crate::vm::programs::Program;

/// So much of a program's output is shown when it fails, in lines.
const SHOWN: usize = 120;

/// What came of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its tests. Trouble is counted as one that failed.
    pub counts: Counts,
    /// How long it took, or until the machine died.
    pub took: Duration,
    /// What went wrong beside its tests.
    pub trouble: Option<String>,
}

/// The program that runs.
#[derive(Debug)]
struct Current {
    number: usize,
    since: Duration,
    /// Tests that were seen to end.
    seen: Counts,
    /// What its closing line says.
    counted: Option<Counts>,
}

/// One run as it goes on.
#[derive(Debug)]
pub struct Tally<'a> {
    programs: &'a [&'a Program],
    outcomes: Vec<Option<Outcome>>,
    current: Option<Current>,
    /// What it said beside its tests.
    said: Vec<String>,
    /// What `uname -r` says, once the script runs.
    pub release: Option<String>,
    /// Faults that the kernel found in itself.
    pub complaints: Vec<String>,
    /// Stories that failed at their first try, with the reason.
    pub unsteady: Vec<String>,
    /// Whether the script came to its end.
    pub finished: bool,
}

impl<'a> Tally<'a> {
    /// Nothing has run.
    pub fn new(programs: &'a [&'a Program]) -> Self {
        Self {
            programs,
            outcomes: vec![None; programs.len()],
            current: None,
            said: Vec::new(),
            release: None,
            complaints: Vec::new(),
            unsteady: Vec::new(),
            finished: false,
        }
    }

    /// Takes the next event, so long after the start, and gives what to print.
    pub fn take(&mut self, event: Event, now: Duration) -> Vec<String> {
        match event {
            Event::Kernel(release) => self.release = Some(release),
            Event::Begins(number) => return self.begin(number, now),
            Event::Test(name, verdict) => {
                self.see(&verdict);
                return vec![test_line(&name, &verdict)];
            }
            Event::Counted(counts) => {
                self.current.iter_mut().for_each(|current| current.counted = Some(counts))
            }
            Event::Ends(number, code) => return self.end(number, code, now),
            Event::Complaint(line) => self.complaints.push(line),
            Event::Unsteady(line) => self.unsteady.push(line),
            Event::Finished => self.finished = true,
            Event::Other(line) => return self.hear(line),
        }
        Vec::new()
    }

    /// What a measurement says is its result.
    fn hear(&mut self, line: String) -> Vec<String> {
        let shown = if self.measures() && !line.is_empty() { vec![format!("  {line}")] } else { Vec::new() };
        self.said.push(line);
        shown
    }

    fn measures(&self) -> bool {
        let program = self.current.as_ref().and_then(|current| self.programs.get(current.number));
        program.is_some_and(|program| program.measures)
    }

    fn begin(&mut self, number: usize, now: Duration) -> Vec<String> {
        self.said.clear();
        self.current = Some(Current { number, since: now, seen: Counts::default(), counted: None });
        let Some(program) = self.programs.get(number) else { return Vec::new() };
        let left_out = program.too_slow.iter();
        let left_out = left_out.map(|(test, why)| format!("  ignored {test}: too slow in QEMU: {why}"));
        std::iter::once(program.name()).chain(left_out).collect()
    }

    fn see(&mut self, verdict: &Verdict) {
        let Some(Current { seen, .. }) = &mut self.current else { return };
        match verdict {
            Verdict::Passed => seen.passed += 1,
            Verdict::Failed => seen.failed += 1,
            Verdict::Ignored(_) => seen.skipped += 1,
        }
    }

    fn end(&mut self, number: usize, code: i32, now: Duration) -> Vec<String> {
        let measures = self.measures();
        let Some(mut current) = self.current.take().filter(|current| current.number == number) else {
            return Vec::new();
        };
        if measures && code == 0 {
            current.counted = Some(Counts { passed: 1, ..Counts::default() });
        }
        let trouble = trouble(current.counted, code);
        let failed = trouble.is_some() || code != 0;
        self.keep(&current, now, trouble);
        if failed { self.evidence() } else { Vec::new() }
    }

    fn keep(&mut self, current: &Current, now: Duration, trouble: Option<String>) {
        let Some(program) = self.programs.get(current.number) else { return };
        let mut counts = current.counted.unwrap_or(current.seen);
        counts.skipped += program.too_slow.len() as u64;
        counts.failed += u64::from(trouble.is_some());
        if let Some(slot) = self.outcomes.get_mut(current.number) {
            *slot = Some(Outcome { counts, took: now.saturating_sub(current.since), trouble });
        }
    }

    /// What the program said of its failures; all it said where it did not get so far.
    fn evidence(&self) -> Vec<String> {
        let from = self.said.iter().position(|line| line == "failures:").unwrap_or(0);
        let lines = self.said[from..].iter().filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| format!("  | {line}")).collect();
        lines[lines.len().saturating_sub(SHOWN)..].to_vec()
    }

    /// Closes the run: what has no outcome was not reached, for this reason.
    pub fn close(mut self, reason: &str, now: Duration) -> Vec<Outcome> {
        if let Some(current) = self.current.take() {
            self.keep(&current, now, Some(format!("did not end: {reason}")));
        }
        let unreached = || Outcome {
            counts: Counts { failed: 1, ..Counts::default() },
            took: Duration::ZERO,
            trouble: Some(format!("not reached: {reason}")),
        };
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unreached)).collect()
    }
}

/// What is wrong beside tests that failed.
fn trouble(counted: Option<Counts>, code: i32) -> Option<String> {
    match (counted, code) {
        (_, 124 | 137) => Some("stopped at its time limit".to_owned()),
        (None, _) => Some(format!("ended without a count, exit code {code}")),
        (Some(counts), _) if counts == Counts::default() => Some("selected no test".to_owned()),
        (Some(counts), code) if code != 0 && counts.failed == 0 => Some(format!("exit code {code}")),
        _ => None,
    }
}

fn test_line(name: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => format!("  pass    {name}"),
        Verdict::Failed => format!("  FAIL    {name}"),
        Verdict::Ignored(why) if why.is_empty() => format!("  ignored {name}"),
        Verdict::Ignored(why) => format!("  ignored {name}: {why}"),
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
