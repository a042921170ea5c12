//! Network namespaces without names: they live as long as a file descriptor of this process.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::resume_unwind;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};

use crate::process::Running;

/// A network namespace. When it is dropped, or the process dies, the kernel takes it away with all its
/// links, unless a process or socket is still in it.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
}

impl NetNs {
    /// A new namespace whose loopback link is up.
    pub fn new() -> Result<Self> {
        let ns = Self { fd: join(thread::spawn(unshared))? };
        ns.command("ip", &["link", "set", "lo", "up"])?;
        Ok(ns)
    }

    /// A path that `ip link set X netns PATH` takes, while this process lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd())
    }

    /// Does some work in a thread that is inside. Sockets opened there stay inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| -> Result<T> {
                setns(&self.fd, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
                Ok(work())
            });
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs a program inside and returns what it printed; its failure is an error with its stderr.
    pub fn command(&self, program: &str, args: &[&str]) -> Result<String> {
        self.command_with_input(program, args, "")
    }

    /// The same, with a text on its standard input.
    pub fn command_with_input(&self, program: &str, args: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.run(|| feed(command, input))?.with_context(|| format!("running {program}"))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{program} {}: {}: {}", args.join(" "), output.status, stderr.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the lines of an `ip -batch` inside.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        self.command_with_input("ip", &["-batch", "-"], lines)
            .map(drop)
            .with_context(|| format!("in:\n{lines}"))
    }

    /// Loads an nft script inside.
    pub fn nft(&self, script: &str) -> Result<()> {
        self.command_with_input("nft", &["-f", "-"], script).map(drop)
    }

    /// Writes kernel settings below `/proc/sys/net` inside.
    pub fn set_sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            settings.iter().try_for_each(|(key, value)| {
                std::fs::write(format!("/proc/sys/net/{key}"), value)
                    .with_context(|| format!("setting {key}"))
            })
        })?
    }

    /// Starts a program inside; it is killed when the guard is dropped.
    pub fn spawn(&self, command: Command) -> Result<Running> {
        self.spawn_restricted(command, || Ok(()))
    }

    /// The same from a thread which has restricted itself: the program inherits that.
    pub fn spawn_restricted(
        &self,
        mut command: Command,
        restrict: impl FnOnce() -> Result<()> + Send,
    ) -> Result<Running> {
        let child = self.run(|| restrict().map(|()| command.spawn()))??;
        Ok(Running::new(child.with_context(|| format!("starting {:?}", command.get_program()))?))
    }
}

/// Leaves the namespace of the process, in this thread only, and keeps the new one open.
fn unshared() -> Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    let file = File::open("/proc/thread-self/ns/net").context("opening the new network namespace")?;
    Ok(file.into())
}

fn feed(mut command: Command, input: &str) -> std::io::Result<Output> {
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why on stderr; the broken pipe adds nothing.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

fn join<T>(handle: thread::JoinHandle<T>) -> T {
    handle.join().unwrap_or_else(|panic| resume_unwind(panic))
}
