//! The program under test, and when it has done its work.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use testkit::netns::NetNs;
use testkit::process::Running;
use testkit::wait;

use crate::http;

const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
const HEALTHZ: &str = "127.0.0.1:10256";
const PATIENCE: Duration = Duration::from_secs(15);
const LOG_LINES: usize = 40;

/// The program to test, or why there is none.
pub(crate) fn find_program() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("TOWPATH_BIN") {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(format!("no program at {}", path.display())) };
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("towpath"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = built.into_iter().filter(|p| age(p).is_some()).max_by_key(age);
    newest.ok_or_else(|| "no program: run `cargo build` first, or set TOWPATH_BIN".to_owned())
}

/// The running program; killed on drop.
pub(crate) struct Agent {
    process: Running,
    log: PathBuf,
}

/// What the debug page says of the state of things.
#[derive(Debug, Deserialize)]
struct Progress {
    synced: bool,
    number: u64,
    diff: Vec<Value>,
}

impl Agent {
    /// Starts it in the node's namespace.
    pub(crate) fn start(node: &NetNs, manifests: &Path, log: &Path, flags: &[String]) -> Result<Self> {
        let program = find_program().map_err(anyhow::Error::msg)?;
        let output = File::create(log).context("making the log file")?;
        let mut command = Command::new(program);
        command.args(["run", "--source", "manifests", "--manifests"]).arg(manifests);
        command.args(["--healthz-bind-address", HEALTHZ]);
        command.args(["--metrics-bind-address", &METRICS.to_string()]).args(flags);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { process: node.spawn(command)?, log: log.to_owned() })
    }

    /// Waits until the kernel is as wanted, for a state later than `after`, and says which state it is.
    pub(crate) fn await_sync(&mut self, node: &NetNs, after: Option<u64>) -> Result<u64> {
        let mut last = None;
        let reached = wait::until("the first answer that all is in sync", PATIENCE, || {
            if let Some(status) = self.process.exited()? {
                bail!("the program ended: {status}");
            }
            last = ask_progress(node)?;
            let done = last.as_ref().filter(|p| p.synced && p.diff.is_empty());
            Ok(done.map(|p| p.number).filter(|number| after.is_none_or(|after| *number > after)))
        });
        reached.with_context(|| format!("last seen: {last:?}, wanted: later than {after:?}"))
    }

    /// The end of what it wrote.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
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
