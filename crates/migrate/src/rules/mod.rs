//! The table of rules: what differs from which mode of kube-proxy to which mode of towpath.

mod addresses;
mod host;
mod ipvs;
mod node_ports;
mod operation;
mod policy;
mod settings;
mod to_ipvs;

use config::ProxyMode;

use crate::report::Severity;
use crate::view::{Subjects, View};

/// One line of the table.
pub(crate) struct Rule {
    /// Stable. Several lines may have one id if no pair of modes is in more than one of them.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// Modes of kube-proxy.
    pub(crate) from: &'static [ProxyMode],
    /// Modes of towpath.
    pub(crate) to: &'static [ProxyMode],
    pub(crate) title: &'static str,
    pub(crate) why: &'static str,
    pub(crate) remedy: &'static str,
    /// Whether it applies, and to what.
    pub(crate) subjects: fn(&View<'_>) -> Subjects,
}

pub(crate) const ANY: &[ProxyMode] = &[ProxyMode::Iptables, ProxyMode::Ipvs, ProxyMode::Nftables];
pub(crate) const IPTABLES: &[ProxyMode] = &[ProxyMode::Iptables];
pub(crate) const IPVS: &[ProxyMode] = &[ProxyMode::Ipvs];
pub(crate) const NFTABLES: &[ProxyMode] = &[ProxyMode::Nftables];
pub(crate) const IPTABLES_AND_IPVS: &[ProxyMode] = &[ProxyMode::Iptables, ProxyMode::Ipvs];
pub(crate) const IPTABLES_AND_NFTABLES: &[ProxyMode] = &[ProxyMode::Iptables, ProxyMode::Nftables];
pub(crate) const IPVS_AND_NFTABLES: &[ProxyMode] = &[ProxyMode::Ipvs, ProxyMode::Nftables];

/// Every rule, in the order in which findings of one severity are told.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    let groups: [&'static [Rule]; 8] = [
        settings::RULES,
        node_ports::RULES,
        ipvs::RULES,
        to_ipvs::RULES,
        addresses::RULES,
        policy::RULES,
        host::RULES,
        operation::RULES,
    ];
    groups.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_pair_of_modes_has_an_id_twice() {
        for (from, to) in ANY.iter().flat_map(|from| ANY.iter().map(move |to| (from, to))) {
            let mut seen = BTreeSet::new();
            for rule in all().filter(|rule| rule.from.contains(from) && rule.to.contains(to)) {
                assert!(seen.insert(rule.id), "{} twice for {from} to {to}", rule.id);
            }
        }
    }

    /// `docs/migrate-from-kube-proxy.md` has one row for each id: how much it matters for each pair of modes, and the
    /// title.
    #[test]
    fn the_page_has_the_table_of_findings() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrate-from-kube-proxy.md");
        let page = std::fs::read_to_string(path).unwrap();
        let is_row = |line: &&str| line.starts_with("| `") && line.matches('|').count() == 12;
        let rows: Vec<&str> = page.lines().filter(is_row).collect();
        let mut seen = BTreeSet::new();
        let want: Vec<String> = all().filter(|rule| seen.insert(rule.id)).map(row).collect();
        assert_eq!(rows, want, "the rows should be\n{}", want.join("\n"));
    }

    fn row(first: &Rule) -> String {
        let pairs = [ProxyMode::Nftables, ProxyMode::Iptables, ProxyMode::Ipvs].into_iter();
        let cells = pairs.flat_map(|to| ANY.iter().map(move |from| cell(first.id, *from, to)));
        format!("| `{}` | {} | {} |", first.id, cells.collect::<Vec<_>>().join(" | "), first.title)
    }

    fn cell(id: &str, from: ProxyMode, to: ProxyMode) -> String {
        let mut rules = all().filter(|rule| rule.id == id);
        let found = rules.find(|rule| rule.from.contains(&from) && rule.to.contains(&to));
        found.map_or("-".into(), |rule| format!("{:?}", rule.severity).to_lowercase())
    }

    #[test]
    fn an_id_has_one_title() {
        let titles: BTreeSet<_> = all().map(|rule| (rule.id, rule.title)).collect();
        let ids: BTreeSet<_> = all().map(|rule| rule.id).collect();
        assert_eq!(titles.len(), ids.len(), "{titles:#?}");
    }

    #[test]
    fn texts_are_written_as_the_report_wants_them() {
        for rule in all() {
            let id = rule.id;
            assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
            assert!(!rule.title.ends_with('.') && rule.title.len() < 90, "{id}: {}", rule.title);
            assert!(rule.why.ends_with('.'), "{id}: {}", rule.why);
            let nothing_to_do = rule.remedy.is_empty() && rule.severity == Severity::Note;
            assert!(rule.remedy.ends_with('.') || nothing_to_do, "{id}: {}", rule.remedy);
        }
    }
}
