//! The table of one family as values: sets, chains, rules. Only shapes that `nft` itself makes.
//!
//! ```text
//! prerouting -300  dport 53 -> queries      listen: not tracked; opted-out: as ever; alive (and a socket): not tracked
//! output     -300  dport 53 -> own-queries  listen, our probes, alive: not tracked
//!                  sport 53 -> replies      from our addresses: not tracked; to our prober: renews `alive`
//! input       120  to a VIP -> guard        port 53 and our prober: in; TCP, UDP, SCTP else: refused
//! ```
//!
//! The guard is behind IPVS (99) and what mode ipvs answers itself (110).

use std::time::Duration;

use model::IpFamily;
use netlink::nft::{Expr, Hook, SetData, SetFlags, SetSpec, Verdict, data_type};

use crate::rule::{Refusal, Rule, SCTP, Side, TCP, UDP};

/// The port of DNS.
pub const PORT: u16 = 53;
/// How long the last reply to a probe keeps the interception up. Three probes in a row may be lost.
pub const LIFE: Duration = Duration::from_millis(900);

/// Most elements of `alive`: two for each VIP, and those that have expired and wait for the kernel to clear them.
const ALIVE_SIZE: u32 = 1024;
/// Before conntrack (-200), behind defragmentation (-400).
const RAW: i32 = -300;
/// Behind all that takes packets to VIPs at the input hook.
const LATE: i32 = 120;

/// A set of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// `--dns-listen` addresses with protocol and port.
    Listen,
    /// Intercepted VIPs with protocol and port.
    Frontends,
    /// Where our probes come from.
    Probes,
    /// Intercepted VIPs.
    Vips,
    /// Pods that are not intercepted.
    OptedOut,
    /// Frontends whose server has answered a probe within [`LIFE`]; the kernel writes it.
    Alive,
}

impl Set {
    /// All sets.
    pub const ALL: [Set; 6] =
        [Set::Listen, Set::Frontends, Set::Probes, Set::Vips, Set::OptedOut, Set::Alive];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Set::Listen => "listen",
            Set::Frontends => "frontends",
            Set::Probes => "probes",
            Set::Vips => "vips",
            Set::OptedOut => "opted-out",
            Set::Alive => "alive",
        }
    }

    fn is_address_only(self) -> bool {
        matches!(self, Set::Vips | Set::OptedOut)
    }

    /// Its definition.
    pub fn spec(self, family: IpFamily) -> SetSpec {
        let (kind, len) = match family {
            IpFamily::V4 => (data_type::IPV4, 4),
            IpFamily::V6 => (data_type::IPV6, 16),
        };
        let socket = data_type::concat(&[kind, data_type::PROTOCOL, data_type::SERVICE]);
        let (key_type, key_len) = if self.is_address_only() { (kind, len) } else { (socket, len + 8) };
        let (flags, size) = match self {
            Set::Alive => (SetFlags::DYNAMIC | SetFlags::TIMEOUT, ALIVE_SIZE),
            _ => (0, 0),
        };
        let name = self.name().to_owned();
        let (data, fields, userdata) = (SetData::None, Vec::new(), Vec::new());
        SetSpec { name, flags, key_type, key_len, data, size, fields, userdata }
    }
}

/// A chain of the table: its name, its hook if it has one, its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where packets come in.
    pub hook: Option<Hook>,
    /// Its rules.
    pub rules: Vec<Vec<Expr>>,
}

/// All chains; those that others lead to come first. `sockets`: the kernel can look for a packet's socket
/// (`CONFIG_NFT_SOCKET`).
pub fn chains(family: IpFamily, sockets: bool) -> Vec<Chain> {
    let of = |name, number, priority, rules| {
        let hook = Hook { kind: "filter", number, priority };
        Chain { name, hook: Some(hook), rules }
    };
    let inner = |name, rules| Chain { name, hook: None, rules };
    let rule = || Rule { family, exprs: Vec::new() };
    let (to, from) = (Side::Destination, Side::Source);
    vec![
        inner("queries", queries(family, sockets)),
        inner("own-queries", own_queries(family)),
        inner("heard", vec![rule().tcp_data().heard(), rule().protocol(UDP).heard()]),
        inner(
            "replies",
            vec![
                rule().socket(from, Set::Listen).notrack().then(Verdict::Accept),
                rule().socket(from, Set::Frontends).notrack().then(goto("heard")),
            ],
        ),
        inner("guard", guard(family)),
        of("prerouting", 0, RAW, vec![rule().port(to).then(goto("queries"))]),
        of(
            "output",
            3,
            RAW,
            vec![rule().port(to).then(goto("own-queries")), rule().port(from).then(goto("replies"))],
        ),
        of("input", 1, LATE, vec![rule().address(to, Set::Vips).then(goto("guard"))]),
    ]
}

