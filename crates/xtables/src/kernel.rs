//! Which tables the legacy variant has in this network namespace.

use std::fs;
use std::io;

use model::IpFamily;

/// The legacy tables that exist here, as the kernel lists them. None if `ip_tables` is not in the kernel.
/// Nothing is loaded or made by asking. Errors: the list cannot be read (it is root's alone).
pub fn legacy_tables(family: IpFamily) -> io::Result<Vec<String>> {
    // The thread's own directory: /proc/net is that of the process's first thread.
    let path = match family {
        IpFamily::V4 => "/proc/thread-self/net/ip_tables_names",
        IpFamily::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
