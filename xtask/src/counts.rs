//! Counting tests from what the test programs say at their end.

use std::fmt;
use std::ops::AddAssign;

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They hold.
    pub passed: u64,
    /// They do not.
    pub failed: u64,
    /// They could not run here, or were told not to.
    pub skipped: u64,
}

impl Counts {
    /// From a closing line of libtest or libtest-mimic:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
    pub fn of_line(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split(';') {
            counts.add_part(part);
        }
        Some(counts)
    }

    fn add_part(&mut self, part: &str) {
        let Some((Ok(number), what)) = part.trim().split_once(' ').map(|(n, what)| (n.parse(), what)) else {
            return;
        };
        match what {
            "passed" => self.passed = number,
            "failed" => self.failed = number,
            "ignored" => self.skipped = number,
            _ => {}
        }
    }

    /// Whether something ran and nothing failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn reads_libtest() {
        let line =
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Counts::of_line(line), Some(counts(12, 0, 3)));
    }

    #[test]
    fn reads_a_failure() {
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.50s";
        assert_eq!(Counts::of_line(line), Some(counts(1, 2, 0)));
    }

    #[test]
    fn other_lines_are_not_counts() {
        for line in ["", "running 3 tests", "test a ... ok", "  test result: ok. 1 passed; 0 failed"] {
            assert_eq!(Counts::of_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn is_written_as_one_line() {
        assert_eq!(counts(5, 0, 0).to_string(), "5 passed, 0 failed");
        assert_eq!(counts(5, 1, 2).to_string(), "5 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        assert!(!counts(0, 0, 4).is_good());
        assert!(!counts(4, 1, 0).is_good());
        assert!(counts(1, 0, 0).is_good());
    }
}
