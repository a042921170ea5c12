//! A small world of its own for each server: a namespace, an upstream, manifests, and the program.
//!
//! ```text
//! namespace:  lo  10.244.0.2  the program, which is the pod kube-system/coredns-aaa of the fixtures
//!                 10.244.7.7, 10.244.7.8, 192.0.2.200   clients, the first two are pods
//!                 198.18.0.53, .54                       upstreams
//! ```

use std::env;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sources::{Kept, Manifests, snapshot};
use testkit::manifest;
use testkit::netns::NetNs;
use testkit::process::Running;
use testkit::scratch::Scratch;
use testkit::wait;

use crate::ask;
use crate::compare::Transport;
use crate::decode::{self, Reply};
use crate::stub::Stub;
use crate::table::{self, Table};
use crate::wire::Query;

const NAMED_BY: &str = "TOWPATH_BIN";
/// Until the program answers.
const START: Duration = Duration::from_secs(15);
/// Until a changed manifest is in the answers.
const CHANGE: Duration = Duration::from_secs(5);
const LOG_LINES: usize = 30;

pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 2));
pub(crate) const UPSTREAM: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 53));
pub(crate) const UPSTREAM_2: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 54));
/// All addresses of the namespace.
const ADDRESSES: &[&str] = &[
    "10.244.0.2/32",
    "10.244.7.7/32",
    "10.244.7.8/32",
    // Sources of many clients.
    "10.245.1.0/24",
    "192.0.2.200/32",
    "198.18.0.53/32",
    "198.18.0.54/32",
    "169.254.20.10/32",
    "10.96.0.10/32",
    "fd00:10:96::a/128",
];

/// The world; everything ends on drop.
pub(crate) struct Place {
    program: Option<Running>,
    pub(crate) stub: Stub,
    pub(crate) second: Stub,
    pub(crate) ns: NetNs,
    pub(crate) server: SocketAddr,
    scratch: Scratch,
    listen: Vec<String>,
}

/// Why nothing can run here: no root, no program. A program that was named and is not there is an error.
pub(crate) fn obstacle() -> Result<Option<String>> {
    let program = program();
    if env::var_os(NAMED_BY).is_some() {
        program?;
    } else if let Err(error) = program {
        return Ok(Some(error.to_string()));
    }
    Ok(testkit::requires_root().err())
}

/// The program to test: the one that is named, or the newest of those that were built.
fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os(NAMED_BY).map(PathBuf::from) {
        ensure!(path.is_file(), "{NAMED_BY}: no program at {}", path.display());
        return Ok(path);
    }
    let target = table::repository().join("target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("towpath"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = built.into_iter().filter(|p| age(p).is_some()).max_by_key(age);
    newest.ok_or_else(|| anyhow!("no program: run `cargo build` first, or set {NAMED_BY}"))
}

impl Place {
    /// With the fixtures of the table and this Corefile; ready when it answers.
    pub(crate) fn start(table: &Table, corefile: &str) -> Result<Self> {
        let server = SocketAddr::new(SERVER, 53);
        Self::listening(table, corefile, &[server.to_string()], server)
    }

    /// The same, listening elsewhere; `server` is where it is asked.
    pub(crate) fn listening(
        table: &Table,
        corefile: &str,
        listen: &[String],
        server: SocketAddr,
    ) -> Result<Self> {
        let mut place = Self { server, listen: listen.to_vec(), ..Self::empty(table, corefile)? };
        place.deliver()?;
        place.program = Some(place.spawn(&[])?);
        place.await_ready()?;
        Ok(place)
    }

    /// Started from a snapshot, while there are no manifests: with the fixtures in it, or with nothing.
    pub(crate) fn unsynced(table: &Table, corefile: &str, knows: bool) -> Result<Self> {
        let mut place = Self::empty(table, corefile)?;
        let snapshot = place.snapshot(knows)?;
        place.program = Some(place.spawn(&["--snapshot-path", &snapshot])?);
        place.await_state(|place| {
            let reply = place.quick("kubernetes.default.svc.cluster.local.", "A");
            reply.is_ok_and(|reply| reply.answer().is_empty() != knows)
        })?;
        Ok(place)
    }

    /// A snapshot as the agent writes it, with the fixtures in it or with nothing.
    pub(crate) fn snapshot(&self, knows: bool) -> Result<String> {
        let mut changes = Vec::new();
        if knows {
            let path = table::directory().join("fixtures.yaml");
            Manifests::open(path).context("reading the fixtures")?.keeping(Kept::ALL).load(
                &mut |change| {
                    changes.push(change);
                    true
                },
            )?;
        }
        let file = self.file("snapshot");
        snapshot::write(&file, "", changes.into_iter()).context("writing a snapshot")?;
        Ok(file.display().to_string())
    }

    /// Puts the fixtures where the program looks for manifests.
    pub(crate) fn deliver(&self) -> Result<()> {
        let draft = self.file("draft");
        fs::create_dir(&draft).context("making a directory")?;
        fs::copy(table::directory().join("fixtures.yaml"), draft.join("fixtures.yaml"))
            .context("copying the fixtures")?;
        fs::rename(draft, self.manifests()).context("delivering the fixtures")
    }

    /// Everything but the fixtures and the program.
    pub(crate) fn empty(table: &Table, corefile: &str) -> Result<Self> {
        let ns = NetNs::new()?;
        let lines: String =
            ADDRESSES.iter().map(|address| format!("address add {address} dev lo nodad\n")).collect();
        ns.ip_batch(&lines.replace("/32 dev lo nodad", "/32 dev lo"))?;
        let stub = Stub::start(&ns, UPSTREAM, &table.upstream_stub)?;
        let second = Stub::start(&ns, UPSTREAM_2, &table.upstream_stub)?;
        let scratch = Scratch::new()?;
        let server = SocketAddr::new(SERVER, 53);
        let listen = vec![server.to_string()];
        let place = Self { program: None, stub, second, ns, server, scratch, listen };
        place.set_corefile(corefile)?;
        place.set_resolv_conf(&format!("nameserver {UPSTREAM}\n"))?;
        Ok(place)
    }

