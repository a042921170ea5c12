//! `cargo xtask conformance`: the tests of the Kubernetes source against a real API server.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use crate::command::{cargo, output};

const KUBECONFIG: &str = "TOWPATH_CONFORMANCE_KUBECONFIG";
const TAINT_NODE: &str = "TOWPATH_CONFORMANCE_TAINT_NODE";
const CREATE_NODE: &str = "TOWPATH_CONFORMANCE_CREATE_NODE";
const THREADS: &str = "--test-threads";

/// Which server, and what may be done there beside what is in namespaces of the tests' own.
#[derive(Debug, Args)]
pub struct Options {
    /// The kubeconfig of the cluster; its current context is used
    #[arg(long, value_name = "PATH")]
    kubeconfig: PathBuf,
    /// Put a taint (PreferNoSchedule) on this Node for a moment, to see it taken off
    #[arg(long, value_name = "NAME", conflicts_with = "create_node")]
    taint_node: Option<String>,
    /// Make a Node for the tests, which is deleted at the end
    #[arg(long)]
    create_node: bool,
    /// Handed on to the tests: names to filter by, --list, --exact, ...
    #[arg(last = true, value_name = "FILTER")]
    args: Vec<String>,
}

/// Builds the tests, and becomes them: so Ctrl-C reaches nobody but them, and the prompt comes back after they have
/// cleaned up.
pub fn run(options: &Options) -> Result<ExitCode> {
    let path = &options.kubeconfig;
    let kubeconfig = path.canonicalize().with_context(|| format!("--kubeconfig {}", path.display()))?;
    let mut tests = Command::new(build()?);
    tests.args(&options.args).env(KUBECONFIG, kubeconfig).env_remove(TAINT_NODE).env_remove(CREATE_NODE);
    // Each test lists the whole cluster: not as many at a time as there are processors here.
    if !options.args.iter().any(|arg| arg.starts_with(THREADS)) {
        tests.args([THREADS, "4"]);
    }
    if let Some(node) = &options.taint_node {
        tests.env(TAINT_NODE, node);
    }
    if options.create_node {
        tests.env(CREATE_NODE, "1");
    }
    Err(tests.exec()).with_context(|| format!("running {}", tests.get_program().to_string_lossy()))
}

fn build() -> Result<PathBuf> {
    let mut build = cargo(&["test", "--package", "towpath-integration", "--test", "conformance", "--no-run"]);
    build.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let said = output(&mut build)?;
    said.lines().find_map(program).context("cargo test --no-run names no program")
}

/// The program of the tests, if this line of cargo's messages tells it.
fn program(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_it = message["target"]["name"] == "conformance";
    message["executable"].as_str().filter(|_| is_it).map(|path| Path::new(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_the_messages_of_cargo() {
        let other = r#"{"reason":"compiler-artifact","target":{"name":"kernel"},"executable":"/t/kernel-1"}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"name":"conformance"},"executable":null}"#;
        let found = r#"{"reason":"compiler-artifact","target":{"name":"conformance"},"executable":"/t/c-1"}"#;
        assert_eq!(["", other, library].map(program), [None, None, None]);
        assert_eq!(program(found), Some("/t/c-1".into()));
    }
}