fn queries(family: IpFamily, sockets: bool) -> Vec<Vec<Expr>> {
    let rule = || Rule { family, exprs: Vec::new() };
    let alive = rule().socket(Side::Destination, Set::Alive);
    let alive = if sockets { alive.has_socket() } else { alive };
    vec![
        rule().socket(Side::Destination, Set::Listen).notrack().then(Verdict::Accept),
        rule().address(Side::Source, Set::OptedOut).then(Verdict::Return),
        alive.notrack().exprs,
    ]
}

/// Here a packet has a socket of its own, the sender's, so nobody looks for that of the receiver.
fn own_queries(family: IpFamily) -> Vec<Vec<Expr>> {
    let rule = || Rule { family, exprs: Vec::new() };
    vec![
        rule().socket(Side::Destination, Set::Listen).notrack().then(Verdict::Accept),
        rule().socket(Side::Source, Set::Probes).notrack().then(Verdict::Accept),
        rule().socket(Side::Destination, Set::Alive).notrack().exprs,
    ]
}

fn guard(family: IpFamily) -> Vec<Vec<Expr>> {
    let rule = || Rule { family, exprs: Vec::new() };
    vec![
        rule().socket(Side::Destination, Set::Frontends).then(Verdict::Return),
        rule().socket(Side::Destination, Set::Probes).then(Verdict::Return),
        rule().protocol(TCP).reject(Refusal::Reset),
        rule().protocol(UDP).reject(Refusal::Unreachable),
        rule().protocol(SCTP).reject(Refusal::Unreachable),
    ]
}

fn goto(chain: &str) -> Verdict {
    Verdict::Goto(chain.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rules_of(name: &str, family: IpFamily, sockets: bool) -> Vec<Vec<Expr>> {
        let all = chains(family, sockets);
        all.into_iter().find(|chain| chain.name == name).map(|chain| chain.rules).unwrap_or_default()
    }

    #[test]
    fn chains_come_before_those_that_lead_to_them() {
        for family in IpFamily::ALL {
            let mut known = BTreeSet::new();
            for chain in chains(family, true) {
                for expr in chain.rules.iter().flatten() {
                    if let Expr::Immediate { verdict: Verdict::Goto(to) } = expr {
                        assert!(known.contains(to.as_str()), "{} goes to {to}", chain.name);
                    }
                }
                known.insert(chain.name);
            }
            assert_eq!(known.len(), 8);
        }
    }

    #[test]
    fn only_raw_chains_take_packets_from_conntrack() {
        let all = chains(IpFamily::V4, true);
        let untracking = |chain: &&Chain| chain.rules.iter().flatten().any(|expr| *expr == Expr::Notrack);
        let names: BTreeSet<_> = all.iter().filter(untracking).map(|chain| chain.name).collect();
        assert_eq!(names, ["queries", "own-queries", "replies"].into());
        let raw = all.iter().filter(|c| c.hook.is_some_and(|hook| hook.priority < -200));
        assert_eq!(raw.map(|chain| chain.name).collect::<Vec<_>>(), ["prerouting", "output"]);
    }

    #[test]
    fn sockets_are_looked_for_where_the_kernel_can() {
        let looks = |sockets| {
            let rules = rules_of("queries", IpFamily::V6, sockets);
            rules.iter().flatten().filter(|expr| matches!(expr, Expr::Socket { .. })).count()
        };
        assert_eq!((looks(true), looks(false)), (1, 0));
        assert!(!rules_of("own-queries", IpFamily::V6, true).iter().flatten().any(|e| e.name() == "socket"));
    }

    #[test]
    fn a_sign_of_life_is_a_reply_to_a_probe_and_lasts_for_life() {
        for family in IpFamily::ALL {
            for rule in rules_of("heard", family, true) {
                let asked =
                    rule.iter().position(|e| matches!(e, Expr::Lookup { set, .. } if set == "probes"));
                let last = rule.len() - 1;
                assert!(asked.is_some_and(|place| place < last));
                let wanted = Expr::Dynset { set: "alive".into(), op: 1, key: 1, data: None, timeout: 900 };
                assert_eq!(rule[last], wanted);
            }
        }
    }

    #[test]
    fn keys_are_as_wide_as_what_rules_look_up() {
        for (family, width) in [(IpFamily::V4, 4), (IpFamily::V6, 16)] {
            for set in Set::ALL {
                let more = if set.is_address_only() { 0 } else { 8 };
                assert_eq!(set.spec(family).key_len, width + more, "{set:?}");
            }
        }
    }
}
