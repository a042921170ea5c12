//! What the lines of a machine's console mean.

use crate::counts::Counts;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not run; why, where that is told.
    Ignored(String),
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The script runs in this kernel.
    Kernel(String),
    /// The program of this number starts.
    Begins(usize),
    /// A test ended.
    Test(String, Verdict),
    /// The closing line of a program.
    Counted(Counts),
    /// The program of this number ended with this exit code.
    Ends(usize, i32),
    /// The kernel found a fault in itself.
    Complaint(String),
    /// A story failed at its first try: its name, and why.
    Unsteady(String),
    /// The script is through.
    Finished,
    /// Something else, without colours.
    Other(String),
}

/// Reads the lines in order: a test's name and its verdict may come on two of them.
#[derive(Debug, Default)]
pub struct Console {
    /// A test that has begun.
    pending: Option<String>,
}

impl Console {
    /// The meaning of the next line.
    pub fn line(&mut self, line: &str) -> Event {
        let line = plain(line);
        mark(&line)
            .or_else(|| Counts::of_line(&line).map(Event::Counted))
            .or_else(|| self.test(&line))
            .unwrap_or(Event::Other(line))
    }

    /// `test NAME ... ok`, where other output may come between the dots and the verdict.
    fn test(&mut self, line: &str) -> Option<Event> {
        let mut said = line;
        if let Some((name, rest)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            self.pending = Some(name.trim().to_owned());
            said = rest;
        }
        let verdict = verdict(said)?;
        self.pending.take().map(|name| Event::Test(name, verdict))
    }
}

fn verdict(said: &str) -> Option<Verdict> {
    if let Some(why) = said.strip_prefix("ignored") {
        let why = why.trim_start_matches([',', ' ']);
        let bare = why.strip_prefix('(').and_then(|why| why.strip_suffix(')'));
        return Some(Verdict::Ignored(bare.unwrap_or(why).to_owned()));
    }
    match said.split_whitespace().next_back()? {
        "ok" => Some(Verdict::Passed),
        "FAILED" => Some(Verdict::Failed),
        _ => None,
    }
}

/// A line of the script's own.
fn mark(line: &str) -> Option<Event> {
    let rest = line.strip_prefix("@vm ")?;
    let (what, value) = rest.split_once(' ').unwrap_or((rest, ""));
    match what {
        "kernel" => Some(Event::Kernel(value.to_owned())),
        "begins" => value.parse().ok().map(Event::Begins),
        "ends" => {
            let (number, code) = value.split_once(' ')?;
            Some(Event::Ends(number.parse().ok()?, code.parse().ok()?))
        }
        "said" => Some(Event::Other(value.to_owned())),
        "complaint" => Some(Event::Complaint(value.to_owned())),
        "unsteady" => Some(Event::Unsteady(value.to_owned())),
        "finished" => Some(Event::Finished),
        _ => None,
    }
}

/// Without colours, and without what else only a terminal understands.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A sequence is `[`, numbers and one letter.
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        text.push_str(&part[end..]);
    }
    text.retain(|c| !c.is_control());
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, verdict: Verdict) -> Event {
        Event::Test(name.to_owned(), verdict)
    }

    #[test]
    fn lines_of_both_kinds_of_test_programs() {
        let cases = [
            ("test a::b ... ok", test("a::b", Verdict::Passed)),
            ("test a::b ... \u{1b}[32mok\u{1b}[m\u{f}\r", test("a::b", Verdict::Passed)),
            ("test a   ... \u{1b}[31mFAILED\u{1b}[0m", test("a", Verdict::Failed)),
            ("test a ... \u{1b}[33mignored, a measurement\u{1b}[m", test("a", ignored("a measurement"))),
            ("test a ... ignored (refused (422))", test("a", ignored("refused (422)"))),
            ("test a (no IPVS) ... ignored", test("a (no IPVS)", ignored(""))),
            ("test a ... chatter ok", test("a", Verdict::Passed)),
            (
                "test result: \u{1b}[32mok\u{1b}[m. 3 passed; 0 failed; 1 ignored",
                Event::Counted(counts(3, 0, 1)),
            ),
            ("running 3 tests", Event::Other("running 3 tests".to_owned())),
            ("ok", Event::Other("ok".to_owned())),
        ];
        for (line, expected) in cases {
            assert_eq!(Console::default().line(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_verdict_may_come_later_than_its_name() {
        let mut console = Console::default();
        assert_eq!(
            console.line("test a ... conntrack said"),
            Event::Other("test a ... conntrack said".into())
        );
        assert_eq!(console.line("something"), Event::Other("something".into()));
        assert_eq!(console.line("ok"), test("a", Verdict::Passed));
        assert_eq!(console.line("ok"), Event::Other("ok".into()));
    }

    #[test]
    fn marks_of_the_script() {
        let cases = [
            ("@vm kernel 6.1.0-56-amd64\r", Event::Kernel("6.1.0-56-amd64".into())),
            ("@vm begins 3", Event::Begins(3)),
            ("@vm ends 3 101", Event::Ends(3, 101)),
            ("@vm said thread 'main' panicked", Event::Other("thread 'main' panicked".into())),
            ("@vm complaint [1.0] BUG: bad", Event::Complaint("[1.0] BUG: bad".into())),
            ("@vm unsteady a::b: why", Event::Unsteady("a::b: why".into())),
            ("@vm finished", Event::Finished),
            ("@vm ends 3", Event::Other("@vm ends 3".into())),
        ];
        for (line, expected) in cases {
            assert_eq!(Console::default().line(line), expected, "{line:?}");
        }
    }

    fn ignored(why: &str) -> Verdict {
        Verdict::Ignored(why.to_owned())
    }

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }
}
