//! The program under test, and when it has done its work.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;
use testkit::netns::NetNs;
use testkit::process::Running;
use testkit::scratch::Scratch;
use testkit::wait;

use crate::http;

const NAMED_BY: &str = "TOWPATH_BIN";
pub(crate) const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
/// The variable that names the lock of the iptables tools.
const LOCK: &str = "XTABLES_LOCKFILE";
const HEALTHZ: &str = "127.0.0.1:10256";
/// Long enough for an emulated machine; see docs/testing.md.
const PATIENCE: Duration = Duration::from_secs(45);
const LOG_LINES: usize = 40;

/// Why there is no program to test.
pub(crate) enum NoProgram {
    /// `TOWPATH_BIN` names something that is not there: somebody wanted it tested, so that is a failure.
    Named(String),
    /// None was built: tests cannot run, and say so.
    NotBuilt(String),
}

/// The program to test.
pub(crate) fn find_program() -> Result<PathBuf, NoProgram> {
    if let Some(path) = env::var_os(NAMED_BY) {
        let path = PathBuf::from(path);
        let missing = || NoProgram::Named(format!("{NAMED_BY}: no program at {}", path.display()));
        return if path.is_file() { Ok(path) } else { Err(missing()) };
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("towpath"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = built.into_iter().filter(|p| age(p).is_some()).max_by_key(age);
    let none = || NoProgram::NotBuilt(format!("no program: run `cargo build` first, or set {NAMED_BY}"));
    newest.ok_or_else(none)
}

/// The program to test; an error when there is none.
pub(crate) fn program() -> Result<PathBuf> {
    find_program().map_err(|(NoProgram::Named(why) | NoProgram::NotBuilt(why))| anyhow!(why))
}

/// Runs the program to its end with these arguments, inside `ns`.
pub(crate) fn run_to_end(ns: &NetNs, args: &[&str]) -> Result<Output> {
    let scratch = Scratch::new()?;
    run_to_end_in(ns, args, &Surroundings::beside(&scratch.path().join("log")))
}

/// The same in surroundings that others share.
pub(crate) fn run_to_end_in(ns: &NetNs, args: &[&str], surroundings: &Surroundings) -> Result<Output> {
    let mut command = Command::new(program()?);
    command.args(args).envs(&surroundings.environment).stdin(Stdio::null());
    ns.run(|| command.output())?.with_context(|| format!("running towpath {}", args.join(" ")))
}

/// The running program; killed on drop.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Running,
    /// The kernel may differ from what is wanted: a Service is refused there, on purpose.
    pub(crate) tolerant: bool,
}

/// Where a program listens that is asked by [`Agent`].
pub(crate) fn listening() -> [String; 4] {
    let metrics = METRICS.to_string();
    ["--healthz-bind-address", HEALTHZ, "--metrics-bind-address", &metrics].map(str::to_owned)
}

/// What a program finds around it, beside its network.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// More of the environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Takes something away from it that the kernel has; see [`testkit::seccomp`].
    pub(crate) restrict: fn() -> Result<()>,
}

impl Surroundings {
    /// Everything is there. The lock of the iptables tools is one of its own, in the log's directory: the usual one is the
    /// whole machine's, and tests would wait for one another.
    pub(crate) fn beside(log: &Path) -> Self {
        let lock = log.with_file_name("xtables.lock").to_string_lossy().into_owned();
        Self { environment: [(LOCK.to_owned(), lock)].into(), restrict: || Ok(()) }
    }

    /// Where the lock of the iptables tools is.
    pub(crate) fn lock(&self) -> &str {
        &self.environment[LOCK]
    }

    fn spawn(&self, node: &NetNs, mut command: Command) -> Result<Running> {
        command.envs(&self.environment);
        node.spawn_restricted(command, self.restrict)
    }
}

/// What the debug page says of the state of things.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Progress {
    synced: bool,
    number: u64,
    /// Kernel objects that are not as they should be, a line each.
    pub(crate) diff: Vec<Value>,
    /// What cannot be honoured, a line each.
    pub(crate) problems: Vec<String>,
    /// What each Service became.
    pub(crate) services: Value,
}

