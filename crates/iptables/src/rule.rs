//! The text of one rule, in the very form in which `iptables-save` prints it.
//!
//! The tools print source, destination, interface and protocol first, in this order, and then the matches in the
//! order in which they were given. The methods must be called in that order.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use model::{EndpointAddr, IpFamily, Protocol};
use resolve::LocalSource;
use xtables::quote;

/// A rule that is being written.
#[derive(Clone, Debug, Default)]
pub struct Rule(String);

impl Rule {
    /// A rule that matches everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Source in a prefix. One of length 0 is every source, which the tools do not print.
    pub fn source(self, net: &IpNet) -> Self {
        if net.prefix_len() == 0 { self } else { self.add(format_args!("-s {net}")) }
    }

    /// Destination in a prefix.
    pub fn destination(self, net: impl Into<IpNet>) -> Self {
        self.add(format_args!("-d {}", net.into()))
    }

    /// Any words.
    pub fn words(self, words: &str) -> Self {
        self.add(format_args!("{words}"))
    }

    /// Destination address with a mask of any shape.
    pub fn masked(self, ip: IpAddr, mask: IpAddr) -> Self {
        self.add(format_args!("-d {ip}/{mask}"))
    }

    /// The protocol.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.add(format_args!("-p {protocol}"))
    }

    /// What is for people.
    pub fn comment(self, text: &str) -> Self {
        self.add(format_args!("-m comment --comment {}", quote(text)))
    }

    /// Destination port.
    pub fn port(self, protocol: Protocol, port: u16) -> Self {
        self.add(format_args!("-m {protocol} --dport {port}"))
    }

    /// Destination port from a range, the last one included.
    pub fn ports(self, protocol: Protocol, first: u16, last: u16) -> Self {
        self.add(format_args!("-m {protocol} --dport {first}:{last}"))
    }

    /// Matches in `chances` of `all` cases. The tools print the 31 bits that the kernel keeps.
    pub fn sometimes(self, chances: u32, all: u32) -> Self {
        if chances >= all {
            return self;
        }
        const UNIT: f64 = (1u64 << 31) as f64;
        let probability = (UNIT * f64::from(chances) / f64::from(all)).round() / UNIT;
        self.add(format_args!("-m statistic --mode random --probability {probability:.11}"))
    }

    /// A client that a list has seen in the last `seconds`; older ones are forgotten.
    pub fn seen(self, list: &str, seconds: u32, family: IpFamily) -> Self {
        let mask = full_mask(family);
        self.add(format_args!(
            "-m recent --rcheck --seconds {seconds} --reap --name {list} --mask {mask} --rsource"
        ))
    }

    /// Puts the client into a list.
    pub fn remember(self, list: &str, family: IpFamily) -> Self {
        let mask = full_mask(family);
        self.add(format_args!("-m recent --set --name {list} --mask {mask} --rsource"))
    }

    /// On to a chain, or a target without options.
    pub fn jump(self, target: impl std::fmt::Display) -> String {
        self.add(format_args!("-j {target}")).0
    }

    /// Marks the packet for masquerading.
    pub fn mark(self, mark: u32) -> String {
        self.jump(format_args!("MARK --set-xmark {mark:#x}/{mark:#x}"))
    }

    /// Rewrites the destination.
    pub fn translate(self, to: &EndpointAddr) -> String {
        self.jump(format_args!("DNAT --to-destination {to}"))
    }

    fn add(mut self, words: std::fmt::Arguments<'_>) -> Self {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        let _ = self.0.write_fmt(words);
        self
    }
}

fn full_mask(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "255.255.255.255",
        IpFamily::V6 => "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    }
}

/// How a rule recognises local pods: words for those, and words for all others. `None`: no packet can match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMatch {
    /// Source words that local pods match.
    pub pods: Option<Words>,
    /// Words that everybody else matches.
    pub others: Option<Words>,
}

/// Words by their place in a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Before the destination.
    pub source: String,
    /// After the destination.
    pub interface: String,
}

impl PodMatch {
    /// The words for a detector.
    pub fn new(local: &LocalSource) -> Self {
        let source = |words: String| Some(Words { source: words, ..Words::default() });
        let interface = |words: String| Some(Words { interface: words, ..Words::default() });
        match local {
            LocalSource::Unknown => Self::default(),
            LocalSource::Net(net) if net.prefix_len() == 0 => {
                Self { pods: source(String::new()), others: None }
            }
            LocalSource::Net(net) => {
                Self { pods: source(format!("-s {net}")), others: source(format!("! -s {net}")) }
            }
            LocalSource::Interface(name) => {
                Self { pods: interface(format!("-i {name}")), others: interface(format!("! -i {name}")) }
            }
            LocalSource::InterfacePrefix(name) => {
                Self { pods: interface(format!("-i {name}+")), others: interface(format!("! -i {name}+")) }
            }
        }
    }
}

impl Rule {
    /// Words that may be empty.
    pub fn maybe(self, words: &str) -> Self {
        if words.is_empty() { self } else { self.words(words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_what_the_kernel_keeps() {
        for (chances, all, want) in [
            (1, 2, "0.50000000000"),
            (1, 3, "0.33333333349"),
            (1, 5, "0.20000000019"),
            (1, 5000, "0.00020000013"),
            (3, 4, "0.75000000000"),
            (2, 3, "0.66666666651"),
        ] {
            let rule = Rule::new().sometimes(chances, all).jump("X");
            assert_eq!(rule, format!("-m statistic --mode random --probability {want} -j X"));
        }
        assert_eq!(Rule::new().sometimes(1, 1).jump("X"), "-j X");
    }

    #[test]
    fn detectors_become_words() {
        let net = |text: &str| LocalSource::Net(text.parse().unwrap());
        let show = |words: Option<Words>| words.map(|w| format!("{}|{}", w.source, w.interface));
        for (local, pods, others) in [
            (LocalSource::Unknown, None, None),
            (net("10.0.0.0/8"), Some("-s 10.0.0.0/8|"), Some("! -s 10.0.0.0/8|")),
            (net("0.0.0.0/0"), Some("|"), None),
            (LocalSource::Interface("cni0".into()), Some("|-i cni0"), Some("|! -i cni0")),
            (LocalSource::InterfacePrefix("veth".into()), Some("|-i veth+"), Some("|! -i veth+")),
        ] {
            let found = PodMatch::new(&local);
            assert_eq!(show(found.pods).as_deref(), pods, "{local:?}");
            assert_eq!(show(found.others).as_deref(), others, "{local:?}");
        }
    }
}
