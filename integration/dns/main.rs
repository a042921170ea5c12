//! Cluster DNS by the real program, `towpath dns`: every query of `tests/cases/dns/cases.yaml` over UDP and TCP, each
//! a test of its own; its protocol cases and scenarios; resolvers of libc; and abuse.
//!
//! ```text
//! cargo build && cargo test -p towpath-integration --test dns
//! cargo test -p towpath-integration --test dns -- answers::kubeadm
//! cargo test -p towpath-integration --test dns -- scenarios::scen-22
//! ```
//!
//! Each server has a network namespace of its own with the addresses of the fixtures, so tests need root; without it, or
//! without the program, they are reported as ignored. Replies are decoded twice, by `domain` and by `hickory-proto`.

mod abuse;
mod answers;
mod ask;
mod claims;
mod compare;
mod decode;
mod harness;
mod load;
mod objects;
mod place;
mod plugins;
mod profile;
mod protocol;
mod resolver;
mod scenarios;
mod shared;
mod stub;
mod table;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let table = Arc::new(table::load()?);
    let obstacle = place::obstacle()?;
    let mut trials = harness::trials(&table);
    trials.extend(answers::trials(&table, obstacle.as_ref())?);
    trials.extend(protocol::trials(&table, obstacle.as_ref()));
    trials.extend(scenarios::trials(&table, obstacle.as_ref()));
    trials.extend(plugins::trials(&table, obstacle.as_ref()));
    trials.extend(resolver::trials(&table, obstacle.as_ref()));
    trials.extend(abuse::trials(&table, obstacle.as_ref()));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// A test that is ignored where there is an obstacle.
fn trial(name: String, obstacle: Option<String>, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match obstacle {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => run().map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}"))),
    })
}
