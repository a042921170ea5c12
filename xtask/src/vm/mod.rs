//! `cargo xtask vm`: test programs inside Debian's kernels, which have what the kernel of this machine may lack
//! (IPVS, ipset, dummy links).
//!
//! ```text
//! tools    QEMU by apt, virtme-ng by pip               target/vm/venv
//! kernel   Debian's package, unpacked                  target/vm/kernels
//! build    cargo test --no-run, then stripped copies   target/vm/runs/PID
//! share    which program in which machine: two run side by side
//! machine  QEMU boots the kernel over the files of this machine, read only; a script runs the programs
//! console  its lines -> events -> tally -> table       target/vm/runs/PID/KERNEL.log
//! ```
//!
//! Nothing of the system is changed but for packages that are missing. There is no KVM, so a machine is about ten
//! times slower than this one. A machine that dies, a program that selects no test and a test that fails are failures.

mod apt;
mod build;
mod cache;
mod console;
mod kernel;
mod machine;
mod programs;
mod report;
mod script;
mod share;
mod tally;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::counts::Counts;
use crate::vm::build::{Built, Extent};
use crate::vm::cache::Cache;
use crate::vm::machine::Machine;
use crate::vm::programs::Program;
use crate::vm::report::Run;

/// The kernel that `cargo xtask test` boots.
pub const TESTED: &str = "6.12";
/// After how many minutes a machine is stopped, unless told otherwise.
const LIMIT: u64 = 40;

/// What to run, and where.
#[derive(Debug, Args)]
pub struct Options {
    /// Which of Debian's kernels, by the first two numbers of their version
    #[arg(value_name = "KERNEL", default_values = ["6.12", "6.1"], value_parser = kernel::short_name)]
    kernels: Vec<String>,
    /// Show what would run, and why
    #[arg(long)]
    list: bool,
    /// Run only programs whose name and arguments contain this
    #[arg(long, value_name = "TEXT", conflicts_with = "program")]
    filter: Option<String>,
    /// Run this program in place of the usual ones; TARGET is `lib` or the name of an integration test
    #[arg(long, value_name = "PACKAGE:TARGET", value_parser = programs::parse)]
    program: Option<Program>,
    /// Handed on to the program of --program (names to filter by, --exact, ...) or to --bench
    #[arg(last = true, value_name = "ARGUMENT", conflicts_with = "filter")]
    args: Vec<String>,
    /// Run `cargo xtask bench` there instead of tests; what follows `--` goes to it
    #[arg(long, conflicts_with_all = ["program", "filter"])]
    bench: bool,
    /// How many machines run side by side; as many as processors and memory allow, two at most, if it is left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=8))]
    machines: Option<u8>,
    /// Look for a newer kernel package than the unpacked one
    #[arg(long)]
    update: bool,
    /// Where QEMU or a package cannot be had: say so, and succeed
    #[arg(long)]
    skip_unavailable: bool,
    /// After how many minutes a machine is stopped
    #[arg(long, value_name = "MINUTES", default_value_t = LIMIT, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Runs the programs in each kernel. The last line of the output is the count.
pub fn run(options: &Options) -> Result<ExitCode> {
    let programs = selected(options)?;
    if options.list {
        print!("{}", report::list(&options.kernels, &programs));
        return Ok(ExitCode::SUCCESS);
    }
    let cache = Cache::open()?;
    let vng = match tools::ensure(&cache, true) {
        Err(error) if options.skip_unavailable => {
            let why = format!("{error:#}");
            let runs = options.kernels.iter().map(|kernel| Run::skipped(kernel, &why));
            return Ok(report::close(&runs.collect::<Vec<_>>()));
        }
        vng => vng?,
    };
    let built = build::build(&cache.run, &programs, Extent::Programs)?;
    let shares = share::share(&built, options.machines.map_or_else(share::machines, usize::from));
    let machine = Machine { cache, vng, minutes: options.limit };
    let runs = options.kernels.iter().map(|kernel| in_kernel(&machine, options, kernel, &shares));
    Ok(report::close(&runs.collect::<Vec<_>>()))
}

/// The part of `cargo xtask test`: the usual programs in one kernel. Prints as [`run`] does, but for the count.
pub fn of_test(may_install: bool) -> Result<Counts> {
    let cache = Cache::open()?;
    let vng = tools::ensure(&cache, may_install)?;
    println!("\nLinux {TESTED}");
    let image = kernel::ensure(&cache, TESTED, false)?;
    let built = build::build(&cache.run, &programs::usual(), Extent::Workspace)?;
    let shares = share::share(&built, share::machines());
    let machine = Machine { cache, vng, minutes: LIMIT };
    Ok(report::told(&[machine.run(TESTED, &image, &shares)]))
}

/// What [`of_test`] counts as where it is left out: each program skipped.
pub fn left_out() -> Counts {
    Counts { skipped: programs::usual().len() as u64, ..Counts::default() }
}

fn selected(options: &Options) -> Result<Vec<Program>> {
    if options.bench {
        return Ok(vec![programs::measurement(&options.args)]);
    }
    if let Some(program) = &options.program {
        return Ok(vec![Program { arguments: options.args.clone(), ..program.clone() }]);
    }
    ensure!(options.args.is_empty(), "what follows `--` is for --program or --bench");
    let text = options.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> =
        programs::usual().into_iter().filter(|program| program.name().contains(text)).collect();
    ensure!(!chosen.is_empty(), "--filter {text}: no program is called so; --list names them");
    Ok(chosen)
}

/// One kernel after another.
fn in_kernel(machine: &Machine, options: &Options, kernel: &str, shares: &[Vec<&Built>]) -> Run {
    println!("\nLinux {kernel}");
    match kernel::ensure(&machine.cache, kernel, options.update) {
        Ok(image) => machine.run(kernel, &image, shares),
        Err(error) if options.skip_unavailable => Run::skipped(kernel, &format!("{error:#}")),
        Err(error) => Run::failed(kernel, &format!("{error:#}")),
    }
}
