//! One machine: booted, read to its end, and judged.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{program, shown};
use crate::vm::build::Built;
use crate::vm::cache::Cache;
use crate::vm::console::Console;
use crate::vm::kernel::Image;
use crate::vm::programs::Program;
use crate::vm::report::Run;
use crate::vm::script;
use crate::vm::tally::Tally;

/// The plainest one: what newer ones have, as AVX, makes the emulator slower by a quarter.
const PROCESSOR: &str = "--qemu-opts=-cpu qemu64";
/// So many lines of its console are shown when a machine dies.
const LAST_LINES: usize = 30;

/// What is one machine's own.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Its script's and its log's name, without the end.
    file: String,
    /// What its lines begin with.
    prefix: String,
}

impl Place {
    fn new(kernel: &str, number: usize, of: usize) -> Self {
        match of {
            1 => Self { file: kernel.to_owned(), prefix: String::new() },
            _ => Self { file: format!("{kernel}-{number}"), prefix: format!("{number} ") },
        }
    }
}

/// How machines are made here.
#[derive(Debug)]
pub struct Machine {
    /// Where scripts and logs go.
    pub cache: Cache,
    /// The program of virtme-ng.
    pub vng: PathBuf,
    /// A machine that runs longer is stopped.
    pub minutes: u64,
}

impl Machine {
    /// Runs the programs in a kernel, and prints what comes of them as it comes; side by side, if they are shared out
    /// among several machines. Then each line begins with the number of its machine.
    pub fn run(&self, kernel: &str, image: &Image, shares: &[Vec<&Built>]) -> Run {
        let runs = thread::scope(|scope| {
            let machines: Vec<_> = (1..)
                .zip(shares)
                .map(|(number, share)| {
                    let place = Place::new(kernel, number, shares.len());
                    scope.spawn(move || self.run_one(&place, kernel, image, share))
                })
                .collect();
            let ends =
                machines.into_iter().map(|machine| machine.join().unwrap_or_else(|p| resume_unwind(p)));
            ends.collect()
        });
        Run::together(kernel, runs)
    }

    fn run_one(&self, place: &Place, kernel: &str, image: &Image, programs: &[&Built]) -> Run {
        self.try_run(place, kernel, image, programs)
            .unwrap_or_else(|error| Run::failed(kernel, &format!("{error:#}")))
    }

    fn try_run(&self, place: &Place, kernel: &str, image: &Image, built: &[&Built]) -> Result<Run> {
        let script = self.script(place, built)?;
        let log = self.cache.run.join(format!("{}.log", place.file));
        let programs: Vec<&Program> = built.iter().map(|built| &built.program).collect();
        let mut tally = Tally::new(&programs);
        let start = Instant::now();
        let command = self.command(image, &script);
        let (status, last) = self.watch(command, &log, &place.prefix, &mut tally, start)?;
        let died = (!tally.finished).then(|| self.reason(status, tally.release.is_some()));
        if let Some(died) = &died {
            let prefix = &place.prefix;
            println!("{prefix}{died}; its last lines (all: {}):", log.display());
            last.iter().for_each(|line| println!("{prefix}  | {line}"));
        }
        let mut run = Run::new(kernel, tally.release.take(), start.elapsed(), died.clone());
        run.complaints = std::mem::take(&mut tally.complaints);
        run.unsteady = std::mem::take(&mut tally.unsteady);
        let outcomes = tally.close(died.as_deref().unwrap_or_default(), start.elapsed());
        run.programs = programs.iter().map(|program| program.name()).zip(outcomes).collect();
        Ok(run)
    }

    fn script(&self, place: &Place, programs: &[&Built]) -> Result<PathBuf> {
        let path = self.cache.run.join(format!("{}.sh", place.file));
        fs::write(&path, script::text(programs)).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .context("making the script executable")?;
        Ok(path)
    }

    /// One processor: with more, 6.12 dies of a double fault in QEMU without KVM. The machine goes when we go.
    fn command(&self, image: &Image, script: &Path) -> Command {
        let limit = format!("{}m", self.minutes);
        let mut command = program("setpriv", &["--pdeathsig", "TERM", "timeout", "-k", "10", &limit]);
        command.arg(&self.vng).arg("--run").arg(&image.path);
        command.args(["--disable-kvm", "--cpus", "1", PROCESSOR, "--memory", "3G"]);
        command.args(["--user", "root", "--verbose", "--"]);
        command.arg(script).current_dir(&self.cache.run);
        command
    }

    /// Reads the console to its end. virtme-ng puts it now on the one, now on the other of its outputs.
    fn watch(
        &self,
        mut command: Command,
        log: &Path,
        prefix: &str,
        tally: &mut Tally<'_>,
        start: Instant,
    ) -> Result<(ExitStatus, VecDeque<String>)> {
        let log = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let (console, output) = io::pipe().context("making a pipe")?;
        let errors = output.try_clone().context("sharing a pipe")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut child = command.spawn().with_context(|| format!("cannot run `{}`", shown(&command)))?;
        // It holds our ends of the pipe.
        drop(command);
        let last = follow(console, log, prefix, tally, start);
        Ok((child.wait().context("waiting for the machine")?, last?))
    }

    fn reason(&self, status: ExitStatus, began: bool) -> String {
        match (status.code(), began) {
            (Some(124 | 137), _) => format!("the machine was stopped at {} minutes", self.minutes),
            (_, true) => format!("the machine died ({status})"),
            (_, false) => format!("the machine did not start ({status})"),
        }
    }
}

/// Keeps the lines, tells the tally, prints what it says, and gives the last ones.
fn follow(
    from: impl Read,
    mut log: impl Write,
    prefix: &str,
    tally: &mut Tally<'_>,
    start: Instant,
) -> Result<VecDeque<String>> {
    let (mut from, mut console) = (BufReader::new(from), Console::default());
    let (mut line, mut last) = (Vec::new(), VecDeque::new());
    while from.read_until(b'\n', &mut line).context("reading the console")? > 0 {
        log.write_all(&line).context("writing the log")?;
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        for printed in tally.take(console.line(&text), start.elapsed()) {
            println!("{prefix}{printed}");
        }
        last.push_back(text);
        if last.len() > LAST_LINES {
            last.pop_front();
        }
        line.clear();
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_needs_no_number() {
        let [alone, second] = [Place::new("6.1", 1, 1), Place::new("6.1", 2, 2)];
        assert_eq!((alone.file.as_str(), alone.prefix.as_str()), ("6.1", ""));
        assert_eq!((second.file.as_str(), second.prefix.as_str()), ("6.1-2", "2 "));
    }

    #[test]
    fn the_log_has_all_and_the_end_is_kept() {
        let console = (0..40).map(|i| format!("line {i}\r\n")).collect::<String>() + "\u{fffd}";
        let mut log = Vec::new();
        let mut tally = Tally::new(&[]);
        let last = follow(console.as_bytes(), &mut log, "", &mut tally, Instant::now()).unwrap();
        assert_eq!(log, console.as_bytes());
        assert_eq!((last.len(), last[0].as_str()), (LAST_LINES, "line 11"));
    }
}
