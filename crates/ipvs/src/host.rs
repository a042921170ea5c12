//! Kernel settings that this mode needs (`Documentation/networking/ipvs-sysctl.rst`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
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

/// How often it is looked whether others have changed them: 0.1 ms each time.
const LOOK: Duration = Duration::from_secs(1);

/// The settings as they are to be kept.
#[derive(Debug, Default)]
pub struct Host {
    /// When they were looked at last; `None`: they were not written yet.
    looked: Option<Instant>,
    strict_arp: bool,
    /// Those that cannot be written.
    lacking: BTreeSet<&'static str>,
    /// Those that were set again since somebody asked.
    set_again: BTreeSet<&'static str>,
}

impl Host {
    /// Writes what differs. What cannot be written is said, and mode ipvs goes on without.
    pub fn prepare(&mut self, strict_arp: bool) {
        (self.looked, self.strict_arp) = (Some(Instant::now()), strict_arp);
        self.lacking.clear();
        for (name, value, without) in wanted(strict_arp) {
            match set(name, value) {
                Ok(true) => tracing::info!(value, "set {}", dotted(name)),
                Ok(false) => {}
                Err(error) => {
                    self.lacking.insert(name);
                    tracing::warn!(
                        %error,
                        "cannot set {} to {value}, so {without}; set it on the host, or let the container write /proc/sys/net",
                        dotted(name)
                    );
                }
            }
        }
    }

    /// Writes again what others have changed since [`Host::prepare`], once a second at the most.
    pub fn keep(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        for (name, value, without) in wanted(self.strict_arp) {
            if self.lacking.contains(name) {
                continue;
            }
            match keep_one(name, value, without) {
                Some(true) => _ = self.set_again.insert(name),
                Some(false) => {}
                None => _ = self.lacking.insert(name),
            }
        }
    }

    /// Those that were set again since this was last asked.
    pub fn set_again(&mut self) -> Vec<String> {
        std::mem::take(&mut self.set_again).into_iter().map(dotted).collect()
    }
}

/// Whether it had to be written; `None`: it cannot be.
fn keep_one(name: &str, value: &str, without: &str) -> Option<bool> {
    let name_told = dotted(name);
    match set(name, value) {
        Ok(again) => {
            if again {
                tracing::warn!(
                    value,
                    "another program had changed {name_told}, so that {without}; it is set again"
                );
            }
            Some(again)
        }
        Err(error) => {
            tracing::warn!(%error, "another program may have changed {name_told}, so {without}; it cannot be set again");
            None
        }
    }
}

fn wanted(strict_arp: bool) -> impl Iterator<Item = Setting> {
    ALWAYS.into_iter().chain(STRICT_ARP.into_iter().filter(move |_| strict_arp))
}

fn dotted(name: &str) -> String {
    name.replace('/', ".")
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
