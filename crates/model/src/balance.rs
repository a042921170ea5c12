//! How a Service's connections are spread over its endpoints: by weight, and in mode ipvs by a scheduler.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// A scheduler of Linux' IPVS. These are all that mainline kernels ship (`net/netfilter/ipvs`, since 4.15 with `mh`,
/// 5.16 with `twos`); none of them takes part in modes nftables and iptables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheduler {
    /// Round robin: one after the other. Kubernetes' default.
    #[default]
    Rr,
    /// Round robin, by weight.
    Wrr,
    /// Least connections.
    Lc,
    /// Least connections, by weight.
    Wlc,
    /// By a hash of the destination's address.
    Dh,
    /// By a hash of the source's address: a client keeps its endpoint.
    Sh,
    /// Shortest expected delay: `(active connections + 1) / weight`.
    Sed,
    /// Never queue: an idle endpoint if there is one, else as [`Scheduler::Sed`].
    Nq,
    /// By Maglev's hash of the source's address: few clients move when endpoints change.
    Mh,
    /// Locality-based least connections.
    Lblc,
    /// Locality-based least connections with replication.
    Lblcr,
    /// Weighted failover: all to the endpoint of the highest weight.
    Fo,
    /// Weighted overflow: to the endpoint of the highest weight until it has as many connections as its weight.
    Ovf,
    /// The less loaded one of two taken at random.
    Twos,
}

impl Scheduler {
    /// Every one, in the order of the kernel's documentation.
    pub const ALL: [Scheduler; 14] = {
        use Scheduler::{Dh, Fo, Lblc, Lblcr, Lc, Mh, Nq, Ovf, Rr, Sed, Sh, Twos, Wlc, Wrr};
        [Rr, Wrr, Lc, Wlc, Dh, Sh, Sed, Nq, Mh, Lblc, Lblcr, Fo, Ovf, Twos]
    };

    /// Its name, as the kernel, `ipvsadm -s` and `--ipvs-scheduler` write it.
    pub fn as_str(self) -> &'static str {
        self.module().trim_start_matches("ip_vs_")
    }

    /// Whether it looks at weights (`net/netfilter/ipvs/ip_vs_*.c`, Linux 6.12).
    pub fn counts_weights(self) -> bool {
        use Scheduler::{Dh, Lc, Rr};
        !matches!(self, Rr | Lc | Dh)
    }

    /// The kernel module that has it, as `modprobe` takes it.
    pub fn module(self) -> &'static str {
        match self {
            Scheduler::Rr => "ip_vs_rr",
            Scheduler::Wrr => "ip_vs_wrr",
            Scheduler::Lc => "ip_vs_lc",
            Scheduler::Wlc => "ip_vs_wlc",
            Scheduler::Dh => "ip_vs_dh",
            Scheduler::Sh => "ip_vs_sh",
            Scheduler::Sed => "ip_vs_sed",
            Scheduler::Nq => "ip_vs_nq",
            Scheduler::Mh => "ip_vs_mh",
            Scheduler::Lblc => "ip_vs_lblc",
            Scheduler::Lblcr => "ip_vs_lblcr",
            Scheduler::Fo => "ip_vs_fo",
            Scheduler::Ovf => "ip_vs_ovf",
            Scheduler::Twos => "ip_vs_twos",
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is the name of no scheduler. Its text lists the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerError;

impl fmt::Display for SchedulerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Linux ships no such scheduler, use one of {}",
            Scheduler::ALL.map(Scheduler::as_str).join(", ")
        )
    }
}

impl std::error::Error for SchedulerError {}

impl FromStr for Scheduler {
    type Err = SchedulerError;

    /// From its name, in lower case as the kernel has it.
    fn from_str(text: &str) -> Result<Self, SchedulerError> {
        Scheduler::ALL.into_iter().find(|one| one.as_str() == text).ok_or(SchedulerError)
    }
}

/// The weight of an endpoint of which nothing is said.
const DEFAULT_WEIGHT: u16 = 1;

/// How one Service wants its connections spread (annotations `towpath.dev/scheduler` and `towpath.dev/weights`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Balance {
    /// The scheduler; `None` is the node's default (`--ipvs-scheduler`).
    pub scheduler: Option<Scheduler>,
    /// Weights of endpoints, 1 to 65535, by address (a prefix of full length) or prefix. No prefix is there twice.
    pub weights: Arc<[(IpNet, u16)]>,
}

impl Balance {
    /// The weight of an endpoint, 1 to 65535: that of the longest prefix that holds its address, 1 if none does.
    pub fn weight(&self, ip: IpAddr) -> u16 {
        let holds = self.weights.iter().filter(|(net, _)| net.contains(&ip));
        holds.max_by_key(|(net, _)| net.prefix_len()).map_or(DEFAULT_WEIGHT, |(_, weight)| *weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels() {
        let names = Scheduler::ALL.map(Scheduler::as_str).join(" ");
        assert_eq!(names, "rr wrr lc wlc dh sh sed nq mh lblc lblcr fo ovf twos");
        for one in Scheduler::ALL {
            assert_eq!(one.as_str().parse(), Ok(one));
            assert_eq!(one.module(), format!("ip_vs_{one}"));
        }
        assert_eq!(Scheduler::default(), Scheduler::Rr);
    }

    #[test]
    fn refusals_list_the_names() {
        for bad in ["", "RR", "rr ", "ip_vs_rr", "random"] {
            let text = bad.parse::<Scheduler>().unwrap_err().to_string();
            assert!(
                text.ends_with("rr, wrr, lc, wlc, dh, sh, sed, nq, mh, lblc, lblcr, fo, ovf, twos"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let entry = |net: &str, weight| (net.parse::<IpNet>().unwrap(), weight);
        let weights = [
            entry("10.244.0.0/16", 2),
            entry("10.244.1.5/32", 7),
            entry("10.244.1.0/24", 3),
            entry("fd00::/64", 9),
            entry("0.0.0.0/0", 4),
        ];
        let balance = Balance { scheduler: None, weights: weights.into() };
        for (ip, want) in [
            ("10.244.1.5", 7),
            ("10.244.1.6", 3),
            ("10.244.2.1", 2),
            ("192.0.2.1", 4),
            ("fd00::1", 9),
            ("fd01::1", 1),
        ] {
            assert_eq!(balance.weight(ip.parse().unwrap()), want, "{ip}");
        }
        assert_eq!(Balance::default().weight("10.0.0.1".parse().unwrap()), 1);
    }
}
