//! Chains of ours that somebody has changed, and how they are then: for those who read what differs.

use std::fmt::Write;

use model::IpFamily;
use netlink::nft::{ChainInfo, Expr, Verdict};
use rustc_hash::FxHashMap;

use crate::ids::ChainId;
use crate::layout::Layout;
use crate::objects::Value;
use crate::observe::definition;
use crate::text;

/// Chains that are kept; more differ only where the whole table does.
const MOST: usize = 64;
/// Rules that are printed of one.
const RULES: usize = 10;
/// Expressions that are printed of a rule of others.
const WORDS: usize = 12;

/// Changed chains, as they were found the last time.
pub type StrangeChains = FxHashMap<(IpFamily, ChainId), Strange>;

/// A chain as it was found.
#[derive(Clone, Debug)]
pub struct Strange {
    chain: ChainInfo,
    rules: Vec<Vec<Expr>>,
}

impl Layout {
    /// What a chain should be.
    pub fn definition(&self, chain: ChainId) -> Value {
        let hook = Layout::hook(chain).map(|hook| (hook.number, hook.priority, hook.kind));
        definition(&hook, false, &self.encoded(chain))
    }

    /// Keeps a chain that was found, if it is not as it should be.
    pub fn note(&self, id: ChainId, chain: &ChainInfo, rules: &[Vec<Expr>], out: &mut StrangeChains) {
        if out.len() < MOST && definition(&chain.hook, chain.drops, rules) != self.definition(id) {
            let strange = Strange { chain: chain.clone(), rules: rules.to_vec() };
            out.insert((self.family, id), strange);
        }
    }
}

impl Strange {
    /// What is in its braces: first what it is as a base chain, if that is not what it should be; rules of ours as `nft` has them,
    /// others by their expressions.
    pub fn text(&self, layout: &Layout, id: ChainId) -> String {
        let mut parts: Vec<String> = self.unlike(id).into_iter().collect();
        let ours: Vec<(Vec<Expr>, String)> = layout
            .encoded(id)
            .into_iter()
            .zip(layout.rules(id).iter().map(|parts| text::rule(parts, layout.family)))
            .collect();
        let known =
            |rule: &Vec<Expr>| ours.iter().find(|(exprs, _)| exprs == rule).map(|(_, text)| text.clone());
        parts.extend(self.rules.iter().take(RULES).map(|rule| known(rule).unwrap_or_else(|| brief(rule))));
        if let Some(beyond) = self.rules.len().checked_sub(RULES).filter(|beyond| *beyond > 0) {
            parts.push(format!("and {beyond} more"));
        }
        parts.join("; ")
    }

    fn unlike(&self, id: ChainId) -> Option<String> {
        let should = Layout::hook(id).map(|hook| (hook.number, hook.priority, hook.kind.to_owned()));
        match &self.chain.hook {
            hook if *hook == should && !self.chain.drops => None,
            Some((number, priority, kind)) => {
                let policy = if self.chain.drops { "drop" } else { "accept" };
                Some(format!("type {kind} hook {number} priority {priority}; policy {policy}"))
            }
            None => Some("no hook".to_owned()),
        }
    }
}

fn brief(rule: &[Expr]) -> String {
    let mut out = String::from("(not ours:");
    rule.iter().take(WORDS).for_each(|expr| _ = write!(out, " {}", word(expr)));
    out + ")"
}

fn word(expr: &Expr) -> String {
    match expr {
        Expr::Immediate { verdict } => match verdict {
            Verdict::Drop => "drop".into(),
            Verdict::Accept => "accept".into(),
            Verdict::Return => "return".into(),
            Verdict::Jump(chain) => format!("jump {chain}"),
            Verdict::Goto(chain) => format!("goto {chain}"),
            Verdict::Other(code) => format!("verdict {code}"),
        },
        Expr::Lookup { set, .. } => format!("@{set}"),
        other => other.name().to_owned(),
    }
}
