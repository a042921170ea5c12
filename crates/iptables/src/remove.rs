//! Takes everything of ours away, and nothing else. The nf_tables variant by netlink: its tools need a time that grows with
//! the square of the number of chains, anybody's, and cannot print each table.

use std::error::Error;
use std::fmt::Write;

use dataplane::ApplyError;
use model::IpFamily;
use xtables::{SavedTable, Tools, Variant};

use crate::layout::LOCALNET_WAS_OFF;
use crate::names::{Place, Table};
use crate::nft;
use crate::observe::{chains, leads};

/// Whether a table has chains of ours.
pub fn is_installed(tools: &Tools, families: &[IpFamily]) -> Result<bool, ApplyError> {
    for family in families {
        for table in Table::ALL {
            let has_chains = match tools.variant() {
                Variant::Nft => !nft::chains(*family, table).map_err(unreadable())?.0.is_empty(),
                Variant::Legacy => {
                    !chains(&tools.save(*family, table.as_str()).map_err(unreadable())?).is_empty()
                }
            };
            if has_chains {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Removes every rule that leads to a chain of ours, and every chain of ours; the number of these chains. In `nat` first:
/// what is no longer translated is to be seen by the rules of `filter` that let it through as long as it comes.
/// `before` is called ahead of the removal from each table.
pub fn remove(
    tools: &Tools,
    families: &[IpFamily],
    mut before: impl FnMut(IpFamily, Table),
) -> Result<usize, ApplyError> {
    let mut removed = 0;
    for family in families {
        for table in Table::ALL.into_iter().rev() {
            before(*family, table);
            removed += match tools.variant() {
                Variant::Nft => nft::remove(*family, table).map_err(unremovable(*family))?,
                Variant::Legacy => remove_by_tool(tools, *family, table)?,
            };
        }
    }
    Ok(removed)
}

fn remove_by_tool(tools: &Tools, family: IpFamily, table: Table) -> Result<usize, ApplyError> {
    let saved = tools.save(family, table.as_str()).map_err(unremovable(family))?;
    let text = removal(table, &saved);
    if !text.is_empty() {
        tools.restore(family, &text).map_err(unremovable(family))?;
    }
    Ok(chains(&saved).len())
}

/// Whether this variant's rules of ours say that `route_localnet` was 0 before them.
pub fn says_localnet_was_off(tools: &Tools) -> bool {
    match tools.variant() {
        Variant::Nft => nft::says_localnet_was_off(),
        Variant::Legacy => {
            let saved = tools.save(IpFamily::V4, Table::Filter.as_str());
            let rules = saved.iter().flat_map(|saved| saved.chains.values()).flat_map(|chain| &chain.rules);
            rules.into_iter().any(|rule| rule.comment() == Some(LOCALNET_WAS_OFF))
        }
    }
}

/// Whether those of the other variant do. Both may be there for a moment, when another variant is taken.
pub fn other_variant_knows(variant: Variant) -> bool {
    match variant {
        Variant::Legacy => nft::says_localnet_was_off(),
        Variant::Nft => Tools::find(Variant::Legacy).is_ok_and(|tools| says_localnet_was_off(&tools)),
    }
}

/// The rules of somebody else that lead to a chain, each with the means to find or remove it.
pub fn leads_to(tools: &Tools, place: &Place) -> Vec<String> {
    let (family, table, chain) = (place.family, place.table(), place.chain.to_string());
    match tools.variant() {
        Variant::Nft => {
            let word = if family == IpFamily::V4 { "ip" } else { "ip6" };
            let leads = nft::leads(family, table).unwrap_or_default();
            let leads = leads.iter().filter(|lead| lead.target == chain);
            let rule = |lead: &netlink::nft::Jump| {
                let (table, handle) = (table.as_str(), lead.handle);
                format!("`nft delete rule {word} {table} {} handle {handle}`", lead.chain)
            };
            leads.map(rule).collect()
        }
        Variant::Legacy => {
            let saved = tools.save(family, table.as_str()).unwrap_or_default();
            let leads = leads(&saved).into_iter().filter(|lead| lead.target == chain);
            leads.map(|lead| format!("`-A {} {}`", lead.chain, lead.rule)).collect()
        }
    }
}

/// The text that takes our part of a table away; empty if there is none.
fn removal(table: Table, saved: &SavedTable) -> String {
    let chains = chains(saved);
    if chains.is_empty() {
        return String::new();
    }
    let mut text = format!("*{}\n", table.as_str());
    chains.iter().for_each(|chain| _ = writeln!(text, ":{chain} - [0:0]"));
    leads(saved).iter().for_each(|lead| _ = writeln!(text, "-D {} {}", lead.chain, lead.rule));
    chains.iter().for_each(|chain| _ = writeln!(text, "-X {chain}"));
    text + "COMMIT\n"
}

fn unreadable<E: Into<Box<dyn Error + Send + Sync>>>() -> impl FnOnce(E) -> ApplyError {
    ApplyError::new("cannot read the tables")
}

fn unremovable<E: Into<Box<dyn Error + Send + Sync>>>(family: IpFamily) -> impl FnOnce(E) -> ApplyError {
    move |error| ApplyError::new(&format!("cannot remove the {family} rules"))(error)
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
