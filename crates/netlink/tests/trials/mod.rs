//! Tests that may be impossible on a kernel, and say so: they are counted as ignored, with the reason.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::Path;
use std::process::ExitCode;
use std::thread;

use libtest_mimic::{Arguments, Completion, Trial};
use nix::sched::{CloneFlags, unshare};

/// What a test needs beside root; otherwise the reason why it cannot run.
pub(crate) type Need = fn() -> Result<(), String>;

/// A test. It runs in a network namespace of its own, and fails by panicking.
pub(crate) type Test = (&'static str, fn(), &'static [Need]);

/// Runs the tests of a binary.
pub(crate) fn run_all(tests: &'static [Test]) -> ExitCode {
    let trials = tests.iter().map(|(name, test, needs)| Trial::ignorable_test(*name, || trial(*test, needs)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn trial(test: fn(), needs: &[Need]) -> Result<Completion, libtest_mimic::Failed> {
    let obstacle = root().and_then(|()| needs.iter().try_for_each(|need| need()));
    if let Err(reason) = obstacle {
        return Ok(Completion::ignored_with(reason));
    }
    crate::netns::in_netns(test);
    Ok(Completion::Completed)
}

fn root() -> Result<(), String> {
    let tried = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join();
    tried.unwrap().map_err(|error| format!("needs root, to make a network namespace: {error}"))
}

/// Whether a program is installed where Debian puts it.
pub(crate) fn program(name: &str) -> Result<(), String> {
    let found =
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    if found { Ok(()) } else { Err(format!("needs the program {name}")) }
}
