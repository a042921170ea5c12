//! `cargo xtask ci`: what must hold before a merge.

use std::process::ExitCode;

use anyhow::Result;

use crate::command::{cargo, must};
use crate::test;

/// The checks that come before the tests, cheapest first.
const CHECKS: [&[&str]; 2] = [
    &["fmt", "--all", "--", "--check"],
    &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
];

/// Stops at the first thing that does not hold.
pub fn run(options: &test::Options) -> Result<ExitCode> {
    for check in CHECKS {
        println!("cargo {}", check.join(" "));
        must(&mut cargo(check))?;
    }
    test::run(options)
}
