//! The program as a process in a namespace, and what it costs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::netns::NetNs;
use testkit::process::Running;

/// The ruleset's generation in a namespace.
pub(crate) fn generation(namespace: &NetNs) -> Result<u32> {
    let asked = namespace.run(|| -> Result<u32> {
        let mut socket = netlink::Socket::open(netlink::nft::NETLINK_NETFILTER)?;
        Ok(netlink::nft::generation(&mut socket)?)
    });
    asked?
}

/// A number of a process's /proc/PID/status, in KiB.
pub(crate) fn status_of(process: u32, field: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// CPU seconds of a process so far, user and system, of the threads that live.
pub(crate) fn cpu_of(process: u32) -> Result<f64> {
    let mut total = 0.0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let nanoseconds: f64 = text.split(' ').next().context("empty schedstat")?.parse()?;
        total += nanoseconds / 1e9;
    }
    Ok(total)
}

/// A running agent; killed on drop.
pub(crate) struct Agent<'a> {
    namespace: &'a NetNs,
    process: Running,
}

impl<'a> Agent<'a> {
    /// Starts one of this build, as node-1.
    pub(crate) fn spawn(namespace: &'a NetNs, args: &[&str]) -> Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("towpath");
        ensure!(binary.exists(), "build the binary first: cargo build --release");
        let mut command = Command::new(binary);
        command.args(["run", "--hostname-override", "node-1"]).args(args).env("TOWPATH_LOG", "error");
        Ok(Self { namespace, process: namespace.spawn(command)? })
    }

    /// Waits until it says that the first sync has succeeded.
    pub(crate) fn await_sync(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        let synced = "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"}";
        while self.metric(synced).unwrap_or(0.0) == 0.0 {
            ensure!(Instant::now() < deadline, "the agent did not sync within two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A number of /proc/PID/status, in KiB.
    pub(crate) fn status(&self, field: &str) -> Result<u64> {
        status_of(self.process.id(), field)
    }

    /// CPU seconds so far, user and system, of the threads that live.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_of(self.process.id())
    }

    /// One number of its page of metrics.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let page = self.page()?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        match value {
            Some(value) => Ok(value.trim().parse()?),
            None => bail!("no metric {name}"),
        }
    }

    /// The sum of a metric over its labels.
    pub(crate) fn sum(&self, name: &str) -> Result<f64> {
        let page = self.page()?;
        let of_name = page.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
        Ok(of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    fn page(&self) -> Result<String> {
        self.namespace.command("curl", &["-s", "-m", "5", "http://127.0.0.1:10249/metrics"])
    }
}

/// Asks for a page on a connection of its own: the status, and the body.
pub(crate) fn get(mut stream: TcpStream, path: &str) -> Result<(u16, String)> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split_whitespace().nth(1).context("an answer without a status")?.parse()?;
    Ok((status, body.to_owned()))
}
