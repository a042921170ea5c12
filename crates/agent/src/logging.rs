//! The log: its form at start, its level while running, and that it never holds anything up.
//!
//! Lines go through a bounded queue to a thread that writes them to standard error. Should nobody read there, lines are
//! dropped and counted: a log that is stuck must not stop a sync, or the end of the process.
//!
//! One event is one line, whatever words of others are in it: what would end the line, or act on a terminal, is escaped.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use config::Settings;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Overrides the level: a filter as tracing-subscriber reads it.
const VARIABLE: &str = "TOWPATH_LOG";
/// Lines that may wait to be written.
const QUEUE: usize = 4096;
/// How long the last lines may take to be written at the end.
const PATIENCE: Duration = Duration::from_secs(1);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines that were dropped since nobody read them.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// The running log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: SyncSender<Line>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    /// All before it was written.
    Flushed(SyncSender<()>),
}

impl Log {
    /// Sets the level that the settings say, unless the environment says otherwise.
    pub(crate) fn apply(&self, settings: &Settings) {
        // Fails only once the subscriber is gone, with the process.
        let _ = self.filter.reload(filter(settings));
    }

    /// Waits until all lines are written, but not for long.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flushed(done)).is_ok() {
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

/// Starts logging to standard error.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(settings: &Settings) -> io::Result<Log> {
    let (lines, queue) = sync_channel(QUEUE);
    let json = settings.proxy.logging.format == "json";
    thread::Builder::new().name("log".into()).spawn(move || write(&queue, json))?;
    let (filter, handle) = reload::Layer::new(filter(settings));
    let layer = fmt::layer().with_writer(Queue(lines.clone())).with_target(false).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry.with(layer.json()).init();
    } else {
        registry.with(layer).init();
    }
    Ok(Log { filter: handle, lines })
}

fn write(queue: &Receiver<Line>, json: bool) {
    let mut told = 0;
    for line in queue {
        match line {
            Line::Text(text) => drop(io::stderr().write_all(&text)),
            Line::Flushed(done) => drop(done.send(())),
        }
        let dropped = dropped();
        if dropped > told {
            let message = format!("{} lines of the log were dropped: nobody read them", dropped - told);
            let line = match json {
                true => serde_json::json!({ "level": "WARN", "fields": { "message": message } }).to_string(),
                false => format!("towpath: {message}"),
            };
            let _ = writeln!(io::stderr(), "{line}");
            told = dropped;
        }
    }
}

/// Writes whole lines into the queue.
#[derive(Debug)]
struct Queue(SyncSender<Line>);

/// One line that is being made.
#[derive(Debug)]
struct Draft<'a>(&'a SyncSender<Line>, Vec<u8>);

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Draft<'a>;

    fn make_writer(&'a self) -> Draft<'a> {
        Draft(&self.0, Vec::new())
    }
}

impl Write for Draft<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(Line::Text(line(&self.1))) {
            DROPPED.fetch_add(1, Relaxed);
        }
    }
}

/// What was written, as one line.
fn line(draft: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(draft);
    (admin::in_one_line(text.trim_end_matches('\n')) + "\n").into_bytes()
}

/// 0 to 2 is information, 3 and 4 debug, 5 and more everything; libraries are quiet: what they would say of the API
/// server's connection, the source says with its remedy.
fn filter(settings: &Settings) -> EnvFilter {
    let level = match settings.proxy.logging.verbosity {
        0..=2 => "info",
        3 | 4 => "debug",
        _ => "trace",
    };
    let quiet = "hyper=info,hyper_util=info,h2=info,rustls=info,tower=info,kube_client=off,rustls_platform_verifier=off";
    EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(format!("{level},{quiet}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        for (draft, written) in [
            (&b"INFO a\n"[..], &b"INFO a\n"[..]),
            (
                b"WARN a\n2026-11-22T00:00:00Z INFO all is well\n",
                b"WARN a\\n2026-11-22T00:00:00Z INFO all is well\n",
            ),
            (b"a\x1b[2J\r\n", b"a\\u001b[2J\\u000d\n"),
            ("{\"a\": \"é\"}\n".as_bytes(), "{\"a\": \"é\"}\n".as_bytes()),
            (b"a\xff\n", "a\u{fffd}\n".as_bytes()),
        ] {
            assert_eq!(line(draft), written, "{:?}", String::from_utf8_lossy(draft));
        }
    }

    #[test]
    fn a_line_of_json_stays_json() {
        let text = "a\u{7f}\u{9b}2J\u{202e}\n\x1b\"\\";
        let draft = serde_json::json!({ "message": text }).to_string() + "\n";
        let written = line(draft.as_bytes());
        assert!(!String::from_utf8_lossy(&written).trim_end().chars().any(char::is_control));
        let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(read["message"], text);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (lines, queue) = sync_channel(2);
        let maker = Queue(lines);
        let before = dropped();
        for text in ["one", "two", "three"] {
            maker.make_writer().write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(dropped() - before, 1);
        let texts: Vec<_> = queue.try_iter().map(|line| format!("{line:?}")).collect();
        assert_eq!(texts.len(), 2);
    }
}