    /// The directory that the program watches.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.scratch.path().join("manifests")
    }

    /// A file beside it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Replaces the Corefile. `@DIR` stands for the directory of [`Place::file`].
    pub(crate) fn set_corefile(&self, text: &str) -> Result<()> {
        let directory = self.scratch.path().display().to_string();
        manifest::replace(self.scratch.path(), "Corefile", &text.replace("@DIR", &directory))
    }

    /// Rewrites the file `@DIR/resolv.conf`, as DHCP clients do: in place.
    pub(crate) fn set_resolv_conf(&self, text: &str) -> Result<()> {
        fs::write(self.file("resolv.conf"), text).context("writing resolv.conf")
    }

    /// Writes or replaces a file of manifests.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        manifest::replace(&self.manifests(), file, text)
    }

    /// Takes a file of manifests away.
    pub(crate) fn remove(&self, file: &str) -> Result<()> {
        fs::remove_file(self.manifests().join(file)).with_context(|| format!("removing {file}"))
    }

    /// Starts one more program, with these arguments besides the usual.
    pub(crate) fn spawn(&self, more: &[&str]) -> Result<Running> {
        let log = File::options().create(true).append(true).open(self.file("log")).context("the log")?;
        let mut command = Command::new(program()?);
        command.arg("dns").arg("--manifests").arg(self.manifests());
        command.arg("--dns-corefile").arg(self.file("Corefile"));
        command.arg("--listen").arg(self.listen.join(","));
        command.args(more).stdin(Stdio::null()).stdout(log.try_clone().context("the log")?).stderr(log);
        self.ns.spawn(command)
    }

    /// Waits until all the fixtures are in the answers.
    pub(crate) fn await_ready(&mut self) -> Result<()> {
        self.await_state(|place| {
            let reply = place.quick("kubernetes.default.svc.cluster.local.", "A");
            reply.is_ok_and(|reply| !reply.answer().is_empty())
                && place
                    .quick("nx.default.svc.cluster.local.", "A")
                    .is_ok_and(|reply| reply.rcode == "NXDOMAIN")
        })
    }

    fn await_state(&mut self, is_there: impl Fn(&Self) -> bool) -> Result<()> {
        wait::until("the program to answer", START, || {
            self.alive()?;
            Ok(is_there(self).then_some(()))
        })
        .with_context(|| self.evidence())
    }

    /// Asks somebody who may not be there yet.
    fn quick(&self, name: &str, kind: &str) -> Result<Reply> {
        let socket = ask::udp(&self.ns, self.server, None)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        decode::read(&ask::exchange(&socket, &Query::new(name, kind)?.bytes())?)
    }

    /// An error when the program has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        match self.program.as_mut().map(Running::exited).transpose()?.flatten() {
            Some(status) => bail!("the program ended: {status}"),
            None => Ok(()),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> Result<u32> {
        Ok(self.program.as_ref().context("not started")?.id())
    }

    /// Hands the program out.
    pub(crate) fn take_program(&mut self) -> Option<Running> {
        self.program.take()
    }

    /// Takes one over.
    pub(crate) fn put_program(&mut self, program: Option<Running>) {
        self.program = program;
    }

    /// Resident memory of the program, in KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?)).context("its status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().context("VmRSS")
    }

    /// Asks over UDP.
    pub(crate) fn ask(&self, name: &str, kind: &str) -> Result<Reply> {
        self.send(&Query::new(name, kind)?, Transport::Udp)
    }

    /// Asks over UDP from another address.
    pub(crate) fn ask_from(&self, source: IpAddr, name: &str, kind: &str) -> Result<Reply> {
        let query = Query::new(name, kind)?;
        ask::ask(&self.ns, self.server, Some(source), &query, Transport::Udp)
            .with_context(|| format!("{name} {kind}"))
    }

    /// Sends a query of one's own making.
    pub(crate) fn send(&self, query: &Query, transport: Transport) -> Result<Reply> {
        ask::ask(&self.ns, self.server, None, query, transport)
    }

    /// Asks until the answer section is this, in any order.
    pub(crate) fn await_answer(&self, name: &str, kind: &str, rcode: &str, want: &[&str]) -> Result<()> {
        let mut last = None;
        wait::until("an answer", CHANGE, || {
            let reply = self.ask(name, kind)?;
            let mut got = reply.answer().to_vec();
            got.sort();
            let fits = reply.rcode == rcode && got == want;
            last = Some(reply);
            Ok(fits.then_some(()))
        })
        .with_context(|| format!("{name} {kind}: want {rcode} {want:?}, got {last:?}\n{}", self.evidence()))
    }

    /// What the program has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// The end of the log, for an error.
    pub(crate) fn evidence(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        format!("the program says:\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
    }

    /// A page that the program serves by HTTP, as `curl` prints it.
    pub(crate) fn page(&self, url: &str) -> Result<String> {
        self.ns.command("curl", &["--silent", "--show-error", "--fail", "--max-time", "5", url])
    }
}

/// Whether a command is there; otherwise the reason why a test cannot run.
pub(crate) fn needs(command: &str, package: &str) -> Result<(), String> {
    let found =
        env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| is_file(&dir, command)));
    if found { Ok(()) } else { Err(format!("needs {command} (Debian package {package})")) }
}

fn is_file(directory: &Path, command: &str) -> bool {
    directory.join(command).is_file()
}
