//! A namespace with the running program, and HTTP to it.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::manifest;
use testkit::netns::NetNs;
use testkit::process::Running;
use testkit::scratch::Scratch;
use testkit::wait;

const NAMED_BY: &str = "TOWPATH_BIN";
/// Until the program has done something; an emulated machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// For one answer over HTTP.
const ANSWER: Duration = Duration::from_secs(25);
const LOG_LINES: usize = 30;
/// Where the pages are.
pub(crate) const PAGES: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
/// An address that is not loopback.
pub(crate) const OUTSIDE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 168, 7, 11)), 10249);
/// A value of the program's environment that no page may show.
pub(crate) const SECRET: &str = "hunter2-in-the-environment";

/// The namespace and the program; it ends on drop.
pub(crate) struct Place {
    program: Option<Running>,
    pub(crate) ns: NetNs,
    directory: PathBuf,
    log: PathBuf,
    _scratch: Scratch,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Why these tests cannot run, if so.
pub(crate) fn obstacle() -> Result<Option<String>> {
    if let Err(why) = testkit::requires_root() {
        return Ok(Some(why));
    }
    if let Some(path) = env::var_os(NAMED_BY) {
        ensure!(Path::new(&path).is_file(), "{NAMED_BY}: no program at {}", path.display());
        return Ok(None);
    }
    Ok(program().err().map(|error| format!("{error:#}")))
}

fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os(NAMED_BY) {
        return Ok(path.into());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("towpath"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = built.into_iter().filter(|path| age(path).is_some()).max_by_key(age);
    newest.with_context(|| format!("no program: run `cargo build` first, or set {NAMED_BY}"))
}

impl Place {
    /// Starts the program with these objects, and waits until the kernel has them.
    pub(crate) fn start(objects: &[Value]) -> Result<Self> {
        let scratch = Scratch::new()?;
        let ns = NetNs::new()?;
        ns.ip_batch("link add name eth0 type dummy\n")
            .or_else(|_| ns.ip_batch("link add name eth0 type veth peer name eth1\nlink set eth1 up\n"))?;
        ns.ip_batch("addr add 192.168.7.11/24 dev eth0\nlink set eth0 up\n")?;
        let directory = scratch.path().join("manifests");
        fs::create_dir(&directory)?;
        let log = scratch.path().join("log");
        let mut place = Self { program: None, ns, directory, log, _scratch: scratch };
        place.set("objects", objects)?;
        place.program = Some(place.launch()?);
        place.await_synced(objects.len().min(1))?;
        Ok(place)
    }

    fn launch(&self) -> Result<Running> {
        let output = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program()?);
        command.args([
            "run",
            "--source",
            "manifests",
            "--proxy-mode",
            "nftables",
            "--hostname-override",
            "worker-1",
        ]);
        command.args(["--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48", "--conntrack-max-per-core=0"]);
        command.args([
            "--metrics-bind-address",
            "0.0.0.0:10249",
            "--healthz-bind-address",
            "127.0.0.1:10256",
        ]);
        command.arg("--manifests").arg(&self.directory).env("TOWPATH_PAGE_TEST", SECRET);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.ns.spawn(command)
    }

    /// Ends the program. What it has programmed stays.
    pub(crate) fn stop(&mut self) {
        self.program = None;
    }

    /// Replaces the objects of one file.
    pub(crate) fn set(&self, file: &str, objects: &[Value]) -> Result<()> {
        let text = manifest::list(objects.iter().cloned()).to_string();
        manifest::replace(&self.directory, &format!("{file}.json"), &text)
    }

    /// Waits until all that the program knows is programmed, and it knows something.
    fn await_synced(&self, least: usize) -> Result<()> {
        let reached = wait::until("the first sync", PATIENCE, || {
            let Ok(answer) = self.get("/debug/rules?format=json&page=1") else { return Ok(None) };
            let page: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let known = page["list"]["total"].as_u64().unwrap_or(0) >= least as u64;
            Ok((page["overview"]["synced"] == true && known).then_some(()))
        });
        reached.with_context(|| self.log_tail())
    }

    /// Runs the program to its end with these arguments, beside the one that runs.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(program()?);
        command.args(args).stdin(Stdio::null());
        Ok(self.ns.run(|| command.output())??)
    }

    /// Where the objects are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Everything that the program wrote to its log so far.
    pub(crate) fn log(&self) -> Result<Vec<u8>> {
        Ok(fs::read(&self.log)?)
    }

    /// The end of the program's log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Resident memory of the program, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let id = self.program.as_ref().context("no program")?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// Fails if the program has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.program.as_mut().context("no program")?.exited()? {
            Some(status) => bail!("the program ended: {status}\n{}", self.log_tail()),
            None => Ok(()),
        }
    }

    /// A connection to the pages.
    pub(crate) fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        let stream = self.ns.run(|| TcpStream::connect_timeout(&to, ANSWER))??;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(stream)
    }

    /// One page as curl asks for it.
    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.ask(PAGES, path, "*/*")
    }

    /// One page, by whom and in which form.
    pub(crate) fn ask(&self, at: SocketAddr, path: &str, accept: &str) -> Result<Answer> {
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        self.exchange(at, request.as_bytes())
    }

    /// Sends these bytes, and reads to the end.
    pub(crate) fn exchange(&self, at: SocketAddr, request: &[u8]) -> Result<Answer> {
        let mut stream = self.connect(at)?;
        stream.write_all(request)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) =
            text.split_once("\r\n\r\n").with_context(|| format!("no HTTP answer: {text:.200?}"))?;
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).context("a status")?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}
