//! The busy client of the demo: it asks without a pause and counts who answered.
//!
//! A conversation in lines. `phase NAME N` on standard input begins a phase; `reached NAME` is said as soon as
//! N requests of the phase are over. A request belongs to the phase in which it began. At the end of the
//! input the client stops and says its [`Report`] as one line of JSON.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// A request that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many requests are under way at any time, for each target.
const WORKERS: usize = 2;

/// All phases in their order.
pub type Report = Vec<Phase>;

/// What came of the requests of one phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// As it was called.
    pub name: String,
    /// After how many requests to say that it has been reached.
    pub wanted: u64,
    /// How many requests each server answered.
    pub answers: BTreeMap<String, u64>,
    /// How many got no answer, by reason.
    pub lost: BTreeMap<String, u64>,
    /// The longest that a request took, in microseconds.
    pub slowest_us: u64,
}

impl Phase {
    fn new(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let (Some("phase"), Some(name), Some(wanted)) = (words.next(), words.next(), words.next()) else {
            bail!("not understood: {line:?}");
        };
        let wanted = wanted.parse().with_context(|| format!("how many requests: {line:?}"))?;
        Ok(Self { name: name.to_owned(), wanted, ..Self::default() })
    }

    /// How many requests are over.
    pub fn total(&self) -> u64 {
        self.answers.values().sum::<u64>() + self.lost_total()
    }

    /// How many got no answer.
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Counts a request; true when this was the one that was waited for.
    fn count(&mut self, outcome: Result<String, String>, took: Duration) -> bool {
        let count = match outcome {
            Ok(server) => self.answers.entry(server),
            Err(reason) => self.lost.entry(reason),
        };
        *count.or_default() += 1;
        self.slowest_us = self.slowest_us.max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.total() == self.wanted
    }
}

/// The phases so far, shared by the workers.
#[derive(Debug, Default)]
struct Journal {
    phases: Mutex<Report>,
    stopped: std::sync::atomic::AtomicBool,
}

impl Journal {
    fn phases(&self) -> MutexGuard<'_, Report> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.stopped.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Where a request that begins now belongs.
    fn current(&self) -> usize {
        self.phases().len().saturating_sub(1)
    }

    fn count(&self, phase: usize, outcome: Result<String, String>, took: Duration) {
        if let Some(phase) = self.phases().get_mut(phase)
            && phase.count(outcome, took)
        {
            println!("reached {}", phase.name);
        }
    }
}

/// Asks all targets until the end of standard input.
pub fn run(targets: &[SocketAddr]) -> Result<ExitCode> {
    let mut orders = io::stdin().lock().lines();
    let journal = Journal::default();
    let first = orders.next().context("no first phase")?.context("reading the first phase")?;
    journal.phases().push(Phase::new(&first)?);
    thread::scope(|scope| {
        for &target in targets.iter().flat_map(|target| [target; WORKERS]) {
            let journal = &journal;
            scope.spawn(move || work(journal, target));
        }
        let obeyed = orders.try_for_each(|order| obey(&journal, &order?));
        journal.stop();
        obeyed
    })?;
    let report = serde_json::to_string(&*journal.phases()).context("writing the report")?;
    writeln!(io::stdout(), "{report}").context("saying the report")?;
    Ok(ExitCode::SUCCESS)
}

fn obey(journal: &Journal, order: &str) -> Result<()> {
    journal.phases().push(Phase::new(order)?);
    Ok(())
}

fn work(journal: &Journal, target: SocketAddr) {
    while !journal.is_stopped() {
        let phase = journal.current();
        let start = Instant::now();
        let outcome = request(target).map_err(|error| error.kind().to_string());
        journal.count(phase, outcome, start.elapsed());
    }
}

/// One request over a connection of its own. Says who answered.
pub fn request(target: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let server = server_of(&response).ok_or(io::ErrorKind::InvalidData)?;
    Ok(server.to_owned())
}

/// The name in a complete answer.
fn server_of(response: &str) -> Option<&str> {
    let (head, body) = response.split_once("\r\n\r\n")?;
    head.strip_prefix("HTTP/1.1 200 ")?;
    body.strip_suffix('\n')?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_answer_counts() {
        assert_eq!(server_of("HTTP/1.1 200 OK\r\nA: b\r\n\r\npod-a saw 1.2.3.4\n"), Some("pod-a"));
        for bad in ["", "HTTP/1.1 200 OK\r\n\r\npod-a saw", "HTTP/1.1 500 No\r\n\r\npod-a saw 1.2.3.4\n"] {
            assert_eq!(server_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_phase_is_reached_once() {
        let mut phase = Phase::new("phase before 2").unwrap();
        let reached = [(); 3].map(|()| phase.count(Ok("pod-a".to_owned()), Duration::ZERO));
        assert_eq!(reached, [false, true, false]);
        assert_eq!((phase.total(), phase.lost_total()), (3, 0));
    }

    #[test]
    fn a_lost_request_is_counted_with_its_reason() {
        let mut phase = Phase::new("phase before 1").unwrap();
        assert!(phase.count(Err("timed out".to_owned()), Duration::from_micros(7)));
        assert_eq!((phase.total(), phase.lost_total(), phase.slowest_us), (1, 1, 7));
        assert_eq!(phase.lost["timed out"], 1);
    }

    #[test]
    fn a_bad_order_is_refused() {
        for order in ["", "phase", "phase x", "phase x many", "stop"] {
            assert!(Phase::new(order).is_err(), "{order:?}");
        }
    }
}
