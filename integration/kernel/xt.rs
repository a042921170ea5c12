//! What iptables has, as its own tools tell it, and other people's hands in it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};

use model::IpFamily;

use crate::backend::{self, LEGACY};
use crate::stage::Stage;

/// All chains of our own begin so, and no rule of others names one.
const OURS: &str = "TOWPATH-";

/// So begin chains of ours that choose by address or by port.
const UNORDERED: [&str; 4] = ["TOWPATH-VIP-", "TOWPATH-NP-", "TOWPATH-IDLE-", "TOWPATH-HEALTH"];

/// A variant of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// `iptables-legacy`.
    Legacy,
    /// `iptables-nft`.
    Nft,
}

impl Variant {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Legacy, Self::Nft];

    /// That of the backend which the test has.
    pub(crate) fn current() -> Self {
        let legacy = backend::current().is_some_and(|backend| backend.name == LEGACY.name);
        if legacy { Self::Legacy } else { Self::Nft }
    }

    fn tool(self, family: IpFamily, what: &str) -> String {
        let program = if family == IpFamily::V4 { "iptables" } else { "ip6tables" };
        let variant = match self {
            Self::Legacy => "legacy",
            Self::Nft => "nft",
        };
        format!("{program}-{variant}{what}")
    }
}

/// Rules by family, table and chain, in their order; a built-in chain begins with its policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(pub(crate) BTreeMap<(IpFamily, String, String), Vec<String>>);

impl Rules {
    /// What is ours.
    pub(crate) fn ours(&self) -> Self {
        self.filter(true)
    }

    /// What is not.
    pub(crate) fn foreign(&self) -> Self {
        self.filter(false)
    }

    /// The same, but for the order of rules in chains where it means nothing: no packet matches two of them.
    pub(crate) fn unordered(&self) -> Self {
        let mut rules = self.clone();
        let free = |chain: &str| UNORDERED.iter().any(|prefix| chain.starts_with(prefix));
        rules.0.iter_mut().filter(|((.., chain), _)| free(chain)).for_each(|(_, rules)| rules.sort());
        rules
    }

    fn filter(&self, ours: bool) -> Self {
        let kept = self.0.iter().filter_map(|(key, rules)| {
            let of_us = key.2.starts_with(OURS);
            let rules: Vec<String> =
                rules.iter().filter(|rule| (of_us || rule.contains(OURS)) == ours).cloned().collect();
            // A built-in chain with nothing in it may be there or not.
            let something = rules.iter().any(|rule| rule != "policy ACCEPT");
            ((ours && of_us) || something || (!ours && !of_us && rules.is_empty()))
                .then(|| (key.clone(), rules))
        });
        Self(kept.collect())
    }

