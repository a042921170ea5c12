//! How many CPUs the machine has.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

const ONLINE: &str = "sys/devices/system/cpu/online";

/// The CPUs that are online on the machine, at least 1. Conntrack's table is one for the machine, so what the cgroup
/// or the CPU manager leaves to this process must not count, as in kube-proxy. Only if `/sys` does not say, this
/// process's share is the answer.
pub fn cpu_count(root: &Path) -> usize {
    let online = fs::read_to_string(root.join(ONLINE)).ok().and_then(|text| count(&text));
    online.unwrap_or_else(|| available_parallelism().map_or(1, usize::from))
}

/// Counts a list as "0-3,8-11"; see <https://docs.kernel.org/admin-guide/cputopology.html>.
fn count(list: &str) -> Option<usize> {
    let sizes = list.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (list, cpus) in [
            ("0\n", Some(1)),
            ("0-1\n", Some(2)),
            ("0-3,8-11\n", Some(8)),
            ("0,2,4-6\n", Some(5)),
            ("\n", None),
            ("3-0\n", None),
            ("0-\n", None),
            ("all\n", None),
        ] {
            assert_eq!(count(list), cpus, "{list:?}");
        }
    }

    #[test]
    fn there_is_always_one() {
        assert!(cpu_count(Path::new("/")) >= 1);
        assert!(cpu_count(Path::new("/nowhere")) >= 1);
    }
}
