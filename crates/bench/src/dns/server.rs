//! A server as a process: ours or the echo, on the second CPU.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dns_wire::{Name, ask, class, rtype};
use testkit::netns::NetNs;
use testkit::process::Running;

use crate::dns::perf::{self, Load, Outcome, pinned};
use crate::process::{cpu_of, status_of};

/// Where ours answers, in the namespace.
const PORT: u16 = 5300;
/// Where the echo answers.
const ECHO_PORT: u16 = 5398;
/// Reading 50,000 endpoints from files takes a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// One server, killed on drop.
pub(crate) struct Server<'a> {
    pub(crate) title: &'static str,
    namespace: &'a NetNs,
    process: Running,
    port: u16,
}

impl<'a> Server<'a> {
    /// The echo.
    pub(crate) fn echo(namespace: &'a NetNs) -> Result<Self> {
        let mut command = pinned(1, std::env::current_exe()?);
        command.args(["dns-echo", &ECHO_PORT.to_string()]).stdout(Stdio::null());
        let process = namespace.spawn(command)?;
        let server = Self { title: "echo", namespace, process, port: ECHO_PORT };
        server.await_reply(".")?;
        Ok(server)
    }

    /// `towpath dns` on manifests, once it answers for `known`.
    pub(crate) fn towpath(
        namespace: &'a NetNs,
        manifests: &Path,
        corefile: &Path,
        known: &str,
    ) -> Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("towpath");
        ensure!(binary.exists(), "build the binary first: cargo build --release");
        let mut command = pinned(1, binary);
        command.arg("dns").arg("--manifests").arg(manifests).arg("--dns-corefile").arg(corefile);
        command
            .args(["--listen", &format!("127.0.0.1:{PORT}")])
            .env("TOWPATH_LOG", "error")
            .stdout(Stdio::null());
        let process = namespace.spawn(command)?;
        let server = Self { title: "towpath", namespace, process, port: PORT };
        server.await_reply(known)?;
        Ok(server)
    }

    /// Waits until a query for the name is answered with NOERROR.
    fn await_reply(&self, name: &str) -> Result<()> {
        let name: Name = name.parse()?;
        let mut query = Vec::new();
        ask(&mut query, 1, name.as_ref(), rtype::A, class::IN, false, false, false, 1232);
        let socket = self.namespace.run(|| UdpSocket::bind("127.0.0.1:0"))??;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (deadline, mut reply) = (Instant::now() + PATIENCE, [0; 2048]);
        while Instant::now() < deadline {
            socket.send_to(&query, ("127.0.0.1", self.port))?;
            match socket.recv(&mut reply) {
                Ok(4..) if reply[3] & 0xf == 0 => return Ok(()),
                // Too early: asked again at the pace of the time-out.
                Ok(_) => std::thread::sleep(Duration::from_millis(100)),
                Err(_) => {}
            }
        }
        bail!("{} does not answer for {name} within {PATIENCE:?}", self.title)
    }

    /// One run against it, and the server's CPU seconds in that time.
    pub(crate) fn load(&self, load: Load<'_>) -> Result<(Outcome, f64)> {
        let before = cpu_of(self.process.id())?;
        let outcome = perf::run(self.namespace, self.port, load)?;
        outcome.warn(self.title);
        Ok((outcome, cpu_of(self.process.id())? - before))
    }

    /// One run of a client that need not be served well.
    pub(crate) fn load_unchecked(&self, load: Load<'_>) -> Result<Outcome> {
        perf::run(self.namespace, self.port, load)
    }

    /// A number of /proc/PID/status, in KiB.
    pub(crate) fn status(&self, field: &str) -> Result<u64> {
        status_of(self.process.id(), field).with_context(|| format!("asking after {}", self.title))
    }

    /// Begins to count the peak of resident memory anew.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.process.id());
        std::fs::write(path, "5").context("resetting the peak of memory")
    }
}
