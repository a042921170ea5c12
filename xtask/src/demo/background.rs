//! A child process that does not outlive its guard, and what it says line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{must, program, shown};
use crate::wait;

/// A running child; killed and reaped on drop.
#[derive(Debug)]
pub struct Background {
    what: String,
    child: Child,
}

impl Background {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let what = shown(command);
        let child = command.spawn().with_context(|| format!("cannot start `{what}`"))?;
        Ok(Self { what, child })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking after `{}`", self.what))
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn terminate(mut self, patience: Duration) -> Result<ExitStatus> {
        must(&mut program("kill", &["-TERM", &self.child.id().to_string()]))?;
        wait::until("a process to end when told to", patience, || self.ended())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child that is talked to in lines. It sees the end of its input when we are gone, however that happens.
#[derive(Debug)]
pub struct Conversation {
    background: Background,
    /// `None` once it was told that there is no more.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Conversation {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut background = Background::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let output = background.child.stdout.take().context("the child's output")?;
        let input = background.child.stdin.take();
        Ok(Self { background, input, lines: lines_of(output) })
    }

    /// Says a line to it.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("nothing more can be said")?;
        writeln!(input, "{line}").with_context(|| format!("speaking to `{}`", self.background.what))
    }

    /// Tells it that nothing more will be said.
    pub fn finish(&mut self) {
        self.input = None;
    }

    /// The next line that it says.
    pub fn hear(&self, patience: Duration) -> Result<String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!("`{}` said nothing for {} s", self.background.what, patience.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("`{}` ended early", self.background.what),
        }
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_conversation_goes_both_ways() {
        let mut cat = Conversation::start(&mut program("cat", &[])).unwrap();
        cat.say("hello").unwrap();
        assert_eq!(cat.hear(PATIENCE).unwrap(), "hello");
        cat.finish();
        assert!(cat.hear(PATIENCE).unwrap_err().to_string().contains("ended early"));
    }

    #[test]
    fn a_process_ends_when_told_to() {
        let sleeper = Background::start(&mut program("sleep", &["600"])).unwrap();
        assert!(!sleeper.terminate(PATIENCE).unwrap().success());
    }
}
