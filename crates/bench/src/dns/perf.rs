//! `dnsperf`: one run, and what it says.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::NetNs;

use crate::stats;

/// Flows: fewer than this make results that depend on the flow hash.
const FLOWS: u32 = 128;

/// One run of `dnsperf`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// Lines of `NAME TYPE`.
    pub(crate) queries: &'a Path,
    /// Queries a second; `None`: as many as it can.
    pub(crate) rate: Option<u32>,
    pub(crate) seconds: u32,
    /// The client's address.
    pub(crate) from: &'a str,
    /// Take the latency of each query. Costs the client time: at fixed rates only.
    pub(crate) latencies: bool,
    pub(crate) tcp: bool,
}

impl<'a> Load<'a> {
    /// As fast as it can, over UDP.
    pub(crate) fn of(queries: &'a Path, seconds: u32) -> Self {
        Self { queries, rate: None, seconds, from: "127.0.0.1", latencies: false, tcp: false }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) completed: f64,
    pub(crate) lost: u64,
    /// The line of response codes.
    pub(crate) codes: String,
    /// In the order of the replies.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency that a share of the replies, 0 to 1, did not exceed.
    pub(crate) fn latency(&self, share: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    /// Says on standard error what makes the figures worthless.
    pub(crate) fn warn(&self, who: &str) {
        if self.lost > 0 || self.codes.contains("SERVFAIL") || self.codes.contains("REFUSED") {
            eprintln!("warning: {who}: {} lost, {}", self.lost, self.codes);
        }
    }
}

/// Runs it against a port of 127.0.0.1, on the first CPU if there are several.
pub(crate) fn run(namespace: &NetNs, port: u16, load: Load<'_>) -> Result<Outcome> {
    let mut command = pinned(0, "dnsperf");
    command.args(["-s", "127.0.0.1", "-p", &port.to_string(), "-a", load.from, "-T", "1"]);
    command.args(["-c", &if load.tcp { 16 } else { FLOWS }.to_string()]);
    command
        .args(["-q", if load.tcp { "100" } else { "200" }, "-l", &load.seconds.to_string(), "-d"])
        .arg(load.queries);
    if let Some(rate) = load.rate {
        command.args(["-Q", &rate.to_string(), "-q", "20000"]);
    }
    command.args(load.latencies.then_some("-v"));
    command.args(if load.tcp { &["-m", "tcp"][..] } else { &[] });
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let output = namespace.run(|| command.output())?.context("running dnsperf (Debian package dnsperf)")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "dnsperf: {}", stderr.trim());
    read(&String::from_utf8_lossy(&output.stdout))
}

/// A command on one CPU, if there are several.
pub(crate) fn pinned(cpu: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    if stats::cpus() < 2 {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cpu.to_string()).arg(program);
    command
}

fn read(text: &str) -> Result<Outcome> {
    let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let number = |name: &str| -> Result<u64> {
        let first =
            field(name).and_then(|rest| rest.split(' ').next()).with_context(|| format!("no {name}"))?;
        Ok(first.parse()?)
    };
    let latency = |line: &str| -> Option<Duration> {
        let seconds = line.strip_prefix("> ")?.rsplit(' ').next()?.parse().ok()?;
        Some(Duration::from_secs_f64(seconds))
    };
    Ok(Outcome {
        completed: number("Queries completed:")? as f64,
        lost: number("Queries lost:")?,
        codes: field("Response codes:").unwrap_or_default().to_owned(),
        latencies: text.lines().filter_map(latency).collect(),
    })
}

/// The middle of some numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_printed_statistics_are_read() {
        let text = "> NOERROR a.example.com A 0.001261\n> NXDOMAIN b.example.com AAAA 0.000253\n\n  Queries sent:         3\n  \
                    Queries completed:    2 (66.67%)\n  Queries lost:         1 (33.33%)\n\n  Response codes:       NOERROR 1 (50.00%), \
                    NXDOMAIN 1 (50.00%)\n";
        let outcome = read(text).unwrap();
        assert_eq!((outcome.completed, outcome.lost), (2.0, 1));
        assert_eq!(outcome.codes, "NOERROR 1 (50.00%), NXDOMAIN 1 (50.00%)");
        assert_eq!(outcome.latency(0.0), Duration::from_micros(253));
        assert_eq!(outcome.latency(1.0), Duration::from_micros(1261));
        assert!(read("").is_err());
    }
}
