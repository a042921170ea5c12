//! The debug page of the real program: in a browser (headless Chromium), from a terminal, and under clients that mean no good.
//!
//! ```text
//! cargo build && cargo test -p towpath-integration --test page
//! cargo test -p towpath-integration --test page -- browser::      # what a browser shows
//! cargo test -p towpath-integration --test page -- hostile::      # no browser needed
//! ```
//!
//! Each test has a program of its own in a network namespace of its own, so it needs root; those of a browser need `chromium`. What
//! cannot run is reported as ignored, with the reason. Screenshots are left in `target/page`, to be looked at.

mod browser;
mod cluster;
mod front;
mod hostile;
mod look;
mod markup;
mod place;
mod secrets;
mod service;
mod tab;
mod texts;
mod words;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test: its name, and what it does.
type Test = (&'static str, fn() -> Result<()>);

/// Those that need a browser.
const BROWSER: &[&[Test]] = &[front::TESTS, service::TESTS, texts::TESTS, markup::TESTS, look::TESTS];
/// Those that do not.
const PLAIN: &[(&str, &[Test])] =
    &[("hostile", hostile::TESTS), ("secrets", secrets::TESTS), ("words", words::TESTS)];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let root = place::obstacle()?;
    let browser = root.clone().or_else(browser::obstacle);
    let mut trials = Vec::new();
    for (name, run) in BROWSER.iter().copied().flatten() {
        trials.push(trial(format!("browser::{name}"), browser.clone(), *run));
    }
    for (theme, tests) in PLAIN {
        for (name, run) in *tests {
            trials.push(trial(format!("{theme}::{name}"), root.clone(), *run));
        }
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn trial(name: String, obstacle: Option<String>, run: fn() -> Result<()>) -> Trial {
    Trial::ignorable_test(name, move || match obstacle {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => run().map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}"))),
    })
}
