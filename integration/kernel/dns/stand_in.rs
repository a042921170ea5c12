//! The stand-in as the test sees it: a process in the node's namespace that takes commands.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use testkit::netns::NetNs;
use testkit::process::Running;
use testkit::wait;

use crate::dns::server::ROLE;
use crate::stage::{NODE, NODE6, ip};

/// Long enough for an emulated machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the stand-in is to make of the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Want {
    listen: Vec<String>,
    intercept: Vec<String>,
    opted_out: Vec<String>,
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

impl Want {
    pub(crate) fn listen(self, addresses: &[&str]) -> Self {
        Self { listen: texts(addresses), ..self }
    }

    pub(crate) fn intercept(self, vips: &[&str]) -> Self {
        Self { intercept: texts(vips), ..self }
    }

    pub(crate) fn opt_out(self, pods: &[&str]) -> Self {
        Self { opted_out: texts(pods), ..self }
    }

    fn command(&self) -> String {
        let list = |of: &[String]| if of.is_empty() { "-".to_owned() } else { of.join(",") };
        let (listen, vips, pods) = (list(&self.listen), list(&self.intercept), list(&self.opted_out));
        format!("apply {listen} {vips} {pods} {NODE},{NODE6}")
    }

    /// What the page of the living says when all is intercepted.
    fn alive(&self) -> Result<BTreeSet<String>> {
        let vips = self.intercept.iter().map(|vip| ip(vip)).collect::<Result<Vec<IpAddr>>>()?;
        Ok(vips.iter().flat_map(|vip| [format!("{vip}/tcp"), format!("{vip}/udp")]).collect())
    }
}

/// The process; killed on drop.
pub(crate) struct StandIn {
    process: Running,
    input: PipeWriter,
    output: BufReader<PipeReader>,
}

impl StandIn {
    /// Starts it; it does nothing yet, but its prober asks whoever there will be.
    pub(crate) fn start(node: &NetNs) -> Result<Self> {
        let (theirs, input) = pipe().context("a pipe")?;
        let (output, stdout) = pipe().context("a pipe")?;
        let mut command = Command::new(env::current_exe().context("the test's own program")?);
        command.env(ROLE, "1").stdin(Stdio::from(theirs)).stdout(Stdio::from(stdout));
        let mut started = Self { process: node.spawn(command)?, input, output: BufReader::new(output) };
        started.tell("ask")?;
        Ok(started)
    }

    /// One command; what it said, without the `ok`.
    pub(crate) fn tell(&mut self, command: &str) -> Result<String> {
        writeln!(self.input, "{command}").with_context(|| format!("telling the stand-in: {command}"))?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).context("the stand-in's answer")?;
        match answer.trim_end().strip_prefix("ok") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("the stand-in, told {command:?}, said {answer:?}"),
        }
    }

    /// Makes the node what is wanted and serves there; whether anything was written.
    pub(crate) fn apply(&mut self, want: &Want) -> Result<bool> {
        Ok(self.tell(&want.command())? == "true")
    }

    /// What is intercepted now.
    pub(crate) fn alive(&mut self) -> Result<BTreeSet<String>> {
        Ok(self.tell("alive")?.split_whitespace().map(str::to_owned).collect())
    }

    /// Waits until all is intercepted that is wanted, and nothing else is.
    pub(crate) fn await_alive(&mut self, want: &Want) -> Result<()> {
        let (wanted, mut last) = (want.alive()?, BTreeSet::new());
        wait::until("the kernel to hear the stand-in", PATIENCE, || {
            last = self.alive()?;
            Ok((last == wanted).then_some(()))
        })
        .with_context(|| format!("alive: {last:?}, want {wanted:?}"))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// SIGKILL; it is gone when this returns.
    pub(crate) fn kill(self) {
        self.process.kill();
    }

    /// Its input ends, so it does.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = wait::until("the stand-in to end", PATIENCE, || self.process.exited())?;
        ensure!(status.success(), "the stand-in ended with {status}");
        Ok(())
    }
}
