//! Network namespaces by name, as `ip netns` keeps them.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{must, output, program};

/// What the names of all our namespaces start with.
const PREFIX: &str = "towpath-demo-";

/// A namespace that is gone when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one, with its loopback up.
    pub fn new(short: &str) -> Result<Self> {
        let name = format!("{PREFIX}{short}");
        must(&mut program("ip", &["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip` with these words, in it.
    pub fn ip(&self, words: &str) -> Result<()> {
        must(program("ip", &["-n", &self.name]).args(words.split_whitespace()))
    }

    /// A command that will run in it.
    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = program("ip", &["netns", "exec", &self.name, name]);
        command.args(args);
        command
    }

    /// What a command prints in it.
    pub fn output(&self, name: &str, args: &[&str]) -> Result<String> {
        output(&mut self.command(name, args))
    }

    /// What an HTTP server answers to a request from in it.
    pub fn get(&self, url: &str) -> Result<String> {
        let flags = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "5"];
        self.output("curl", &[&flags[..], &[url]].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("could not remove a namespace: {error:#}");
        }
    }
}

/// Removes the namespaces that an earlier demo left, with the processes in them.
pub fn remove_leftovers() -> Result<()> {
    let names = our_names()?;
    names.iter().try_for_each(|name| remove(name))?;
    let left = our_names()?;
    ensure!(left.is_empty(), "these namespaces could not be removed: {}", left.join(" "));
    Ok(())
}

/// Names of all of our namespaces that are there.
pub fn our_names() -> Result<Vec<String>> {
    let list = output(&mut program("ip", &["netns", "list"]))?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| name.starts_with(PREFIX)).map(str::to_owned).collect())
}

/// What runs in a namespace of ours was started by a demo.
fn remove(name: &str) -> Result<()> {
    for id in output(&mut program("ip", &["netns", "pids", name]))?.split_whitespace() {
        // It may have ended by itself in the meantime.
        let _ = output(&mut program("kill", &["-KILL", id]));
    }
    must(&mut program("ip", &["netns", "delete", name]))
}
