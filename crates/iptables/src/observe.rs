//! What the kernel has of ours in one table, as objects.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{IpFamily, Protocol};
use rustc_hash::{FxHashMap, FxHashSet};
use xtables::{SavedRule, SavedTable};

use crate::digest::Digest;
use crate::lower::service_port_of;
use crate::names::{ChainId, Hook, PREFIX, Place, Table};
use crate::objects::{Entry, Key, Value};

/// Takes in one table, as `iptables-save` prints it. The text may be long: only rules of shared chains are split into
/// words, all others stay as they are.
pub fn observe(family: IpFamily, table: Table, text: &str, out: &mut FxHashMap<Key, Value>) {
    observe_some(family, table, text, &|_| true, out);
}

/// The same of those chains of ours that `wanted` names, and of the jumps to any.
pub fn observe_some(
    family: IpFamily,
    table: Table,
    text: &str,
    wanted: &dyn Fn(&str) -> bool,
    out: &mut FxHashMap<Key, Value>,
) {
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix(':') {
            let name = chain.split(' ').next().unwrap_or_default();
            if name.starts_with(PREFIX) && wanted(name) {
                seen.entry(name).or_insert_with(|| Seen::new(family, ChainId::parse(table, name)));
            }
        } else if let Some((name, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')) {
            match seen.get_mut(name) {
                Some(chain) => chain.rule(rule, out),
                None if rule.contains(PREFIX) => jump(family, table, name, rule, out),
                None => {}
            }
        }
    }
    seen.into_values().for_each(|chain| chain.finish(out));
}

/// A jump from a built-in chain to a chain of ours is ours; there may be too many.
fn jump(family: IpFamily, table: Table, name: &str, rule: &str, out: &mut FxHashMap<Key, Value>) {
    let Some(hook) = Hook::ALL.into_iter().find(|hook| hook.as_str() == name) else { return };
    let rule = SavedRule::parse(rule);
    if !rule.target().is_some_and(|target| target.starts_with(PREFIX)) {
        return;
    }
    let key = Key::new(family, ChainId::BuiltIn(table, hook), Entry::Jump);
    let line = rule.text();
    let lines = out.get(&key).map_or_else(|| line.clone(), |before| format!("{before}\n{line}"));
    out.insert(key, Arc::from(lines));
}

/// Rules of others in built-in chains that take every packet before it gets to our jump. They are theirs and stay; who asks why
/// nothing gets to our rules is told.
pub fn ahead(family: IpFamily, table: Table, text: &str, out: &mut FxHashMap<Key, Value>) {
    for hook in Hook::ALL {
        let start = format!("-A {} ", hook.as_str());
        let mut rules = text.lines().filter_map(|line| line.strip_prefix(&start));
        let Some(rule) = rules.find(|rule| ends_all(rule) || leads_to_ours(rule)) else { continue };
        if !leads_to_ours(rule) && rules.any(leads_to_ours) {
            let value: Value = Arc::from(format!("{rule} (ahead of our jump, takes every packet)"));
            out.insert(
                Key::new(family, ChainId::BuiltIn(table, hook), Entry::Stray(0, value.clone())),
                value,
            );
        }
    }
}

fn leads_to_ours(rule: &str) -> bool {
    rule.contains(PREFIX) && SavedRule::parse(rule).target().is_some_and(|target| target.starts_with(PREFIX))
}

/// Whether no packet gets beyond it: no condition, and a verdict.
fn ends_all(rule: &str) -> bool {
    let rule = SavedRule::parse(rule);
    let words: Vec<&str> = rule.words.iter().map(String::as_str).collect();
    let words = match &*words {
        ["-m", "comment", "--comment", _, rest @ ..] => rest,
        all => all,
    };
    matches!(words, ["-j", "ACCEPT" | "DROP" | "REJECT" | "RETURN" | "QUEUE" | "NFQUEUE", ..])
}

/// A chain of ours whose rules are being read.
struct Seen {
    place: Place,
    /// Of a chain that has one owner.
    rules: String,
    /// Of a shared chain: the last rule that stood where it should.
    last: Entry,
    scopes: u16,
    count: u32,
}

impl Seen {
    fn new(family: IpFamily, chain: ChainId) -> Self {
        let place = Place::new(family, chain);
        Self { place, rules: String::new(), last: Entry::Head, scopes: 0, count: 0 }
    }

    fn rule(&mut self, rule: &str, out: &mut FxHashMap<Key, Value>) {
        let canonical = canonical(rule);
        if !self.place.chain.is_shared() {
            if !self.rules.is_empty() {
                self.rules.push('\n');
            }
            self.rules.push_str(&canonical);
            return;
        }
        let value: Value = Arc::from(canonical);
        let words = SavedRule::parse(&value);
        let entry = entry(&self.place.chain, &words, &mut self.scopes);
        let entry = match entry.filter(|entry| self.is_in_place(entry, out)) {
            Some(entry) => {
                self.last = entry.clone();
                entry
            }
            // Twice, or out of order, or of no shape of ours: the chain has to be written anew.
            None => Entry::Stray(self.count, Arc::clone(&value)),
        };
        self.count += 1;
        out.insert(Key { place: self.place.clone(), entry }, value);
    }

