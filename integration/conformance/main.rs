//! The source of Kubernetes objects against an API server: one suite for our own server, which it starts itself, and
//! for any real one.
//!
//! ```text
//!            Case (one test's objects) --> Api --HTTP--> API server --watch--> Reader (sources::Kubernetes)
//!              |                                             ^                     |
//!              +--every object--> Ledger --at the end--------+                  Changes --> what the test expects
//!                                   (also after a failure, and on Ctrl-C)
//! ```
//!
//! ```text
//! cargo test -p towpath-integration --test conformance                 # our own server
//! cargo xtask conformance --kubeconfig PATH [-- FILTER]                # a real one
//! ```
//!
//! On a real server everything is made in namespaces of its own; `docs/conformance.md` says what else is touched. What a
//! server does not have, or does not allow, is reported as ignored, with the reason.

mod access;
mod api;
mod burst;
mod case;
mod cluster;
mod first;
mod interrupt;
mod ledger;
mod lists;
mod namespace;
mod others;
mod place;
mod reader;
mod requests;
mod services;
mod slices;
mod watches;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::case::Case;
use crate::cluster::Cluster;

/// A test by name; it may turn out that the server lacks what it needs.
type Test = (&'static str, fn(&Case) -> Result<Completion>);

const THEMES: &[(&str, &[Test])] = &[
    ("first", first::TESTS),
    ("services", services::TESTS),
    ("slices", slices::TESTS),
    ("burst", burst::TESTS),
    ("watches", watches::TESTS),
    ("lists", lists::TESTS),
    ("others", others::TESTS),
    ("requests", requests::TESTS),
    ("access", access::TESTS),
];

fn main() -> ExitCode {
    let failed = |error: anyhow::Error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    };
    run(&Arguments::from_args()).unwrap_or_else(failed)
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        return Ok(libtest_mimic::run(arguments, trials(None)).exit_code());
    }
    let cluster = Arc::new(Cluster::open()?);
    interrupt::clean_up_on_signals(&cluster)?;
    let ready = cluster.introduce().and_then(|()| cluster.prepare());
    let code = match &ready {
        Ok(()) => libtest_mimic::run(arguments, trials(Some(&cluster))).exit_code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    };
    let is_clean = cluster.clean_up();
    cluster.tell();
    Ok(if is_clean { code } else { ExitCode::FAILURE })
}

fn trials(cluster: Option<&Arc<Cluster>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (theme, tests) in THEMES {
        for (number, (name, run)) in tests.iter().enumerate() {
            let cluster = cluster.cloned();
            let prefix = format!("{theme}-{number}");
            trials.push(Trial::ignorable_test(format!("{theme}::{name}"), move || match cluster {
                Some(cluster) => judge(run(&Case::new(&cluster, prefix))),
                None => Ok(Completion::Completed),
            }));
        }
    }
    trials
}

fn judge(result: Result<Completion>) -> Result<Completion, Failed> {
    result.map_err(|error| Failed::from(format!("{error:#}")))
}
