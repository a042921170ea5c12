//! Numbers in files of the kernel: which are wanted, which must be written, what became of it.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// What must be given to a pod so that it may write sysctls.
pub(crate) const NEEDS_PRIVILEGE: &str = "CAP_NET_ADMIN in the host's network (hostNetwork: true) and a writable \
     /proc/sys/net (deploy/daemonset.yaml mounts the node's), or the same value set on the host with sysctl";

/// When a value that is there will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Only when it is the wanted one.
    Exactly,
    /// Also when it is larger: it is only ever raised.
    AtLeast,
}

/// A number that a file of the kernel should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file, absolute, as it is on the node.
    pub path: PathBuf,
    /// The number.
    pub value: i64,
    /// When another number will do.
    pub rule: Rule,
    /// What a process must have to write it, for whoever reads that it was refused.
    pub needs: &'static str,
}

impl Setting {
    fn is_met_by(&self, now: i64) -> bool {
        match self.rule {
            Rule::Exactly => now == self.value,
            Rule::AtLeast => now >= self.value,
        }
    }
}

/// A file that must be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it should hold.
    pub setting: Setting,
    /// What it holds; `None` if it could not be read, or is no number.
    pub now: Option<i64>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The file, as on the node.
    pub path: PathBuf,
    /// What it held before, if that could be read.
    pub was: Option<i64>,
    /// What was written. The kernel may round it: it makes a hash size fill whole pages.
    pub value: i64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set {} to {}", self.path.display(), self.value)?;
        self.was.map_or(Ok(()), |was| write!(f, " (was {was})"))
    }
}

/// A file that could not be written; the kernel goes on with what it has.
#[derive(Debug)]
pub struct Refused {
    /// What was tried.
    pub write: Write,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Write { setting, now } = &self.write;
        write!(f, "cannot set {} to {}", setting.path.display(), setting.value)?;
        match now {
            Some(now) => write!(f, " (it is {now})")?,
            None => write!(f, " (it cannot be read)")?,
        }
        write!(f, ": {}; going on without; {}", self.error, self.advice())
    }
}

impl Refused {
    /// What to do about it.
    fn advice(&self) -> String {
        let setting = &self.write.setting;
        let of_conntrack = setting.path.to_string_lossy().contains("nf_conntrack");
        match self.error.kind() {
            ErrorKind::NotFound if of_conntrack => {
                "the module nf_conntrack is not loaded: on the host, modprobe nf_conntrack, and start this again".into()
            }
            ErrorKind::NotFound => "this kernel has no such file".into(),
            ErrorKind::InvalidInput => "the kernel does not take this value".into(),
            ErrorKind::Unsupported => {
                "it can be written only in the host's network namespace (hostNetwork: true)".into()
            }
            ErrorKind::ReadOnlyFilesystem => format!("it is mounted read-only; needs {}", setting.needs),
            _ => format!("needs {}", setting.needs),
        }
    }
}

/// What became of some settings. Those which were met already are in neither list.
#[derive(Debug, Default)]
pub struct Report {
    /// Written.
    pub done: Vec<Done>,
    /// Not written.
    pub refused: Vec<Refused>,
}

/// Reads a file of the node, given by its absolute path.
pub type Read<'a> = dyn Fn(&Path) -> io::Result<String> + 'a;

/// What must be written. A file that cannot be read is written in any case: the error of the attempt tells more.
pub fn plan(wanted: &[Setting], read: &Read<'_>) -> Vec<Write> {
    let write = |setting: &Setting| {
        let now = read(&setting.path).ok().and_then(|text| text.trim().parse().ok());
        let met = now.is_some_and(|now| setting.is_met_by(now));
        (!met).then(|| Write { setting: setting.clone(), now })
    };
    wanted.iter().filter_map(write).collect()
}

/// Writes, below `root`, in the order given. One refusal does not stop the others.
pub fn apply(root: &Path, writes: Vec<Write>) -> Report {
    let mut report = Report::default();
    for write in writes {
        let Setting { path, value, .. } = &write.setting;
        match put(&below(root, path), *value) {
            Ok(()) => report.done.push(Done { path: path.clone(), was: write.now, value: *value }),
            Err(error) => report.refused.push(Refused { write, error }),
        }
    }
    report
}

/// Reads files below `root`.
pub fn reader(root: &Path) -> impl Fn(&Path) -> io::Result<String> + use<'_> {
    move |path| fs::read_to_string(below(root, path))
}

/// [`plan`] and [`apply`], below `root`.
pub fn settle(root: &Path, wanted: &[Setting]) -> Report {
    apply(root, plan(wanted, &reader(root)))
}

fn put(path: &Path, value: i64) -> io::Result<()> {
    // In one write: the kernel takes each write as a whole value. A missing file stays missing.
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(format!("{value}\n").as_bytes())
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value: i64, rule: Rule) -> Setting {
        Setting { path: "/proc/sys/x".into(), value, rule, needs: "courage" }
    }

    #[test]
    fn a_file_is_written_only_when_its_value_will_not_do() {
        for (rule, file, written) in [
            (Rule::Exactly, Ok("100\n"), false),
            (Rule::Exactly, Ok("99\n"), true),
            (Rule::Exactly, Ok("101\n"), true),
            (Rule::AtLeast, Ok("100\n"), false),
            (Rule::AtLeast, Ok("99\n"), true),
            (Rule::AtLeast, Ok("101\n"), false),
            (Rule::AtLeast, Ok("-1\n"), true),
            (Rule::AtLeast, Ok("many\n"), true),
            (Rule::AtLeast, Ok("1\t2\n"), true),
            (Rule::AtLeast, Err(ErrorKind::PermissionDenied), true),
            (Rule::Exactly, Err(ErrorKind::NotFound), true),
        ] {
            let read = |_: &Path| file.map(str::to_owned).map_err(io::Error::from);
            let plan = plan(&[setting(100, rule)], &read);
            assert_eq!(!plan.is_empty(), written, "{rule:?} {file:?}");
        }
    }

    #[test]
    fn a_refusal_says_the_file_the_values_and_the_way_out() {
        let conntrack = "/proc/sys/net/netfilter/nf_conntrack_max";
        for (path, now, errno, text) in [
            (
                "/proc/sys/x",
                Some(5),
                30,
                "cannot set /proc/sys/x to 100 (it is 5): Read-only file system (os error 30); going on without; \
                 it is mounted read-only; needs courage",
            ),
            (
                "/proc/sys/x",
                None,
                13,
                "cannot set /proc/sys/x to 100 (it cannot be read): Permission denied (os error 13); \
                 going on without; needs courage",
            ),
            (
                conntrack,
                None,
                2,
                "cannot set /proc/sys/net/netfilter/nf_conntrack_max to 100 (it cannot be read): \
                 No such file or directory (os error 2); going on without; the module nf_conntrack is not loaded: \
                 on the host, modprobe nf_conntrack, and start this again",
            ),
            (
                "/proc/sys/x",
                Some(5),
                95,
                "cannot set /proc/sys/x to 100 (it is 5): Operation not supported (os error 95); going on without; \
                 it can be written only in the host's network namespace (hostNetwork: true)",
            ),
        ] {
            let setting = Setting { path: path.into(), ..setting(100, Rule::Exactly) };
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(Refused { write: Write { setting, now }, error }.to_string(), text);
        }
    }
}