    fn is_in_place(&self, entry: &Entry, out: &FxHashMap<Key, Value>) -> bool {
        if self.place.chain.is_ordered() {
            return *entry > self.last;
        }
        !out.contains_key(&Key { place: self.place.clone(), entry: entry.clone() })
    }

    fn finish(self, out: &mut FxHashMap<Key, Value>) {
        let (entry, value) = if self.place.chain.is_shared() {
            (Entry::Head, Arc::from(""))
        } else {
            (Entry::Whole, Arc::from(self.rules))
        };
        out.insert(Key { place: self.place, entry }, value);
    }
}

/// What a rule of a shared chain stands for.
fn entry(chain: &ChainId, rule: &SavedRule, scopes: &mut u16) -> Option<Entry> {
    let protocol = rule.value("-p").and_then(Protocol::parse);
    match chain {
        ChainId::Root(tree) if rule.target() == Some(&ChainId::Ports(*tree).to_string()) => {
            *scopes += 1;
            Some(Entry::Scope(*scopes - 1))
        }
        ChainId::Root(_) | ChainId::Vips { high: None, .. } => digit(rule),
        ChainId::Vips { .. } => {
            let net: IpNet = rule.value("-d")?.parse().ok()?;
            Some(Entry::Vip(net.addr(), protocol?, single_port(rule)?))
        }
        ChainId::PortRange { digits: 3, .. } => Some(Entry::Port(protocol?, single_port(rule)?)),
        ChainId::Ports(_) => range(rule, protocol?, 1),
        ChainId::PortRange { digits, .. } => range(rule, protocol?, digits + 1),
        ChainId::Health => {
            let service = service_port_of(rule.comment()?)?;
            Some(Entry::Health(single_port(rule)?, Digest::of(service)))
        }
        _ => None,
    }
}

/// The digit that a masked destination asks for.
fn digit(rule: &SavedRule) -> Option<Entry> {
    let (address, mask) = rule.value("-d")?.split_once('/')?;
    let last = |text: &str| match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(ip) => Some(ip.octets()[3]),
        IpAddr::V6(ip) => Some(ip.octets()[15]),
    };
    match (last(address)?, last(mask)?) {
        (byte, 0x0f) => Some(Entry::Digit(byte)),
        (byte, 0xf0) => Some(Entry::Digit(byte >> 4)),
        _ => None,
    }
}

fn range(rule: &SavedRule, protocol: Protocol, digits: u8) -> Option<Entry> {
    let (first, _) = rule.value("--dport")?.split_once(':')?;
    let first: u16 = first.parse().ok()?;
    Some(Entry::Range(protocol, digits, first >> (16 - 4 * u16::from(digits))))
}

fn single_port(rule: &SavedRule) -> Option<u16> {
    rule.value("--dport")?.parse().ok()
}

/// The rule's text as this program writes it. That is what the tools print, but for some addresses; other versions may
/// quote otherwise.
pub fn canonical(rule: &str) -> Cow<'_, str> {
    // The C library writes the last four bytes of some IPv6 addresses as an IPv4 address.
    let mixed = |word: &str| word.contains("::") && word.contains('.');
    let unquoted = rule.contains("--comment ") && !rule.contains("--comment \"");
    if !unquoted && !rule.split(' ').any(mixed) {
        return Cow::Borrowed(rule);
    }
    let words = SavedRule::parse(rule).words.into_iter().map(|word| {
        let net = word.parse::<IpNet>().ok().filter(|_| mixed(&word));
        net.map_or(word, |net| net.to_string())
    });
    Cow::Owned(SavedRule { words: words.collect() }.text())
}

/// Names of every chain of ours in a table.
pub fn chains(saved: &SavedTable) -> Vec<&str> {
    saved.chains.keys().map(String::as_str).filter(|name| name.starts_with(PREFIX)).collect()
}

/// A rule outside our chains that leads to one of them.
pub struct Lead<'a> {
    /// Its chain.
    pub chain: &'a str,
    /// The chain of ours.
    pub target: &'a str,
    /// Its text.
    pub rule: String,
}

