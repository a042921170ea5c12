//! A network namespace of its own for a test. Needs root (or `CAP_SYS_ADMIN`).
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// Runs `body` on a thread in a fresh network namespace with loopback up. The namespace ends with the thread.
pub(crate) fn in_netns(body: impl FnOnce() + Send) {
    let result = thread::scope(|scope| {
        let inside = scope.spawn(|| {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                panic!("this test needs root, to make a network namespace: unshare: {error}");
            }
            run(&["ip", "link", "set", "lo", "up"], "");
            body();
        });
        inside.join()
    });
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a command in this thread's namespace with `input`, and returns what it printed.
pub(crate) fn run(command: &[&str], input: &str) -> String {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    String::from_utf8(output.stdout).unwrap()
}

/// `ip -batch` with these lines.
pub(crate) fn ip(lines: &str) {
    run(&["ip", "-batch", "-"], lines);
}
