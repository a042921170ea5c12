//! Takes everything of ours away, and nothing else.

use std::fmt::Write;

use dataplane::ApplyError;
use model::IpFamily;
use xtables::{SavedTable, ToolError, Tools, Variant};

use crate::layout::LOCALNET_WAS_OFF;
use crate::names::Table;
use crate::observe::{chains, leads};

/// What was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Chains of ours.
    pub chains: usize,
    /// `route_localnet` was 0 before this program set it.
    pub localnet_was_off: bool,
}

/// Whether a table has chains of ours.
pub fn is_installed(tools: &Tools, families: &[IpFamily]) -> Result<bool, ToolError> {
    for family in families {
        for table in Table::ALL {
            if !chains(&tools.save(*family, table.as_str())?).is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Removes every rule that leads to a chain of ours, and every chain of ours. In `nat` first: what is no longer
/// translated is to be seen by the rules of `filter` that let it through as long as it comes.
pub fn remove(tools: &Tools, families: &[IpFamily]) -> Result<Removed, ApplyError> {
    let mut removed = Removed::default();
    for family in families {
        let what = format!("cannot remove the {family} rules");
        for table in Table::ALL.into_iter().rev() {
            let saved = tools.save(*family, table.as_str()).map_err(ApplyError::new(&what))?;
            removed.chains += chains(&saved).len();
            removed.localnet_was_off |= says_localnet_was_off(&saved);
            let text = removal(table, &saved);
            if !text.is_empty() {
                tools.restore(*family, &text).map_err(ApplyError::new(&what))?;
            }
        }
    }
    Ok(removed)
}

/// Whether the other variant's rules of ours say that `route_localnet` was 0 before them. Both may be there for a moment,
/// when another variant is taken.
pub fn other_variant_knows(variant: Variant) -> bool {
    let other = match variant {
        Variant::Legacy => Variant::Nft,
        Variant::Nft => Variant::Legacy,
    };
    let saved = Tools::find(other).and_then(|tools| tools.save(IpFamily::V4, Table::Filter.as_str()));
    saved.is_ok_and(|saved| says_localnet_was_off(&saved))
}

fn says_localnet_was_off(saved: &SavedTable) -> bool {
    let rules = saved.chains.values().flat_map(|chain| &chain.rules);
    rules.into_iter().any(|rule| rule.comment() == Some(LOCALNET_WAS_OFF))
}

/// The text that takes our part of a table away; empty if there is none.
fn removal(table: Table, saved: &SavedTable) -> String {
    let chains = chains(saved);
    if chains.is_empty() {
        return String::new();
    }
    let mut text = format!("*{}\n", table.as_str());
    chains.iter().for_each(|chain| _ = writeln!(text, ":{chain} - [0:0]"));
    leads(saved).iter().for_each(|(chain, rule)| _ = writeln!(text, "-D {chain} {rule}"));
    chains.iter().for_each(|chain| _ = writeln!(text, "-X {chain}"));
    text + "COMMIT\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_goes() {
        let saved = SavedTable::parse(
            ":INPUT ACCEPT [0:0]\n:KUBE-X - [0:0]\n:TOWPATH-A - [0:0]\n:TOWPATH-B - [0:0]\n\
             -A INPUT -j KUBE-X\n-A INPUT -m comment --comment \"x y\" -j TOWPATH-A\n-A KUBE-X -j TOWPATH-B\n\
             -A TOWPATH-A -j TOWPATH-B\n",
        );
        let want = "*filter\n:TOWPATH-A - [0:0]\n:TOWPATH-B - [0:0]\n\
                    -D INPUT -m comment --comment \"x y\" -j TOWPATH-A\n-D KUBE-X -j TOWPATH-B\n\
                    -X TOWPATH-A\n-X TOWPATH-B\nCOMMIT\n";
        assert_eq!(removal(Table::Filter, &saved), want);
        assert_eq!(removal(Table::Nat, &SavedTable::default()), "");
    }
}
