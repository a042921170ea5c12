//! What the section `ipvs` means, and its checks.

use std::time::Duration;

use ipnet::IpNet;
use model::{Scheduler, parse_net};

use crate::duration::GoDuration;
use crate::problem::Problems;
use crate::proxy::KubeProxyConfiguration;
use crate::validate::not_negative;

/// The longest timeout of IPVS, in seconds: the kernel refuses more than `INT_MAX / HZ`, and HZ is at most 1000.
pub const IPVS_TIMEOUT_LIMIT: u32 = i32::MAX.unsigned_abs() / 1000;

/// The timeouts of connections through IPVS, in whole seconds; 0 = leave the kernel's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpvsTimeouts {
    /// Idle TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

impl KubeProxyConfiguration {
    /// The scheduler of Services that name none: `ipvs.scheduler`, or `rr`.
    pub fn ipvs_scheduler(&self) -> Scheduler {
        self.ipvs.scheduler.parse().unwrap_or_default()
    }

    /// The CIDRs of `ipvs.excludeCIDRs`.
    pub fn ipvs_exclude_cidrs(&self) -> Vec<IpNet> {
        self.ipvs.exclude_cidrs.iter().filter_map(|text| parse_net(text).ok()).collect()
    }

    /// Whether ARP is to be answered strictly: `ipvs.strictARP`.
    pub fn ipvs_strict_arp(&self) -> bool {
        self.ipvs.strict_arp
    }

    /// `ipvs.tcpTimeout`, `tcpFinTimeout` and `udpTimeout`. What is above 0 and below one second becomes one second.
    pub fn ipvs_timeouts(&self) -> IpvsTimeouts {
        let ipvs = &self.ipvs;
        IpvsTimeouts {
            tcp: seconds(ipvs.tcp_timeout),
            tcp_fin: seconds(ipvs.tcp_fin_timeout),
            udp: seconds(ipvs.udp_timeout),
        }
    }
}

fn seconds(timeout: GoDuration) -> u32 {
    let least = u64::from(timeout.as_std() > Duration::ZERO);
    let seconds = timeout.as_std().as_secs().max(least);
    u32::try_from(seconds).map_or(IPVS_TIMEOUT_LIMIT, |seconds| seconds.min(IPVS_TIMEOUT_LIMIT))
}

/// The checks of the section, for mode ipvs.
pub(crate) fn validate(config: &KubeProxyConfiguration, problems: &mut Problems) {
    let ipvs = &config.ipvs;
    for (field, timeout) in [
        ("ipvs.tcpTimeout", ipvs.tcp_timeout),
        ("ipvs.tcpFinTimeout", ipvs.tcp_fin_timeout),
        ("ipvs.udpTimeout", ipvs.udp_timeout),
    ] {
        not_negative(field, timeout, problems);
        let limit = GoDuration::from_secs(i64::from(IPVS_TIMEOUT_LIMIT));
        if timeout > limit {
            problems.add(field, timeout, format!("is more than the kernel takes: write at most {limit}"));
        }
    }
    for (i, text) in ipvs.exclude_cidrs.iter().enumerate() {
        if parse_net(text).is_err() {
            let message = "is not a CIDR: write one as in 10.0.0.0/8";
            problems.add(format!("ipvs.excludeCIDRs[{i}]"), text, message);
        }
    }
    if let Some(message) = unknown_scheduler(config) {
        problems.add("ipvs.scheduler", &ipvs.scheduler, message);
    }
}

/// What is wrong with `ipvs.scheduler`, if anything.
pub(crate) fn unknown_scheduler(config: &KubeProxyConfiguration) -> Option<String> {
    let name = config.ipvs.scheduler.as_str();
    let error = name.parse::<Scheduler>().err().filter(|_| !name.is_empty())?;
    Some(format!("is not the name of a scheduler: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::KubeProxyIpvsConfiguration;

    fn config(ipvs: KubeProxyIpvsConfiguration) -> KubeProxyConfiguration {
        KubeProxyConfiguration { ipvs, ..Default::default() }
    }

    #[test]
    fn schedulers() {
        let of = |name: &str| {
            let ipvs = KubeProxyIpvsConfiguration { scheduler: name.into(), ..Default::default() };
            let config = config(ipvs);
            (config.ipvs_scheduler(), unknown_scheduler(&config).is_none())
        };
        assert_eq!(of(""), (Scheduler::Rr, true));
        for one in Scheduler::ALL {
            assert_eq!(of(one.as_str()), (one, true));
        }
        for bad in ["LC", "wrrr", " lc", "least-connection", "x".repeat(64).as_str()] {
            assert_eq!(of(bad), (Scheduler::Rr, false), "{bad:?}");
        }
    }

    #[test]
    fn timeouts_in_seconds() {
        for (text, want) in [
            ("0s", 0),
            ("1ns", 1),
            ("900ms", 1),
            ("1s", 1),
            ("1.9s", 1),
            ("15m", 900),
            ("596h31m23s", 2_147_483),
            ("2000000h", 2_147_483),
            ("-5s", 0),
        ] {
            let timeout: GoDuration = text.parse().unwrap();
            let ipvs = KubeProxyIpvsConfiguration {
                tcp_timeout: timeout,
                udp_timeout: GoDuration::from_secs(7),
                ..Default::default()
            };
            assert_eq!(
                config(ipvs).ipvs_timeouts(),
                IpvsTimeouts { tcp: want, tcp_fin: 0, udp: 7 },
                "{text}"
            );
        }
    }

    #[test]
    fn problems_of_the_section() {
        type Change = fn(&mut KubeProxyIpvsConfiguration);
        let table: [(Change, &str); 9] = [
            (|_| (), ""),
            (|c| c.scheduler = "twos".into(), ""),
            (|c| c.scheduler = "wrrr".into(), "ipvs.scheduler"),
            (|c| c.tcp_timeout = GoDuration::from_secs(2_147_483), ""),
            (|c| c.tcp_timeout = GoDuration::from_secs(2_147_484), "ipvs.tcpTimeout"),
            (|c| c.tcp_fin_timeout = GoDuration::from_secs(-1), "ipvs.tcpFinTimeout"),
            (|c| c.udp_timeout = GoDuration::from_secs(i64::from(u32::MAX)), "ipvs.udpTimeout"),
            (|c| c.exclude_cidrs = vec!["10.0.0.0/8".into(), "fd00::/48".into()], ""),
            (|c| c.exclude_cidrs = vec!["10.0.0.0/8".into(), "10.0.0.1".into()], "ipvs.excludeCIDRs[1]"),
        ];
        for (i, (change, want)) in table.into_iter().enumerate() {
            let mut ipvs = KubeProxyIpvsConfiguration::default();
            change(&mut ipvs);
            for mode in ["ipvs", "nftables", "auto"] {
                let config = KubeProxyConfiguration { mode: mode.into(), ..config(ipvs.clone()) };
                let found = crate::validate(&config).to_string();
                let wanted = if mode == "ipvs" { want } else { "" };
                assert_eq!(found.is_empty(), wanted.is_empty(), "case {i}, mode {mode}: {found}");
                assert!(found.contains(wanted), "case {i}, mode {mode}: {found}");
            }
        }
    }
}
