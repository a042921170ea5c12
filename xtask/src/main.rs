//! The chores of this repository, as `cargo xtask …`.
//!
//! ```text
//! test   everything there is to test, with one count at the end
//! demo   a node, two pods and a client on this machine's kernel, with the real program in between
//! ci     what must hold before a merge: format, lints, test
//! bench  how fast it is
//! conformance  the source of Kubernetes objects against a real API server
//! vm     test programs inside other kernels, by QEMU
//! ```
//!
//! Nothing here is part of the program: no crate depends on this one.

mod again;
mod bench;
mod ci;
mod command;
mod conformance;
mod counts;
mod demo;
mod packages;
mod test;
mod vm;
mod wait;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The chores of the towpath repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

/// One chore.
#[derive(Debug, Subcommand)]
enum Chore {
    /// Build and test everything, here and in a virtual machine; the last line counts the tests
    Test(test::Options),
    /// Show towpath at work between network namespaces of this machine (needs root)
    Demo {
        /// Do not install missing Debian packages
        #[arg(long)]
        skip_install: bool,
    },
    /// Check the format, the lints and the tests
    Ci(test::Options),
    /// Measure; the arguments go to the bench program
    #[command(disable_help_flag = true)]
    Bench {
        /// Handed on as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Test the source of Kubernetes objects against a real API server (see docs/conformance.md)
    Conformance(conformance::Options),
    /// Run test programs inside Debian's kernels, in virtual machines (see docs/testing.md)
    Vm(vm::Options),
    /// The HTTP server of a pod in the demo
    #[command(hide = true)]
    DemoServer {
        /// What it answers with
        #[arg(long)]
        name: String,
        /// Where it listens
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The busy client of the demo
    #[command(hide = true)]
    DemoLoad {
        /// Where requests go, in turn
        #[arg(long = "target", required = true)]
        targets: Vec<SocketAddr>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::Test(options) => test::run(&options),
        Chore::Demo { skip_install } => demo::run(skip_install),
        Chore::Ci(options) => ci::run(&options),
        Chore::Bench { args } => bench::run(&args),
        Chore::Conformance(options) => conformance::run(&options),
        Chore::Vm(options) => vm::run(&options),
        Chore::DemoServer { name, listen } => demo::server::run(&name, listen),
        Chore::DemoLoad { targets } => demo::load::run(&targets),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn bench_hands_its_flags_on() {
        let parsed =
            Arguments::try_parse_from(["xtask", "bench", "load", "--services", "10", "--help"]).unwrap();
        let Chore::Bench { args } = parsed.chore else { panic!("{parsed:?}") };
        assert_eq!(args, ["load", "--services", "10", "--help"]);
    }
}
