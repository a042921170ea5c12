//! From one rule to one [`Step`] of [`crate::walk`].

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use model::{EndpointAddr, Protocol};
use xtables::{SavedRule, SavedTable};

use crate::walk::{Chains, Step, Then, When};

/// The chain that marks for masquerade.
const MARK_MASQ: &str = "KUBE-MARK-MASQ";
/// The chain that marks for discarding, up to kube-proxy 1.27.
const MARK_DROP: &str = "KUBE-MARK-DROP";

/// The options of a rule that kube-proxy uses.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// `-s`, and whether it is inverted.
    pub(super) source: Option<(IpNet, bool)>,
    /// `-d`.
    pub(super) destination: Option<IpNet>,
    /// `-i` (also inverted: then it is not the pods').
    pub(super) interface: bool,
    /// `-p`.
    pub(super) protocol: Option<Protocol>,
    /// `--dport`.
    pub(super) port: Option<u16>,
    /// `--src-type LOCAL`.
    pub(super) from_node: bool,
    /// `--dst-type LOCAL`.
    pub(super) to_node: bool,
    /// A part of the packets only: `-m statistic`, `-m recent --rcheck`.
    pub(super) partial: bool,
    /// `--seconds` of `recent`.
    pub(super) seconds: Option<u32>,
    /// `-j` or `-g`.
    pub(super) target: Option<&'a str>,
    /// `--to-destination`.
    pub(super) endpoint: Option<EndpointAddr>,
    /// `--comment`.
    pub(super) comment: Option<&'a str>,
}

impl<'a> Options<'a> {
    pub(super) fn read(rule: &'a SavedRule) -> Self {
        let mut options = Self::default();
        let mut not = false;
        let mut words = rule.words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "!" => {
                    not = true;
                    continue;
                }
                "--rcheck" => options.partial = true,
                option if option.starts_with('-') => options.take(option, not, &mut words),
                _ => {}
            }
            not = false;
        }
        options
    }

    fn take(&mut self, option: &str, not: bool, words: &mut impl Iterator<Item = &'a str>) {
        let known = matches!(
            option,
            "-s" | "-d"
                | "-i"
                | "-p"
                | "-j"
                | "-g"
                | "--dport"
                | "--comment"
                | "--src-type"
                | "--dst-type"
                | "--seconds"
                | "--mode"
                | "--to-destination"
        );
        let Some(value) = known.then(|| words.next()).flatten() else { return };
        match option {
            "-s" => self.source = net(value).map(|net| (net, not)),
            "-d" => self.destination = net(value),
            "-i" => self.interface = !not,
            "-p" => self.protocol = Protocol::parse(value),
            "--dport" => self.port = value.parse().ok(),
            "--comment" => self.comment = Some(value),
            "--src-type" => self.from_node = value == "LOCAL" && !not,
            "--dst-type" => self.to_node = value == "LOCAL" && !not,
            "--seconds" => self.seconds = value.parse().ok(),
            "--mode" => self.partial = true,
            "--to-destination" => self.endpoint = endpoint(value),
            _ => self.target = Some(value),
        }
    }

    fn step(&self) -> Option<Step> {
        Some(Step { when: self.when(), then: self.then()? })
    }

    fn when(&self) -> When {
        match self.source {
            _ if self.partial => When::Sometimes { affinity_seconds: self.seconds },
            _ if self.interface => When::Pods,
            _ if self.from_node => When::Node,
            Some((net, true)) => When::NotFrom(vec![net]),
            Some((net, false)) => When::From(vec![net]),
            None => When::Always,
        }
    }

    /// A mark that asks for the destination is one of ClusterIPs: not compared.
    fn then(&self) -> Option<Then> {
        match self.target? {
            MARK_MASQ | "MARK" => self.destination.is_none().then_some(Then::Mark),
            MARK_DROP | "DROP" => Some(Then::Drop),
            "REJECT" => Some(Then::Reject),
            "DNAT" => Some(Then::Dnat(vec![self.endpoint?])),
            "RETURN" | "ACCEPT" | "MASQUERADE" => None,
            chain => Some(Then::Go { chain: chain.to_owned(), back: true }),
        }
    }
}

/// Every chain of nat that belongs to Services, reduced.
pub(super) fn chains(nat: &SavedTable) -> Chains {
    let of_services = nat.chains.iter().filter(|(name, _)| name.starts_with("KUBE-"));
    let reduced = of_services.map(|(name, chain)| {
        let steps = chain.rules.iter().filter_map(|rule| Options::read(rule).step());
        (name.clone(), steps.collect())
    });
    Chains(reduced.collect())
}

/// A prefix, or an address, which means all its bits.
fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// `10.244.1.5:8080`, `[fd00::1]:8080`.
fn endpoint(text: &str) -> Option<EndpointAddr> {
    let address: SocketAddr = text.parse().ok()?;
    Some(EndpointAddr { ip: address.ip(), port: address.port() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rule: &str) -> Option<Step> {
        Options::read(&SavedRule::parse(rule)).step()
    }

    #[test]
    fn table() {
        let go = |chain: &str| Then::Go { chain: chain.into(), back: true };
        let pods = || vec!["10.244.0.0/16".parse().unwrap()];
        let sometimes = |affinity_seconds| When::Sometimes { affinity_seconds };
        let to = |text: &str| Then::Dnat(vec![endpoint(text).unwrap()]);
        for (rule, want) in [
            ("-j KUBE-MARK-MASQ", Some((When::Always, Then::Mark))),
            ("! -s 10.244.0.0/16 -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ", None),
            (
                r#"-s 10.244.0.0/16 -m comment --comment "pod traffic" -j KUBE-SVC-X"#,
                Some((When::From(pods()), go("KUBE-SVC-X"))),
            ),
            ("! -s 10.244.0.0/16 -j KUBE-MARK-MASQ", Some((When::NotFrom(pods()), Then::Mark))),
            ("-i cni+ -j KUBE-SVC-X", Some((When::Pods, go("KUBE-SVC-X")))),
            ("-m addrtype --src-type LOCAL -j KUBE-SVC-X", Some((When::Node, go("KUBE-SVC-X")))),
            (
                "-m statistic --mode random --probability 0.5 -j KUBE-SEP-A",
                Some((sometimes(None), go("KUBE-SEP-A"))),
            ),
            (
                "-m recent --rcheck --seconds 60 --reap --name KUBE-SEP-A --mask 255.255.255.255 --rsource -j KUBE-SEP-A",
                Some((sometimes(Some(60)), go("KUBE-SEP-A"))),
            ),
            (
                "-p tcp -m recent --set --name KUBE-SEP-A --rsource -m tcp -j DNAT --to-destination 10.0.0.1:80",
                Some((When::Always, to("10.0.0.1:80"))),
            ),
            ("-p udp -m udp -j DNAT --to-destination [fd00::1]:53", Some((When::Always, to("[fd00::1]:53")))),
            (r#"-m comment --comment "-j KUBE-SVC-X will be dropped""#, None),
        ] {
            assert_eq!(step(rule), want.map(|(when, then)| Step { when, then }), "{rule}");
        }
    }
}
