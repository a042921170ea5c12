//! Kernel settings that this mode needs (`Documentation/networking/ipvs-sysctl.rst`).

use std::path::PathBuf;
use std::{fs, io};

/// Where the node's `/proc/sys/net` is mounted writable, for a container whose own is read-only.
const HOST_ROOT: &str = "TOWPATH_HOST_ROOT";

/// A setting: its file below `/proc/sys`, its value, and what goes wrong without it.
type Setting = (&'static str, &'static str, &'static str);

const ALWAYS: [Setting; 4] = [
    ("net/ipv4/vs/conntrack", "1", "connections from outside cannot be masqueraded"),
    ("net/ipv4/vs/expire_nodest_conn", "1", "UDP clients of an endpoint that is gone wait for nothing"),
    (
        "net/ipv4/vs/expire_quiescent_template",
        "1",
        "clients with affinity stay at endpoints that are draining",
    ),
    ("net/ipv4/ip_forward", "1", "packets do not get from IPVS to endpoints on other nodes"),
];
const STRICT_ARP: [Setting; 2] = [
    ("net/ipv4/conf/all/arp_ignore", "1", "the node answers ARP requests for VIPs"),
    ("net/ipv4/conf/all/arp_announce", "2", "the node announces VIPs by ARP"),
];

/// Writes what differs. What cannot be written is said, and mode ipvs goes on without.
pub fn prepare(strict_arp: bool) {
    let wanted = ALWAYS.iter().chain(STRICT_ARP.iter().filter(|_| strict_arp));
    for (name, value, without) in wanted {
        match set(name, value) {
            Ok(true) => tracing::info!(value, "set {}", name.replace('/', ".")),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                %error,
                "cannot set {} to {value}, so {without}; set it on the host, or let the container write /proc/sys/net",
                name.replace('/', ".")
            ),
        }
    }
}

/// Whether the kernel has IPv6, and lets `lo` use it.
pub fn has_ipv6() -> bool {
    let off = fs::read_to_string("/proc/thread-self/net/if_inet6").is_err();
    let disabled = fs::read_to_string("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
    !off && !disabled.is_ok_and(|text| text.trim() == "1")
}

/// Whether it had to be written.
fn set(name: &str, value: &str) -> io::Result<bool> {
    let root = std::env::var_os(HOST_ROOT).unwrap_or_else(|| "/".into());
    let path = PathBuf::from(root).join("proc/sys").join(name);
    if fs::read_to_string(&path)?.trim() == value {
        return Ok(false);
    }
    fs::write(path, value).map(|()| true)
}
