//! What the kernel says of this process and of itself.

use std::path::Path;
use std::{fs, io};

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In RAM now (`VmRSS`). Newer kernels count it per CPU and may be off by some hundred KiB.
    pub resident: u64,
    /// The most that was ever in RAM (`VmHWM`).
    pub peak: u64,
}

/// Memory of this process, from `/proc/self/status` below `root`.
///
/// # Errors
/// When there is no such file, or it does not say.
pub fn memory(root: &Path) -> io::Result<Memory> {
    let status = fs::read_to_string(root.join("proc/self/status"))?;
    parse(&status)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no VmRSS and VmHWM in kB"))
}

fn parse(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { resident: bytes("VmRSS")?, peak: bytes("VmHWM")? })
}

/// The kernel's release, as `uname -r` says it, for the log and the metric of the build.
///
/// # Errors
/// When there is no `/proc/sys/kernel/osrelease` below `root`.
pub fn kernel_release(root: &Path) -> io::Result<String> {
    fs::read_to_string(root.join("proc/sys/kernel/osrelease")).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_files() {
        for (status, memory) in [
            ("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n", Some((1 << 20, 2 << 20))),
            ("VmHWM:\t2048 kB\n", None),
            ("VmHWM:\t2048 MB\nVmRSS:\t1024 MB\n", None),
            ("", None),
        ] {
            let expected = memory.map(|(resident, peak)| Memory { resident, peak });
            assert_eq!(parse(status), expected, "{status:?}");
        }
    }

    #[test]
    fn this_process_has_some_memory_and_a_kernel() {
        let root = Path::new("/");
        assert!(memory(root).unwrap().peak > 100 * 1024);
        assert!(kernel_release(root).unwrap().contains('.'));
        assert_eq!(memory(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
