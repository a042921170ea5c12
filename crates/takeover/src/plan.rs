//! What of one iptables table goes and what stays. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{is_chain, is_jump_comment};

/// The chain that marks packets to be masqueraded, and the one that masquerades what is marked.
const MARKS: &str = "KUBE-MARK-MASQ";
const MASQUERADES: &str = "KUBE-POSTROUTING";

/// The chains of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chains {
    /// kube-proxy's.
    pub theirs: BTreeSet<String>,
    /// The kernel's own: PREROUTING, INPUT, ….
    pub builtin: BTreeSet<String>,
}

impl Chains {
    /// Takes note of a chain, and says whether it is kube-proxy's.
    pub fn add(&mut self, name: &str, is_builtin: bool) -> bool {
        if is_builtin {
            self.builtin.insert(name.to_owned());
            return false;
        }
        let is_theirs = is_chain(name);
        if is_theirs {
            self.theirs.insert(name.to_owned());
        }
        is_theirs
    }
}

/// A rule that leads to one of kube-proxy's chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    /// The chain it is in.
    pub from: String,
    /// The chain it leads to.
    pub to: String,
    /// Its comment.
    pub comment: Option<String>,
    /// The rule itself.
    pub rule: Rule,
}

/// By what a rule is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Its text as `iptables-save` prints it after the chain.
    Text(String),
    /// The kernel's number for it.
    Handle(u64),
}

impl Jump {
    fn is_kube_proxys(&self, chains: &Chains) -> bool {
        chains.builtin.contains(&self.from) && self.comment.as_deref().is_some_and(is_jump_comment)
    }

    fn why(&self) -> String {
        let Jump { from, comment, rule, .. } = self;
        match (rule, comment) {
            (Rule::Text(text), _) => format!("the rule \"-A {from} {text}\" uses it"),
            (Rule::Handle(_), Some(comment)) => {
                format!("a rule in chain {from} with the comment {comment:?} uses it")
            }
            (Rule::Handle(_), None) => format!("a rule in chain {from} uses it"),
        }
    }
}

/// One table's leftovers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TablePlan {
    /// `nat`, `filter` or `mangle`.
    pub table: &'static str,
    /// Jumps that go.
    pub jumps: Vec<Jump>,
    /// Chains that go.
    pub chains: Vec<String>,
    /// Chains that stay because a foreign rule uses them, and why.
    pub used: BTreeMap<String, String>,
    /// Chains that stay because those need them, and which one.
    pub needed: BTreeMap<String, String>,
}

impl TablePlan {
    /// `outside`: rules outside kube-proxy's chains that lead into them. `inside`: where the rules of one of its chains
    /// lead, asked only for chains that are kept.
    pub fn new<E>(
        table: &'static str,
        chains: &Chains,
        outside: Vec<Jump>,
        inside: impl FnMut(&str) -> Result<Vec<String>, E>,
    ) -> Result<Self, E> {
        let (jumps, foreign): (Vec<_>, Vec<_>) =
            outside.into_iter().partition(|jump| jump.is_kube_proxys(chains));
        let mut plan = TablePlan { table, jumps, ..Self::default() };
        for jump in foreign {
            plan.used.entry(jump.to.clone()).or_insert_with(|| jump.why());
        }
        plan.keep_what_is_needed(chains, inside)?;
        let goes = |name: &&String| !plan.used.contains_key(*name) && !plan.needed.contains_key(*name);
        plan.chains = chains.theirs.iter().filter(goes).cloned().collect();
        Ok(plan)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.jumps.is_empty() && self.chains.is_empty()
    }

