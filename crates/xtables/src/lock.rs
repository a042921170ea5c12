//! The xtables lock: the file that programs of the legacy variant lock while they change a table.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How long a tool waits for the lock, in seconds.
pub const WAIT_SECONDS: u64 = 5;

/// Where the tools have it, unless `XTABLES_LOCKFILE` says otherwise.
pub(crate) const LOCK_FILE: &str = "/run/xtables.lock";

/// Who holds the lock now: `iptables-restore (pid 6114)`. `None` if nobody does, or in another pid namespace.
pub(crate) fn holder(lock_file: &Path) -> Option<String> {
    let inode = fs::metadata(lock_file).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holder_in(line, inode))?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let name = command.as_deref().map_or("a program", str::trim_end);
    Some(format!("{name} (pid {pid})"))
}

/// The process that a line of `/proc/locks` names as holder of a lock on this inode. The device is not compared:
/// stacked file systems show another one there than `stat`.
fn holder_in(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    words.next().filter(|kind| *kind != "->")?;
    let pid: u32 = words.nth(2)?.parse().ok()?;
    let locked: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
    (locked == inode && pid != 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_locks() {
        let cases = [
            ("1: FLOCK  ADVISORY  WRITE 6114 fe:00:10011900 0 EOF", Some(6114)),
            ("1: -> FLOCK  ADVISORY  WRITE 6115 fe:00:10011900 0 EOF", None),
            ("2: POSIX  ADVISORY  READ 42 00:15:99 1073741826 1073742335", None),
            ("3: FLOCK  ADVISORY  WRITE 0 fe:00:10011900 0 EOF", None),
            ("3: FLOCK  ADVISORY  WRITE -1 fe:00:10011900 0 EOF", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(holder_in(line, 10_011_900), expected, "{line}");
        }
    }
}