impl Agent {
    /// Starts it in the node's namespace; what it writes is appended to the log.
    pub(crate) fn start(
        node: &NetNs,
        manifests: &Path,
        log: &Path,
        flags: &[String],
        surroundings: &Surroundings,
    ) -> Result<Self> {
        let path = manifests.to_str().context("the directory's name")?;
        let own = ["run", "--source", "manifests", "--manifests", path].map(str::to_owned);
        Self::start_with(node, log, &[&own, &listening()[..], flags].concat(), surroundings)
    }

    /// The same with all arguments given.
    pub(crate) fn start_with(
        node: &NetNs,
        log: &Path,
        args: &[String],
        surroundings: &Surroundings,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log).context("opening the log file")?;
        let mut command = Command::new(program()?);
        command.args(args);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { process: surroundings.spawn(node, command)?, tolerant: false })
    }

    /// Waits until the kernel is as wanted, for a state later than `after`, and says which state it is.
    pub(crate) fn await_sync(&mut self, node: &NetNs, after: Option<u64>) -> Result<u64> {
        let later = |p: &Progress| after.is_none_or(|after| p.number > after);
        let reached = self.await_progress(node, "the first answer that all is in sync", later);
        reached.map(|p| p.number).with_context(|| format!("wanted: later than {after:?}"))
    }

    /// Waits until the kernel is as wanted and the debug page is as `good` asks for.
    pub(crate) fn await_progress(
        &mut self,
        node: &NetNs,
        what: &str,
        good: impl Fn(&Progress) -> bool,
    ) -> Result<Progress> {
        let mut last = None;
        let reached = wait::until(what, PATIENCE, || {
            if let Some(status) = self.process.exited()? {
                bail!("the program ended: {status}");
            }
            last = ask_progress(node)?;
            Ok(last.clone().filter(|p| p.synced && (self.tolerant || p.diff.is_empty()) && good(p)))
        });
        reached.with_context(|| format!("last seen: {last:?}"))
    }

    /// Waits until it ends by itself.
    pub(crate) fn await_end(&mut self) -> Result<ExitStatus> {
        wait::until("the program to end by itself", PATIENCE, || self.process.exited())
    }

    /// Ends it as a supervisor does.
    pub(crate) fn terminate(self) -> Result<()> {
        let status = self.process.terminate(PATIENCE)?;
        ensure!(status.success(), "the program ended with {status} when asked to end");
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Kills it; it can do nothing about that.
    pub(crate) fn kill(self) {
        self.process.kill();
    }
}

/// One value of the page of metrics.
pub(crate) fn metric(node: &NetNs, name: &str) -> Result<f64> {
    let page = http::get(node, METRICS, "/metrics")?.context("nobody serves metrics")?;
    let line = page.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).with_context(|| format!("no metric {name} in:\n{}", page.body))
}

/// One page for people; what costs the program too much to be made all the time, when it is ready to make it.
pub(crate) fn page(node: &NetNs, path: &str) -> Result<String> {
    wait::until(path, PATIENCE, || {
        let page = http::get(node, METRICS, path)?.with_context(|| format!("nobody serves {path}"))?;
        let later = page.status == 503 && page.body.contains("ask again");
        ensure!(later || page.status == 200, "{path}: status {}: {}", page.status, page.body);
        Ok((!later).then_some(page.body))
    })
}

/// The end of a log.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// The one place that knows the form of the answer. `None`: not there yet.
fn ask_progress(node: &NetNs) -> Result<Option<Progress>> {
    let Some(answer) = http::get(node, METRICS, "/debug/rules?format=json&diff=1")? else {
        return Ok(None);
    };
    if answer.status != 200 {
        return Ok(None);
    }
    serde_json::from_str(&answer.body).map(Some).with_context(|| format!("reading {:?}", answer.body))
}
