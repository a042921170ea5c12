//! Kernel settings that belong to the rules.

use std::path::PathBuf;
use std::{fs, io};

const LIBERAL: &str = "proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";
const ROUTE_LOCALNET: &str = "proc/sys/net/ipv4/conf/all/route_localnet";
/// Where the node's `/proc/sys/net` is mounted writable, for a container whose own is read-only.
const HOST_ROOT: &str = "TOWPATH_HOST_ROOT";

/// Whether conntrack takes TCP packets out of the window for good ones. No where the setting is not there.
pub fn is_liberal() -> bool {
    read(LIBERAL).is_some_and(|value| value != "0")
}

/// Whether the node routes packets to 127.0.0.0/8.
pub fn routes_localnet() -> bool {
    read(ROUTE_LOCALNET).is_some_and(|value| value != "0")
}

/// Has the node route packets to 127.0.0.0/8, or not. Writes only what differs.
/// Errors: the setting cannot be written.
pub fn route_localnet(on: bool) -> io::Result<()> {
    if routes_localnet() == on {
        return Ok(());
    }
    let value = if on { "1" } else { "0" };
    fs::write(path(ROUTE_LOCALNET), value)?;
    tracing::info!(value, "set net.ipv4.conf.all.route_localnet");
    Ok(())
}

/// Whether the kernel has IPv6.
pub fn has_ipv6() -> bool {
    fs::exists("/proc/thread-self/net/if_inet6").unwrap_or(false)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(self::path(path)).ok().map(|text| text.trim().to_owned())
}

fn path(below_root: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(HOST_ROOT).unwrap_or_else(|| "/".into())).join(below_root)
}
