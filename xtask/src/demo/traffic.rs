//! Our side of the busy client: begins phases, waits for them, reads the report.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::background::Conversation;
use super::load::Report;
use super::netns::Namespace;

/// How long a phase may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client that sends requests all the time.
#[derive(Debug)]
pub struct Traffic {
    client: Conversation,
}

impl Traffic {
    /// Starts it; requests begin with the first phase.
    pub fn start(namespace: &Namespace, targets: &[&str]) -> Result<Self> {
        let own = env::current_exe().context("where this program is")?;
        let mut command = namespace.command(&own.to_string_lossy(), &["demo-load"]);
        for target in targets {
            command.args(["--target", target]);
        }
        Ok(Self { client: Conversation::start(&mut command)? })
    }

    /// Begins a phase and waits until that many requests of it are over.
    pub fn phase(&mut self, name: &str, requests: u64) -> Result<()> {
        self.client.say(&format!("phase {name} {requests}"))?;
        let said = self.client.hear(PATIENCE)?;
        ensure!(said == format!("reached {name}"), "the client said {said:?}");
        Ok(())
    }

    /// Stops it and asks what came of it all.
    pub fn finish(mut self) -> Result<Report> {
        self.client.finish();
        let line = self.client.hear(PATIENCE)?;
        serde_json::from_str(&line).with_context(|| format!("the client's report: {line:?}"))
    }
}