    /// Keeps every chain that a kept one leads to. Marks mean nothing without the chain that masquerades, and that
    /// chain nothing without its jump.
    fn keep_what_is_needed<E>(
        &mut self,
        chains: &Chains,
        mut inside: impl FnMut(&str) -> Result<Vec<String>, E>,
    ) -> Result<(), E> {
        let mut open: Vec<String> = self.used.keys().cloned().collect();
        while let Some(chain) = open.pop() {
            let mut targets = inside(&chain)?;
            targets.extend((chain == MARKS).then(|| MASQUERADES.to_owned()));
            for target in targets.into_iter().filter(|target| chains.theirs.contains(target)) {
                if !self.used.contains_key(&target) && !self.needed.contains_key(&target) {
                    self.needed.insert(target.clone(), format!("{chain} needs it"));
                    open.push(target);
                }
            }
        }
        if self.used.contains_key(MARKS) || self.needed.contains_key(MARKS) {
            self.jumps.retain(|jump| jump.to != MASQUERADES);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVC: &str = "KUBE-SVC-ABCDEFGHIJKLMNOP";
    const SEP: &str = "KUBE-SEP-ABCDEFGHIJKLMNOP";

    fn chains() -> Chains {
        let mut chains = Chains::default();
        assert!(["PREROUTING", "POSTROUTING"].iter().all(|name| !chains.add(name, true)));
        assert!(["CNI", "KUBE-FIREWALL"].iter().all(|name| !chains.add(name, false)));
        assert!([MARKS, MASQUERADES, SEP, "KUBE-SERVICES", SVC].iter().all(|name| chains.add(name, false)));
        chains
    }

    fn jump(from: &str, to: &str, comment: Option<&str>) -> Jump {
        let comment = comment.map(str::to_owned);
        Jump { from: from.to_owned(), to: to.to_owned(), comment, rule: Rule::Handle(7) }
    }

    /// kube-proxy's jumps, and one more rule outside its chains.
    fn plan(more: Option<Jump>) -> TablePlan {
        let own = [
            jump("PREROUTING", "KUBE-SERVICES", Some("kubernetes service portals")),
            jump("POSTROUTING", MASQUERADES, Some("kubernetes postrouting rules")),
        ];
        let inside = |chain: &str| {
            let pairs = [("KUBE-SERVICES", SVC), (SVC, SEP), (SVC, MARKS), (SEP, MARKS), (SEP, "DNAT")];
            let of_chain = pairs.into_iter().filter(|(from, _)| *from == chain);
            Ok::<_, ()>(of_chain.map(|(_, to)| to.to_owned()).collect())
        };
        TablePlan::new("nat", &chains(), own.into_iter().chain(more).collect(), inside).unwrap()
    }

    #[test]
    fn all_of_kube_proxys_goes_and_nothing_else() {
        let plan = plan(None);
        assert_eq!(plan.chains, [MARKS, MASQUERADES, SEP, "KUBE-SERVICES", SVC]);
        assert_eq!((plan.jumps.len(), plan.used.len(), plan.needed.len()), (2, 0, 0));
    }

    #[test]
    fn foreign_rules_keep_what_they_need() {
        let portals = Some("kubernetes service portals");
        let everything: &[&str] = &[MARKS, MASQUERADES, SEP, SVC];
        let cases: [(Jump, &[&str], usize); 6] = [
            (jump("CNI", MARKS, None), &[MASQUERADES], 1),
            (jump("CNI", SEP, None), &[MARKS, MASQUERADES], 1),
            (jump("CNI", MASQUERADES, None), &[], 2),
            (jump("PREROUTING", "KUBE-SERVICES", None), everything, 1),
            (jump("PREROUTING", "KUBE-SERVICES", Some("mine")), everything, 1),
            (jump("CNI", "KUBE-SERVICES", portals), everything, 1),
        ];
        for (jump, needed, jumps) in cases {
            let plan = plan(Some(jump.clone()));
            assert_eq!(plan.used.keys().collect::<Vec<_>>(), [&jump.to], "{jump:?}");
            assert_eq!(plan.needed.keys().collect::<Vec<_>>(), needed, "{jump:?}");
            assert_eq!((plan.jumps.len(), plan.chains.len()), (jumps, 4 - needed.len()), "{jump:?}");
        }
    }

    #[test]
    fn a_kept_chain_names_what_uses_it() {
        let plan = plan(Some(jump("CNI", MARKS, Some("host ports"))));
        assert_eq!(plan.used[MARKS], "a rule in chain CNI with the comment \"host ports\" uses it");
        assert_eq!(plan.needed[MASQUERADES], "KUBE-MARK-MASQ needs it");
    }
}
