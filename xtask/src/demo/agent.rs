//! The real program on the demo's node, and its debug page.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::background::Background;
use super::netns::Namespace;
use super::world::NODE_ADDRESS;
use crate::command::output;
use crate::wait;

/// The pods' addresses.
const CLUSTER_CIDR: &str = "10.244.0.0/16";
/// The node's name in the manifests.
const NODE_NAME: &str = "demo-node";
/// Where metrics and debug pages are, on the node.
const DEBUG_ADDRESS: &str = "127.0.0.1:10249";
/// How long a start, a sync or an end may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What `/debug/rules?format=json&diff=1` says, as far as we ask.
#[derive(Debug, Deserialize)]
struct State {
    synced: bool,
    diff: Vec<String>,
}

/// towpath, running on the node.
#[derive(Debug)]
pub struct Agent {
    process: Background,
}

/// Flags that change what a Service means; `run` and `explain` must be given the same.
fn meaning() -> Vec<String> {
    let nodeport_addresses = format!("{NODE_ADDRESS}/32");
    flags(&[
        ("--proxy-mode", "nftables"),
        ("--cluster-cidr", CLUSTER_CIDR),
        ("--nodeport-addresses", &nodeport_addresses),
    ])
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    let words = pairs.iter().flat_map(|(flag, value)| [*flag, *value]);
    words.map(str::to_owned).collect()
}

/// How it is started.
pub fn run_arguments(manifests: &Path) -> Vec<String> {
    let own = flags(&[
        ("--source", "manifests"),
        ("--manifests", &manifests.to_string_lossy()),
        ("--hostname-override", NODE_NAME),
        ("--healthz-bind-address", "0.0.0.0:10256"),
        ("--metrics-bind-address", DEBUG_ADDRESS),
    ]);
    [vec!["run".to_owned()], own, meaning()].concat()
}

impl Agent {
    /// Starts it; its log goes to a file.
    pub fn start(program: &Path, node: &Namespace, manifests: &Path, log: &Path) -> Result<Self> {
        let output = File::create(log).context("making the log")?;
        let mut command = node.command(&program.to_string_lossy(), &[]);
        command.args(run_arguments(manifests));
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().context("sharing the log")?).stderr(output);
        Ok(Self { process: Background::start(&mut command)? })
    }

    /// Waits until it says that it has synced and that the kernel differs in nothing.
    pub fn wait_until_synced(&mut self, node: &Namespace) -> Result<()> {
        let synced = wait::until("towpath to be in sync", PATIENCE, || {
            if let Some(status) = self.process.ended()? {
                bail!("towpath ended: {status}");
            }
            // Until it listens there is no answer.
            let page = node.get(&format!("http://{DEBUG_ADDRESS}/debug/rules?format=json&diff=1"));
            Ok(page.ok().map(|page| state(&page)).transpose()?.filter(State::is_settled))
        });
        synced.map(drop)
    }

    /// What it says it has programmed, as text.
    pub fn rules(&self, node: &Namespace) -> Result<String> {
        node.get(&format!("http://{DEBUG_ADDRESS}/debug/rules"))
    }

    /// Stops it as a service manager would.
    pub fn stop(self) -> Result<()> {
        let status = self.process.terminate(PATIENCE)?;
        ensure!(status.success(), "towpath ended badly: {status}");
        Ok(())
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.synced && self.diff.is_empty()
    }
}

fn state(page: &str) -> Result<State> {
    serde_json::from_str(page).with_context(|| format!("the debug page: {page:.200}"))
}

/// Asks the program what would happen to a connection. It needs no kernel and no running towpath for that.
pub fn explain(program: &Path, node: &Namespace, manifests: &Path, from: &str, to: &str) -> Result<String> {
    let own = flags(&[
        ("--manifests", &manifests.to_string_lossy()),
        ("--node", NODE_NAME),
        ("--from", from),
        ("--to", &format!("{to}/tcp")),
    ]);
    let mut command = node.command(&program.to_string_lossy(), &["explain"]);
    output(command.args(own).args(meaning()))
}

/// Asks the program to remove what is its own.
pub fn cleanup(program: &Path, node: &Namespace) -> Result<String> {
    node.output(&program.to_string_lossy(), &["cleanup"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_state_has_no_difference() {
        let settled = |page| state(page).unwrap().is_settled();
        assert!(settled(r#"{"synced": true, "number": 3, "diff": []}"#));
        assert!(!settled(r#"{"synced": true, "number": 3, "diff": ["+ element"]}"#));
        assert!(!settled(r#"{"synced": false, "number": 0, "diff": []}"#));
    }

    #[test]
    fn a_path_stays_one_argument() {
        let arguments = run_arguments(Path::new("/tmp/x y"));
        assert_eq!(arguments[..5], ["run", "--source", "manifests", "--manifests", "/tmp/x y"]);
    }
}
