//! A small kubelet: starts the image's program in a root of its own, with the mounts, the capabilities and the
//! environment that a DaemonSet asks for.
//!
//! Namespaces: mounts and the test's network; processes are the machine's, which towpath does not look at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::netns::NetNs;
use testkit::process::Running;
use testkit::scratch::Scratch;
use testkit::seccomp::no_netfilter;
use testkit::wait;

use crate::image::Image;
use crate::manifest;

const PATIENCE: Duration = Duration::from_secs(15);
/// What the kubelet gives to a pod of class system-node-critical.
const OOM_SCORE_ADJ: i32 = -997;

/// What is to be run.
pub(crate) struct Plan {
    /// The program, and its arguments.
    pub(crate) command: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Capabilities by the names of a securityContext; `None` = all, and a writable root.
    pub(crate) capabilities: Option<Vec<String>>,
    /// In their order.
    pub(crate) mounts: Vec<Mount>,
    /// The text of `/etc/hosts`; `/etc/resolv.conf` names the DNS server of the test.
    pub(crate) hosts: String,
    /// Whether the kernel has nf_tables.
    pub(crate) nf_tables: bool,
}

/// A directory or file of the machine, seen in the container.
pub(crate) struct Mount {
    pub(crate) from: PathBuf,
    pub(crate) to: String,
    pub(crate) read_only: bool,
}

impl Plan {
    /// What the DaemonSet says, for a node of this name. In `files`: `config` is where the ConfigMap's files are, `state` is in
    /// the place of the node's `/var/lib`, `xtables.lock` in that of the node's.
    pub(crate) fn of_daemonset(node: &str, files: &Path) -> Result<Self> {
        let container = manifest::container()?;
        let environment = environment(&container["env"], node)?;
        let expand = |text: &String| {
            environment
                .iter()
                .fold(text.clone(), |text, (name, value)| text.replace(&format!("$({name})"), value))
        };
        let arguments = manifest::texts(&container["args"])?;
        let security = &container["securityContext"];
        ensure!(security["readOnlyRootFilesystem"] == true && security["privileged"] == false);
        Ok(Self {
            command: ["/usr/local/bin/towpath".to_owned()]
                .into_iter()
                .chain(arguments.iter().map(expand))
                .collect(),
            capabilities: Some(manifest::texts(&security["capabilities"]["add"])?),
            mounts: mounts(&container, files)?,
            hosts: String::new(),
            nf_tables: true,
            environment,
        })
    }
}

fn environment(list: &Value, node: &str) -> Result<BTreeMap<String, String>> {
    let value = |item: &Value| match item["value"].as_str() {
        Some(value) => Ok(value.to_owned()),
        None if item["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName" => Ok(node.to_owned()),
        None => anyhow::bail!("no value for {item}"),
    };
    manifest::list(list)?
        .iter()
        .map(|item| Ok((manifest::text(&item["name"])?.to_owned(), value(item)?)))
        .collect()
}

fn mounts(container: &Value, files: &Path) -> Result<Vec<Mount>> {
    let pod = manifest::pod()?;
    let volumes = manifest::list(&pod["volumes"])?;
    let of = |mount: &Value| {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
        let volume = volume.with_context(|| format!("no volume for {mount}"))?;
        let from = match volume["hostPath"]["path"].as_str() {
            Some(path) if path.starts_with("/var/lib/") => files.join("state"),
            Some("/run/xtables.lock") => files.join("xtables.lock"),
            Some(path) => path.into(),
            None => files.join("config"),
        };
        let to = manifest::text(&mount["mountPath"])?.to_owned();
        Ok(Mount { from, to, read_only: mount["readOnly"] == true })
    };
    manifest::list(&container["volumeMounts"])?.iter().map(of).collect()
}

/// A running container; killed on drop.
pub(crate) struct Container {
    process: Running,
    /// Its root, and its log beside it.
    scratch: Scratch,
}

impl Container {
    /// Starts it in a network namespace.
    pub(crate) fn start(image: &Image, ns: &NetNs, plan: &Plan) -> Result<Self> {
        let scratch = Scratch::new()?;
        let root = scratch.path().join("root");
        image.copy_to(&root)?;
        prepare(&root, &plan.mounts)?;
        // As the kubelet mounts them.
        fs::write(root.join("etc/hosts"), &plan.hosts)?;
        fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")?;
        let log = File::create(scratch.path().join("log"))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", &script(plan)?, "sh"]);
        command.arg(&root).args(&plan.command).env_clear().envs(&plan.environment);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let restrict = || if plan.nf_tables { Ok(()) } else { no_netfilter() };
        Ok(Self { process: ns.spawn_restricted(command, restrict)?, scratch })
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_else(|error| error.to_string())
    }

    /// Whether it has ended, which is an error with its log.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        let ended = self.process.exited()?;
        ensure!(ended.is_none(), "it has ended: {ended:?}\n{}", self.log());
        Ok(())
    }

    /// One line of `/proc/PID/status`.
    pub(crate) fn status(&self, name: &str) -> Result<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.with_context(|| format!("no {name}"))?.trim().to_owned())
    }

    /// Waits until it has ended by itself, well; its log.
    pub(crate) fn finish(mut self) -> Result<String> {
        let status = wait::until("the container to end", PATIENCE, || self.process.exited())?;
        ensure!(status.success(), "it ended with {status}\n{}", self.log());
        Ok(self.log())
    }

    /// Ends it as the kubelet does; its log.
    pub(crate) fn terminate(self) -> Result<String> {
        let Self { process, scratch } = self;
        let status = process.terminate(PATIENCE)?;
        let log = fs::read_to_string(scratch.path().join("log"))?;
        ensure!(status.success(), "it ended with {status} when asked to end\n{log}");
        Ok(log)
    }
}

