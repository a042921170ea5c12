//! Headless Chromium, by its debugging pipe: messages of JSON that end with NUL, on its descriptors 3 and 4 (Chrome DevTools
//! Protocol).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;
use testkit::wait;

/// For an answer of the browser; it starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = "chromium";

/// Why there is no browser, if so.
pub(crate) fn obstacle() -> Option<String> {
    let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("{PROGRAM} does not start: {status}")),
        Err(error) => Some(format!("needs {PROGRAM}: {error}")),
    }
}

/// A browser; it ends on drop.
pub(crate) struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    next: u64,
    /// What it told without being asked, since [`Browser::events`] was last called.
    events: Vec<Value>,
    _profile: Scratch,
}

impl Browser {
    /// Starts one inside a namespace.
    pub(crate) fn start(ns: &NetNs) -> Result<Self> {
        let profile = Scratch::new()?;
        let mut command = Command::new("sh");
        // Standard input and output become the descriptors of the pipe.
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", PROGRAM]);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
        command.arg("--remote-debugging-pipe").arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ns.run(|| command.spawn())?.context("starting the browser")?;
        let input = child.stdin.take();
        let messages = listen(child.stdout.take().context("the pipe")?);
        Ok(Self { child, input, messages, next: 0, events: Vec::new(), _profile: profile })
    }

    /// Asks for something, in a tab if its session is named, and waits for the answer.
    pub(crate) fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let pipe = self.input.as_mut().context("the browser is gone")?;
        pipe.write_all(format!("{message}\0").as_bytes()).with_context(|| format!("asking for {method}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer =
                self.messages.recv_timeout(left).with_context(|| format!("no answer to {method}"))?;
            if answer["id"] != id {
                self.events.push(answer);
                continue;
            }
            ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
            return Ok(answer["result"].clone());
        }
    }

    /// What it has told so far.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        self.events.extend(self.messages.try_iter());
        std::mem::take(&mut self.events)
    }

    /// Waits until it tells of this; what it told before stays.
    pub(crate) fn await_event(&mut self, method: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.events.iter().any(|event| event["method"] == method) {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.messages.recv_timeout(left).with_context(|| format!("waiting for {method}"))?;
            self.events.push(event);
        }
        self.events.retain(|event| event["method"] != method);
        Ok(())
    }
}

/// Reads what it says; ends with the browser.
fn listen(output: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        loop {
            let mut bytes = Vec::new();
            if reader.read_until(0, &mut bytes).unwrap_or(0) == 0 {
                return;
            }
            bytes.pop();
            let Ok(message) = serde_json::from_slice(&bytes) else { return };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    messages
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when its pipe does.
        self.input = None;
        let ended =
            wait::until("the browser to end", Duration::from_secs(10), || Ok(self.child.try_wait()?));
        if ended.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An error of a page, as text, if this event tells of one.
pub(crate) fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" => Some(params["args"].to_string()),
        "Log.entryAdded" => Some(params["entry"].to_string()),
        "Page.javascriptDialogOpening" => Some(format!("a dialog: {params}")),
        _ => None,
    }
}

/// Fails with what the events complain of.
pub(crate) fn no_complaints(events: &[Value]) -> Result<()> {
    let complaints: Vec<String> = events.iter().filter_map(complaint).collect();
    if complaints.is_empty() { Ok(()) } else { bail!("the browser complains: {}", complaints.join("\n")) }
}
