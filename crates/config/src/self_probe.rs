//! `selfProbe`: the agent connects to itself through a frontend of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::problem::Problems;

/// The shortest pause between two tries.
const SHORTEST: GoDuration = GoDuration::from_nanos(100_000_000);

/// The self-probe. Off by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SelfProbeConfiguration {
    /// Whether it runs, and the node's health depends on it. Default false.
    pub enabled: bool,
    /// The frontend's IPv4 address, which nothing else may have. Default 198.18.102.49, of the block for benchmarks
    /// (RFC 2544), which no network routes.
    pub address: Ipv4Addr,
    /// The frontend's IPv6 address. Default 2001:2::10:249, of the same block for IPv6 (RFC 5180).
    #[serde(rename = "addressV6")]
    pub address_v6: Ipv6Addr,
    /// The port of the frontend, and of the server behind it on the node's own addresses, 1 to 65535. Default 10253.
    pub port: u16,
    /// The pause between two tries, 100ms or more. Default 5s.
    pub interval: GoDuration,
}

impl Default for SelfProbeConfiguration {
    fn default() -> Self {
        Self {
            enabled: false,
            address: Ipv4Addr::new(198, 18, 102, 49),
            address_v6: Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0x10, 0x249),
            port: 10253,
            interval: GoDuration::from_secs(5),
        }
    }
}

impl SelfProbeConfiguration {
    pub(crate) fn validate(&self, problems: &mut Problems) {
        let message = "is not an address that can be routed: write one that nothing in the cluster has";
        if !is_routable(self.address.into()) || self.address.is_link_local() || self.address.is_broadcast() {
            problems.add("selfProbe.address", self.address, message);
        }
        if !is_routable(self.address_v6.into()) || self.address_v6.is_unicast_link_local() {
            problems.add("selfProbe.addressV6", self.address_v6, message);
        }
        if self.port == 0 {
            problems.add("selfProbe.port", self.port, "is no port: write 1 to 65535");
        }
        if self.interval < SHORTEST {
            problems.add("selfProbe.interval", self.interval, "is too short: write 100ms or more");
        }
    }
}

fn is_routable(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast()
}
