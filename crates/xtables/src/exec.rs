//! One run of a program: a text in, what it printed out, never longer than a limit.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long one run of a tool may last. Tens of thousands of Services in the nf_tables variant need more than a minute.
pub const LIMIT: Duration = Duration::from_secs(300);

/// What is kept of a tool's complaints, in bytes.
const STDERR_LIMIT: u64 = 16 * 1024;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs a program. `None` if it did not end in time; it is stopped then.
pub(crate) fn run(command: &mut Command, input: &str, limit: Duration) -> io::Result<Option<Ended>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(io::Error::other("no pipes to the program"));
    };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let done = sender.clone();
        // A program that ends early says why on its stderr; the broken pipe adds nothing.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        let out = scope.spawn(move || read(stdout, u64::MAX, sender));
        let complaints = scope.spawn(move || read(stderr, STDERR_LIMIT, done));
        if !ends(&mut child, &receiver, limit)? {
            return Ok(None);
        }
        let status = child.wait()?;
        let stdout = out.join().unwrap_or_else(|_| Ok(Vec::new()))?;
        let stderr = complaints.join().unwrap_or_else(|_| Ok(Vec::new()))?;
        Ok(Some(Ended { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }))
    })
}

/// Waits until both pipes were closed. After the limit the child is killed, which closes them.
fn ends(child: &mut Child, closed: &mpsc::Receiver<()>, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    for _ in 0..2 {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Err(mpsc::RecvTimeoutError::Timeout) = closed.recv_timeout(left) {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads a pipe to its end, keeps the first `keep` bytes, and tells that it is done.
fn read(mut pipe: impl Read, keep: u64, done: mpsc::Sender<()>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let result = pipe.by_ref().take(keep).read_to_end(&mut bytes);
    let result = result.and_then(|_| io::copy(&mut pipe, &mut io::sink()));
    // The other end waits for two messages, or has given up.
    let _ = done.send(());
    result.map(|_| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str, limit: Duration) -> Option<Ended> {
        run(Command::new("sh").args(["-c", script]), input, limit).unwrap()
    }

    #[test]
    fn a_text_goes_in_and_both_outputs_come_out() {
        let ended = shell("cat; echo wrong >&2; exit 3", "hello", LIMIT).unwrap();
        assert_eq!((ended.stdout.as_slice(), ended.stderr.as_str()), (b"hello".as_slice(), "wrong\n"));
        assert_eq!(ended.status.code(), Some(3));
    }

    #[test]
    fn much_input_that_nobody_reads_and_many_complaints_do_not_block() {
        let input = "x".repeat(1 << 20);
        let ended = shell("yes complaint | head -c 1000000 >&2; exit 1", &input, LIMIT).unwrap();
        assert_eq!(ended.stderr.len() as u64, STDERR_LIMIT);
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        assert!(shell("exec sleep 100", "", Duration::from_millis(50)).is_none());
    }
}