/// Makes the places where something is mounted.
fn prepare(root: &Path, mounts: &[Mount]) -> Result<()> {
    let below = |place: &str| root.join(place.trim_start_matches('/'));
    for place in ["/proc", "/sys", "/dev", "/etc", "/tmp"] {
        fs::create_dir_all(below(place))?;
    }
    for Mount { from, to, .. } in mounts {
        let place = below(to);
        if from.is_dir() {
            fs::create_dir_all(place)?;
        } else {
            fs::create_dir_all(place.parent().unwrap_or(root))?;
            File::create(place)?;
        }
    }
    Ok(())
}

/// Mounts below `$1` what a container has, and becomes the program of the other arguments.
fn script(plan: &Plan) -> Result<String> {
    let mut script = String::from("root=$1; shift; mount --bind \"$root\" \"$root\"\n");
    script.push_str("mount -t proc proc \"$root/proc\"; mount -t sysfs -o ro sysfs \"$root/sys\"\n");
    for Mount { from, to, read_only } in &plan.mounts {
        writeln!(script, "mount --bind {} \"$root{to}\"", from.display())?;
        if *read_only {
            writeln!(script, "mount -o remount,bind,ro \"$root{to}\"")?;
        }
    }
    // As the kubelet sets it, which not every test machine lets us do: a file in the place of the kernel's.
    writeln!(script, "echo {OOM_SCORE_ADJ} > \"$root/../oom_score_adj\"")?;
    script.push_str(
        "score=\"$root/proc/$$/oom_score_adj\"; mount --bind \"$root/../oom_score_adj\" \"$score\"\n",
    );
    let mut limits = String::new();
    if let Some(kept) = &plan.capabilities {
        script.push_str(
            "mount -o remount,bind,ro \"$score\"; mount --bind \"$root/proc/sys\" \"$root/proc/sys\"\n",
        );
        script.push_str("mount -o remount,bind,ro \"$root/proc/sys\"; mount -o remount,bind,ro \"$root\"\n");
        limits = format!("--drop={} --no-new-privs ", all_but(kept)?);
    }
    // capsh drops for itself what it needs to drop no more: the last step is the chroot's and the program's.
    script.push_str("program=$1; shift\n");
    writeln!(script, "exec capsh --chroot=\"$root\" {limits}--shell=\"$program\" -- \"$@\"")?;
    Ok(script)
}

/// All capabilities that the kernel knows but these.
fn all_but(kept: &[String]) -> Result<String> {
    let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse()?;
    let kept = kept.iter().map(|name| number(name)).collect::<Result<Vec<_>>>()?;
    let dropped = (0..=last).filter(|number| !kept.contains(number)).map(|number| number.to_string());
    Ok(dropped.collect::<Vec<_>>().join(","))
}

/// Those of linux/capability.h that a manifest of ours may name.
pub(crate) fn number(name: &str) -> Result<u32> {
    let known = [("NET_BIND_SERVICE", 10), ("NET_ADMIN", 12), ("NET_RAW", 13), ("SYS_RESOURCE", 24)];
    let found = known.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| number).with_context(|| format!("capability {name}: add it to this table"))
}
