use super::*;
use crate::vm::console::Console;
use crate::vm::programs::{measurement, parse};

/// The outcomes of a console, a second for each line, and what was printed.
fn outcomes(programs: &[Program], console: &str) -> (Vec<Outcome>, Vec<String>) {
    let programs: Vec<_> = programs.iter().collect();
    let (mut reader, mut tally, mut printed) = (Console::default(), Tally::new(&programs), Vec::new());
    let mut now = Duration::ZERO;
    for line in console.lines() {
        now += Duration::from_secs(1);
        printed.extend(tally.take(reader.line(line), now));
    }
    (tally.close("the machine died", now), printed)
}

fn two() -> [Program; 2] {
    ["a:x", "a:y"].map(|text| parse(text).unwrap())
}

fn short(outcome: &Outcome) -> (u64, u64, u64, &str) {
    let Counts { passed, failed, skipped } = outcome.counts;
    (passed, failed, skipped, outcome.trouble.as_deref().unwrap_or_default())
}

#[test]
fn each_program_has_its_counts() {
    let (outcomes, printed) = outcomes(
        &two(),
        "@vm kernel 6.1\n@vm begins 0\ntest p ... ok\ntest q ... ignored, no SCTP\n\
         test result: ok. 1 passed; 0 failed; 1 ignored\n@vm ends 0 0\n\
         @vm begins 1\ntest r ... FAILED\nnoise\nfailures:\nr is wrong\n\
         test result: FAILED. 0 passed; 1 failed; 0 ignored\n@vm ends 1 101\n@vm finished",
    );
    assert_eq!(outcomes.iter().map(short).collect::<Vec<_>>(), [(1, 0, 1, ""), (0, 1, 0, "")]);
    assert_eq!(outcomes[0].took, Duration::from_secs(4));
    let expected = ["a x", "  pass    p", "  ignored q: no SCTP", "a y", "  FAIL    r"];
    assert_eq!(printed[..5], expected);
    assert_eq!(printed[5..], ["  | failures:", "  | r is wrong"]);
}

#[test]
fn what_goes_wrong_beside_tests_is_a_failure() {
    let cases = [
        ("@vm begins 0\n@vm ends 0 124", "stopped at its time limit"),
        ("@vm begins 0\n@vm ends 0 127", "ended without a count, exit code 127"),
        ("@vm begins 0\ntest result: ok. 0 passed; 0 failed; 0 ignored\n@vm ends 0 0", "selected no test"),
        ("@vm begins 0\ntest result: ok. 1 passed; 0 failed; 0 ignored\n@vm ends 0 1", "exit code 1"),
        ("@vm begins 0\nKernel panic - not syncing", "did not end: the machine died"),
        ("@vm kernel 6.1", "not reached: the machine died"),
    ];
    for (console, expected) in cases {
        let (outcomes, _) = outcomes(&two()[..1], console);
        assert_eq!((outcomes[0].counts.failed, short(&outcomes[0]).3), (1, expected), "{console}");
    }
}

#[test]
fn what_passed_before_the_machine_died_is_counted() {
    let (outcomes, _) = outcomes(&two(), "@vm begins 0\ntest p ... ok\ntest q ... FAILED\ntest r ... ");
    let expected = [(1, 2, 0, "did not end: the machine died"), (0, 1, 0, "not reached: the machine died")];
    assert_eq!(outcomes.iter().map(short).collect::<Vec<_>>(), expected);
}

#[test]
fn a_measurement_shows_what_it_says_and_counts_as_one() {
    let console = "@vm begins 0\n3 s for 10 routes\n@vm ends 0 0";
    let (ended, printed) = outcomes(&[measurement(&[])], console);
    assert_eq!(short(&ended[0]), (1, 0, 0, ""));
    assert_eq!(printed, ["bench towpath-bench", "  3 s for 10 routes"]);
    let (failed, _) = outcomes(&[measurement(&[])], "@vm begins 0\n@vm ends 0 1");
    assert_eq!(short(&failed[0]), (0, 1, 0, "ended without a count, exit code 1"));
}

#[test]
fn tests_that_are_too_slow_are_told_and_counted() {
    let program = Program { too_slow: &[("slow", "1 s")], ..parse("a:x").unwrap() };
    let console = "@vm begins 0\ntest result: ok. 1 passed; 0 failed; 0 ignored\n@vm ends 0 0";
    let (outcomes, printed) = outcomes(&[program], console);
    assert_eq!(short(&outcomes[0]), (1, 0, 1, ""));
    assert_eq!(printed[1], "  ignored slow: too slow in QEMU: 1 s");
}
