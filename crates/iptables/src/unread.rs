//! Tables that the tools cannot print: `nft` has made rules there that they have no words for (nf_tables variant only).
//!
//! Texts are taken there all the same. By netlink it is known which chains of ours there are and what leads to them, not
//! what is in them. So at first everything is written anew; from then on what this process has written counts for what is
//! there, as long as the chain is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dataplane::Step;
use model::IpFamily;
use netlink::NetlinkError;
use netlink::nft::Jump;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::layout::JUMPS;
use crate::names::{ChainId, Hook, Place, Table};
use crate::nft::{Look, delete_rules, jumps_from, look};
use crate::objects::{Entry, Key, UNREAD, Value};
use crate::rule::Rule;
use crate::shadow::{KeyStep, Shadow};
use crate::stuck::Stuck;

/// Tables that the log has told of, one bit each.
static TOLD: AtomicU8 = AtomicU8::new(0);

/// Says once in this process that a table cannot be read, and what to do.
pub fn tell(family: IpFamily, table: Table) {
    let bit = 1 << (2 * u8::from(family == IpFamily::V6) + u8::from(table == Table::Nat));
    if TOLD.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return;
    }
    let word = if family == IpFamily::V4 { "ip" } else { "ip6" };
    let table = table.as_str();
    tracing::warn!(
        "the iptables tools cannot print the table {table} of {family}, as it has rules that were made with nft: \
         Services are programmed all the same, but of what others change in our chains only missing chains are \
         noticed; `nft list table {word} {table}` shows these rules; move them to a table of their own"
    );
}

/// Takes in what one such table has, as far as it is known: chains that this process has written and that are still
/// there, others as chains whose rules are unknown, and the jumps.
pub fn observe(
    (family, table): (IpFamily, Table),
    look: &Look,
    written: &Shadow,
    stuck: &Stuck,
    out: &mut FxHashMap<Key, Value>,
) {
    let chains = look.chains.iter().map(|name| Place::new(family, ChainId::parse(table, name)));
    let chains: FxHashSet<Place> = chains.filter(|place| !stuck.contains(place)).collect();
    // Without knowledge of this table, the shadow is of no use: somebody has changed something since it was read.
    let known = written.has_unread(family, table);
    let known = known.then(|| written.objects(family, table)).into_iter().flatten();
    out.extend(known.filter(|(key, _)| chains.contains(&key.place)));
    for place in chains {
        if written.has_unread(family, table) && written.has(&place) {
            continue;
        }
        if place.chain.is_shared() {
            out.insert(Key { place: place.clone(), entry: Entry::unread() }, Arc::from(""));
            out.insert(Key { place, entry: Entry::Head }, Arc::from(""));
        } else {
            out.insert(Key { place, entry: Entry::Whole }, Arc::from(UNREAD));
        }
    }
    jumps(family, table, &look.jumps, out);
}

fn jumps(family: IpFamily, table: Table, jumps: &[Jump], out: &mut FxHashMap<Key, Value>) {
    for hook in Hook::ALL {
        let here = jumps.iter().filter(|jump| jump.chain == hook.as_str());
        let lines: Vec<String> = here.map(text).collect();
        if !lines.is_empty() {
            let key = Key::new(family, ChainId::BuiltIn(table, hook), Entry::Jump);
            out.insert(key, Arc::from(lines.join("\n")));
        }
    }
}

/// The rule, if it matches everything.
fn text(jump: &Jump) -> String {
    let rule = jump.comment.iter().fold(Rule::new(), |rule, comment| rule.comment(comment));
    rule.jump(&jump.target)
}

/// Whether a chain of ours or a jump to one is missing: chains in tables that cannot be read, jumps in all.
pub fn is_lacking(shadow: &Shadow, families: &[IpFamily]) -> Result<bool, NetlinkError> {
    for family in families {
        for table in Table::ALL {
            let look = look(*family, table)?;
            let chains: FxHashSet<&str> = look.chains.iter().map(String::as_str).collect();
            let is_there = |place: &Place| chains.contains(place.chain.to_string().as_str());
            let leads = |hook: Hook, chain: &ChainId| {
                let chain = chain.to_string();
                look.jumps.iter().any(|jump| jump.chain == hook.as_str() && jump.target == chain)
            };
            let mut wanted = JUMPS.iter().filter(|(of, ..)| *of == table);
            let has_jumps = wanted.all(|(_, hook, chain)| leads(*hook, chain));
            let is_unread = shadow.has_unread(*family, table);
            if !has_jumps || is_unread && !shadow.places(*family, table).all(is_there) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The tools cannot find a rule behind one that they cannot read. Removes jumps that are not wanted, and leaves to the
/// steps only what has to be inserted. The number of commits.
pub fn cut_jumps(shadow: &Shadow, steps: &mut Vec<KeyStep>) -> Result<u32, NetlinkError> {
    let mut commits = 0;
    for (key, step) in steps.iter_mut() {
        let ChainId::BuiltIn(table, hook) = key.place.chain else { continue };
        let family = key.family();
        let new = match step {
            Step::Create(_) => continue,
            _ if !shadow.has_unread(family, table) => continue,
            Step::Update { new, .. } => Some(new.clone()),
            Step::Delete(_) => None,
        };
        let mut jumps = jumps_from(family, table, [hook.as_str()])?;
        let kept = jumps.iter().position(|jump| new.as_deref() == Some(&text(jump)));
        let is_kept = kept.map(|at| jumps.swap_remove(at)).is_some();
        if !jumps.is_empty() {
            delete_rules(family, table, &jumps)?;
            commits += 1;
        }
        *step = Step::Create(new.filter(|_| !is_kept).unwrap_or_default());
    }
    steps.retain(|(key, step)| key.entry != Entry::Jump || *step != Step::Create(Arc::from("")));
    Ok(commits)
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