/// Every rule outside our chains that leads to one of them.
pub fn leads(saved: &SavedTable) -> Vec<Lead<'_>> {
    let ours: FxHashSet<&str> = chains(saved).into_iter().collect();
    let others = saved.chains.iter().filter(|(name, _)| !name.starts_with(PREFIX));
    let rules = others.flat_map(|(name, chain)| chain.rules.iter().map(move |rule| (name.as_str(), rule)));
    let leads = rules.filter_map(|(chain, rule)| {
        let target = rule.target().filter(|target| ours.contains(target))?;
        Some(Lead { chain, target, rule: rule.text() })
    });
    leads.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Tree;

    fn objects(table: Table, text: &str) -> Vec<String> {
        let mut out = FxHashMap::default();
        observe(IpFamily::V4, table, text, &mut out);
        let mut lines: Vec<_> = out.into_iter().collect();
        lines.sort();
        lines.iter().map(|(key, value)| format!("{} {:?} {value}", key.place.chain, key.entry)).collect()
    }

    #[test]
    fn foreign_chains_and_rules_are_not_looked_at() {
        let text = ":INPUT ACCEPT [0:0]\n:KUBE-X - [0:0]\n-A INPUT -j KUBE-X\n-A KUBE-X -j RETURN\n";
        assert_eq!(objects(Table::Filter, text), [""; 0]);
    }

    #[test]
    fn a_shared_chain_is_seen_rule_by_rule() {
        let text = r#":TOWPATH-VIP-14 - [0:0]
-A TOWPATH-VIP-14 -d 10.96.0.20/32 -p tcp -m comment --comment "a/b:c" -m tcp --dport 80 -j TOWPATH-X
-A TOWPATH-VIP-14 -d 10.96.0.20/32 -p tcp -m comment --comment "a/b:c" -m tcp --dport 80 -j TOWPATH-Y
-A TOWPATH-VIP-14 -d 10.96.0.4/32 -p tcp -m tcp --dport 80 -j TOWPATH-X
-A TOWPATH-VIP-14 -j ACCEPT
"#;
        let seen = objects(Table::Nat, text);
        let starts: Vec<String> =
            seen.iter().map(|line| line.split_whitespace().nth(1).unwrap_or_default()[..4].into()).collect();
        assert_eq!(starts, ["Head", "Vip(", "Vip(", "Stra", "Stra"]);
    }

    #[test]
    fn jumps_are_counted() {
        let text =
            ":INPUT ACCEPT [0:0]\n-A INPUT -j TOWPATH-INPUT\n-A INPUT -j X\n-A INPUT -j TOWPATH-INPUT\n";
        let want = ["INPUT Jump -j TOWPATH-INPUT\n-j TOWPATH-INPUT"];
        assert_eq!(objects(Table::Filter, text), want);
    }

    #[test]
    fn what_takes_every_packet_ahead_of_our_jump_is_told() {
        let ours = "-A FORWARD -m comment --comment x -j TOWPATH-FORWARD\n";
        for (first, told) in [
            ("-A FORWARD -j DROP\n", true),
            ("-A FORWARD -m comment --comment \"panic mode\" -j ACCEPT\n", true),
            ("-A FORWARD -j REJECT --reject-with icmp-port-unreachable\n", true),
            ("-A FORWARD -p tcp -j DROP\n", false),
            ("-A FORWARD -j OTHERS\n", false),
            ("-A INPUT -j DROP\n", false),
        ] {
            let count = |text: String| {
                let mut out = FxHashMap::default();
                ahead(IpFamily::V4, Table::Filter, &text, &mut out);
                out.len()
            };
            assert_eq!(count(format!("{first}{ours}")), usize::from(told), "{first}");
            assert_eq!(count(format!("{ours}{first}")), 0, "{first}");
            assert_eq!(count(first.to_owned()), 0, "without our jump that is missing: {first}");
        }
    }

    #[test]
    fn entries_of_the_trees() {
        let rule = |text: &str| SavedRule::parse(text);
        let ports =
            |digits| ChainId::PortRange { tree: Tree::Served, protocol: Protocol::Tcp, digits, prefix: 7 };
        for (chain, text, want) in [
            (ChainId::Root(Tree::Served), "-d 0.0.0.4/0.0.0.15 -j TOWPATH-VIP-4", Some(Entry::Digit(4))),
            (ChainId::Root(Tree::Served), "-d ::/::f -j TOWPATH-VIP-0", Some(Entry::Digit(0))),
            (ChainId::Root(Tree::Served), "-j TOWPATH-NODEPORTS", Some(Entry::Scope(0))),
            (ChainId::Root(Tree::Idle), "-j TOWPATH-NODEPORTS", None),
            (ports(2), "-p tcp -m tcp --dport 29952:29967 -j X", Some(Entry::Range(Protocol::Tcp, 3, 0x750))),
            (ports(3), "-p tcp -m tcp --dport 29952 -j X", Some(Entry::Port(Protocol::Tcp, 29_952))),
            (
                ChainId::Vips { tree: Tree::Served, low: 4, high: None },
                "-d ::a0/::f0 -j X",
                Some(Entry::Digit(10)),
            ),
        ] {
            assert_eq!(entry(&chain, &rule(text), &mut 0), want, "{text}");
        }
    }

    #[test]
    fn addresses_are_written_one_way() {
        for (printed, want) in [
            ("-d ::1.2.3.4/128 -j X", "-d ::102:304/128 -j X"),
            ("-m comment --comment a/b:c -j X", "-m comment --comment \"a/b:c\" -j X"),
            ("-m comment --comment \"a/b ::1.2\" -j X", "-m comment --comment \"a/b ::1.2\" -j X"),
        ] {
            assert_eq!(canonical(printed), want);
        }
    }
}
