//! The legacy variant: texts of its tools.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write;

use model::IpFamily;
use xtables::{RestoreError, SavedRule, ToolError, Tools, Variant, legacy_tables};

use super::TABLES;
use crate::plan::{Chains, Jump, Rule, TablePlan};

/// Why the legacy variant could not be looked into.
#[derive(Debug)]
pub(super) enum Blind {
    /// There are tables; whether kube-proxy has anything in them is not known, as the tool is not installed.
    NoTool(String),
    /// Something went wrong.
    Failed(String),
}

/// What each table has of kube-proxy. Tools run only where a table exists.
pub(super) fn look(family: IpFamily) -> Result<Vec<TablePlan>, Blind> {
    let names = legacy_tables(family)
        .map_err(|error| Blind::Failed(format!("cannot read the kernel's list of tables: {error}")))?;
    let tables: Vec<&'static str> = TABLES.into_iter().filter(|t| names.iter().any(|n| n == t)).collect();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let blind = |error: ToolError| match error {
        ToolError::Missing { .. } => Blind::NoTool(error.to_string()),
        error => Blind::Failed(error.to_string()),
    };
    let tools = Tools::find(Variant::Legacy).map_err(blind)?;
    let read = |table| tools.save_text(family, table).map(|text| plan(table, &text)).map_err(blind);
    tables.into_iter().map(read).collect()
}

/// Removes everything in one text.
pub(super) fn remove(family: IpFamily, plans: &[TablePlan]) -> Result<(), RestoreError> {
    let text: String = plans.iter().filter(|plan| !plan.is_empty()).map(restore_text).collect();
    if text.is_empty() {
        return Ok(());
    }
    Tools::find(Variant::Legacy)?.restore(family, &text)
}

/// Reads the text of one table.
fn plan(table: &'static str, text: &str) -> TablePlan {
    let mut chains = Chains::default();
    for (name, rest) in text.lines().filter_map(|line| line.strip_prefix(':')?.split_once(' ')) {
        chains.add(name, !rest.starts_with('-'));
    }
    let is_outside = |(chain, rule): &(&str, &str)| rule.contains("KUBE-") && !chains.theirs.contains(*chain);
    let outside = text
        .lines()
        .filter_map(rule_line)
        .filter(is_outside)
        .filter_map(|rule| jump(rule, &chains.theirs))
        .collect();
    let mut leads: Option<BTreeMap<String, Vec<String>>> = None;
    let inside = |chain: &str| {
        let all = leads.get_or_insert_with(|| leads_inside(text, &chains.theirs));
        Ok::<_, Infallible>(all.remove(chain).unwrap_or_default())
    };
    let Ok(plan) = TablePlan::new(table, &chains, outside, inside);
    plan
}

/// Where the rules of each of kube-proxy's chains lead.
fn leads_inside(text: &str, theirs: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
    let mut leads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rules = text.lines().filter_map(rule_line).filter(|(chain, _)| theirs.contains(*chain));
    for jump in rules.filter_map(|rule| jump(rule, theirs)) {
        leads.entry(jump.from).or_default().push(jump.to);
    }
    leads
}

/// The chain and the rule of a line `-A CHAIN rule`.
fn rule_line(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("-A ")?.split_once(' ')
}

fn jump((chain, rule): (&str, &str), theirs: &BTreeSet<String>) -> Option<Jump> {
    let saved = SavedRule::parse(rule);
    let target = saved.target().filter(|target| theirs.contains(*target))?;
    Some(Jump {
        from: chain.to_owned(),
        to: target.to_owned(),
        comment: saved.comment().map(str::to_owned),
        rule: Rule::Text(rule.to_owned()),
    })
}

/// The text that removes it all at once: jumps first, then every chain is emptied, then all are deleted. A chain
/// that has gone meanwhile is no error: the declaration that empties it makes it anew.
fn restore_text(plan: &TablePlan) -> String {
    let mut text = format!("*{}\n", plan.table);
    // Writing to a String can't fail.
    for jump in &plan.jumps {
        if let Rule::Text(rule) = &jump.rule {
            let _ = writeln!(text, "-D {} {rule}", jump.from);
        }
    }
    for chain in &plan.chains {
        let _ = writeln!(text, ":{chain} - [0:0]");
    }
    for chain in &plan.chains {
        let _ = writeln!(text, "-X {chain}");
    }
    text + "COMMIT\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVC: &str = "KUBE-SVC-ABCDEFGHIJKLMNOP";

    fn nat(more: &str) -> String {
        format!(
            "*nat\n:PREROUTING ACCEPT [0:0]\n:CNI - [0:0]\n:KUBE-FIREWALL - [0:0]\n:KUBE-SERVICES - [0:0]\n:{SVC} - [0:0]\n\
             -A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
             -A PREROUTING -j CNI\n-A KUBE-SERVICES -d 10.96.0.1/32 -j {SVC}\n{more}COMMIT\n"
        )
    }

    #[test]
    fn one_text_removes_jumps_then_chains() {
        let expected = format!(
            "*nat\n-D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
             :KUBE-SERVICES - [0:0]\n:{SVC} - [0:0]\n-X KUBE-SERVICES\n-X {SVC}\nCOMMIT\n"
        );
        assert_eq!(restore_text(&plan("nat", &nat(""))), expected);
    }

    #[test]
    fn rules_of_others_that_lead_to_kube_proxys_chains() {
        let services = &["KUBE-SERVICES"][..];
        let cases = [
            ("-A CNI -j KUBE-SERVICES\n", services),
            ("-A CNI -s 192.0.2.1/32 -g KUBE-SERVICES\n", services),
            ("-A PREROUTING -s 192.0.2.1/32 -j KUBE-SERVICES\n", services),
            ("-A CNI -m comment --comment \"-j KUBE-SERVICES\" -j ACCEPT\n", &[]),
            ("-A PREROUTING -j KUBE-FIREWALL\n", &[]),
        ];
        for (rule, expected) in cases {
            let plan = plan("nat", &nat(rule));
            assert_eq!(plan.used.keys().collect::<Vec<_>>(), expected, "{rule}");
        }
        let why = &plan("nat", &nat("-A CNI -j KUBE-SERVICES\n")).used["KUBE-SERVICES"];
        assert_eq!(why, "the rule \"-A CNI -j KUBE-SERVICES\" uses it");
    }

    #[test]
    fn a_table_without_leftovers_has_no_plan() {
        for text in ["", "*nat\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\nCOMMIT\n"] {
            assert!(plan("nat", text).is_empty());
        }
    }
}