    /// The rules of a chain.
    pub(crate) fn chain(&self, family: IpFamily, table: &str, chain: &str) -> Result<&[String]> {
        let key = (family, table.to_owned(), chain.to_owned());
        self.0.get(&key).map(Vec::as_slice).with_context(|| format!("no chain {chain} in {table}:\n{self}"))
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// They are these; the error shows what differs.
    pub(crate) fn must_be(&self, wanted: &Self) -> Result<()> {
        let differ = |key| self.0.get(key) != wanted.0.get(key);
        let keys = self.0.keys().chain(wanted.0.keys());
        let wrong: Vec<String> = keys
            .filter(|key| differ(key))
            .map(|key| format!("{key:?}: has {:#?}, want {:#?}", self.0.get(key), wanted.0.get(key)))
            .collect();
        ensure!(wrong.is_empty(), "the rules differ:\n{}", wrong.join("\n"));
        Ok(())
    }

    fn add(&mut self, family: IpFamily, text: &str) {
        let mut table = "";
        for line in text.lines() {
            let chain = |name: &str| (family, table.to_owned(), name.to_owned());
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if let Some(declared) = line.strip_prefix(':') {
                let (name, rest) = declared.split_once(' ').unwrap_or((declared, ""));
                let policy = rest.split(' ').next().filter(|policy| !matches!(*policy, "-" | ""));
                self.0
                    .entry(chain(name))
                    .or_default()
                    .extend(policy.map(|policy| format!("policy {policy}")));
            } else if let Some((counted, rule)) = line.split_once("-A ") {
                let (name, rule) = rule.split_once(' ').unwrap_or((rule, ""));
                self.0.entry(chain(name)).or_default().push(format!("{counted}{rule}"));
            }
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((family, table, chain), rules) in &self.0 {
            writeln!(f, "{family:?} {table} {chain}")?;
            rules.iter().try_for_each(|rule| writeln!(f, "    {rule}"))?;
        }
        Ok(())
    }
}

impl Stage {
    /// What a variant has, in both families.
    pub(crate) fn saved(&self, variant: Variant) -> Result<Rules> {
        self.save(variant, &[])
    }

    /// The same with each rule's counters before it.
    pub(crate) fn saved_with_counters(&self, variant: Variant) -> Result<Rules> {
        self.save(variant, &["-c"])
    }

    fn save(&self, variant: Variant, args: &[&str]) -> Result<Rules> {
        let mut rules = Rules::default();
        for family in IpFamily::ALL {
            rules.add(family, &self.node().command(&variant.tool(family, "-save"), args)?);
        }
        Ok(rules)
    }

    /// Another program's hand: it waits for the lock, as the tools do.
    pub(crate) fn iptables(&self, variant: Variant, family: IpFamily, line: &str) -> Result<()> {
        let (lock, tool) =
            (format!("XTABLES_LOCKFILE={}", self.surroundings.lock()), variant.tool(family, ""));
        let args = [lock.as_str(), tool.as_str(), "-w"].into_iter().chain(line.split_whitespace());
        self.node().command("env", &args.collect::<Vec<_>>()).map(drop)
    }

    /// The same in both families.
    pub(crate) fn iptables_of_both(&self, variant: Variant, line: &str) -> Result<()> {
        IpFamily::ALL.into_iter().try_for_each(|family| self.iptables(variant, family, line))
    }

    /// Loads what `iptables-restore` reads, beside what is there.
    pub(crate) fn restore(&self, variant: Variant, family: IpFamily, text: &str) -> Result<()> {
        let lock = format!("XTABLES_LOCKFILE={}", self.surroundings.lock());
        let args = [lock.as_str(), &variant.tool(family, "-restore"), "--noflush", "-w", "5"];
        self.node().command_with_input("env", &args, text).map(drop)
    }

    /// Another program's hand in IPv4: lines such as `-t nat -F CHAIN`, quoted as `iptables-save` does, each by itself.
    pub(crate) fn edit(&self, variant: Variant, lines: &[String]) -> Result<()> {
        lines.iter().try_for_each(|line| {
            let table_and_rest = line.strip_prefix("-t ").and_then(|rest| rest.split_once(' '));
            let (table, rest) = table_and_rest.with_context(|| format!("no table in {line:?}"))?;
            self.restore(variant, IpFamily::V4, &format!("*{table}\n{rest}\nCOMMIT\n"))
        })
    }

    /// Rules of somebody else in every table that we write, and in one that we do not.
    pub(crate) fn add_foreign_rules(&self, variant: Variant) -> Result<()> {
        const LINES: &[&str] = &[
            "-t nat -N OTHERS",
            "-t nat -A OTHERS -p tcp --dport 9 -j RETURN",
            "-t nat -A PREROUTING -m comment --comment others -j OTHERS",
            "-t nat -A POSTROUTING -m mark --mark 0x77 -j MASQUERADE",
            "-t filter -N OTHERS-TOO",
            "-t filter -A INPUT -p tcp --dport 9 -j OTHERS-TOO",
            "-t filter -A FORWARD -p tcp --dport 9 -m comment --comment others -j DROP",
            "-t mangle -A PREROUTING -p udp --dport 9 -j MARK --set-xmark 0x77/0xff",
        ];
        LINES.iter().try_for_each(|line| self.iptables_of_both(variant, line))
    }
}
