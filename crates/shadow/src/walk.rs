//! Chains of either packet filter, reduced to what decides where a connection goes, and the way through them.

use ipnet::IpNet;
use model::EndpointAddr;
use rustc_hash::FxHashMap;

use crate::{Outcome, Sources};

/// Chains deeper than this are not followed: kube-proxy's go four deep, and the kernel itself allows sixteen.
const DEEPEST: u32 = 16;

/// Whose packets a step is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Everybody's.
    Always,
    /// Those of local pods, or of one address.
    Pods,
    /// Those from this prefix: pods in one chain, allowed sources in another.
    From(Vec<IpNet>),
    /// All but those from these prefixes.
    NotFrom(Vec<IpNet>),
    /// Those of the node itself.
    Node,
    /// A part of everybody's: drawn, or (with seconds) those of clients that were there before.
    Sometimes { affinity_seconds: Option<u32> },
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Marks for masquerade.
    Mark,
    /// Goes on there; `back` = and comes back if that chain does not decide.
    Go { chain: String, back: bool },
    /// Goes on in one of these.
    Any(Vec<String>),
    /// Translates to one of these.
    Dnat(Vec<EndpointAddr>),
    /// Discards.
    Drop,
    /// Refuses.
    Reject,
}

/// One rule, reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) when: When,
    pub(crate) then: Then,
}

/// Who sends the packet whose way is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A host outside of the cluster, which may use the frontend.
    Outside,
    /// The node itself.
    Node,
}

/// All chains of one table.
#[derive(Debug, Default)]
pub(crate) struct Chains(pub(crate) FxHashMap<String, Vec<Step>>);

/// What was met on the way.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    endpoints: Vec<EndpointAddr>,
    verdict: Option<Outcome>,
    /// Marked for masquerade.
    pub(crate) marked: bool,
    /// Seconds of affinity, 0 = none.
    pub(crate) affinity_seconds: u32,
}

impl Walk {
    /// Where it ends; `None` if no chain decides.
    pub(crate) fn outcome(&mut self) -> Option<Outcome> {
        Outcome::dnat(std::mem::take(&mut self.endpoints)).or_else(|| self.verdict.take())
    }
}

impl Chains {
    /// Follows a packet from the beginning of a chain.
    pub(crate) fn walk(&self, chain: &str, sender: Sender) -> Walk {
        let mut walk = Walk::default();
        self.follow(chain, sender, 0, &mut walk);
        walk
    }

    /// Returns whether the packet's way has ended.
    fn follow(&self, chain: &str, sender: Sender, depth: u32, walk: &mut Walk) -> bool {
        let steps = self.0.get(chain).filter(|_| depth < DEEPEST);
        for step in steps.into_iter().flatten() {
            let certain = match step.when.is_for(sender, walk) {
                None => continue,
                Some(certain) => certain,
            };
            let marked = walk.marked;
            let decided = self.take(&step.then, sender, depth, walk);
            // What only some packets meet is not what all get: a mark for the ClusterIP's own traffic.
            walk.marked = if certain { walk.marked } else { marked };
            let leaves = matches!(step.then, Then::Go { back: false, .. } | Then::Any(_));
            if certain && (decided || leaves) {
                return decided;
            }
        }
        false
    }

    fn take(&self, then: &Then, sender: Sender, depth: u32, walk: &mut Walk) -> bool {
        match then {
            Then::Mark => walk.marked = true,
            Then::Go { chain, .. } => return self.follow(chain, sender, depth + 1, walk),
            Then::Any(chains) => {
                return chains.iter().fold(false, |any, c| self.follow(c, sender, depth + 1, walk) | any);
            }
            Then::Dnat(endpoints) => walk.endpoints.extend(endpoints),
            Then::Drop => walk.verdict = Some(Outcome::Drop),
            Then::Reject => walk.verdict = Some(Outcome::Reject),
        }
        !matches!(then, Then::Mark)
    }

    /// A chain that only asks for the source, and who may pass: `(sources, where those go on)`. The chain either lets
    /// some go on (iptables; what falls through is dropped elsewhere), or drops the others (nf_tables).
    pub(crate) fn gate(&self, chain: &str) -> Option<(Sources, Option<&str>)> {
        let steps = self.0.get(chain)?;
        let mut nets = Vec::new();
        let mut next = None;
        for step in steps {
            match (&step.when, &step.then) {
                (When::NotFrom(allowed), Then::Drop) => return Some((Sources::only(allowed), None)),
                (_, Then::Mark | Then::Drop) => {}
                (When::From(allowed), Then::Go { chain, .. }) => {
                    nets.extend(allowed);
                    next = Some(chain.as_str());
                }
                _ => return None,
            }
        }
        next.map(|next| (Sources::only(&nets), Some(next)))
    }
}

impl When {
    /// `None` = not for this sender; else whether for all its packets.
    fn is_for(&self, sender: Sender, walk: &mut Walk) -> Option<bool> {
        match self {
            When::Always | When::NotFrom(_) => Some(true),
            When::Pods | When::From(_) => None,
            When::Node => (sender == Sender::Node).then_some(true),
            When::Sometimes { affinity_seconds } => {
                walk.affinity_seconds = affinity_seconds.unwrap_or(walk.affinity_seconds);
                Some(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(list: &[(&str, &[(When, Then)])]) -> Chains {
        let step = |(when, then): &(When, Then)| Step { when: when.clone(), then: then.clone() };
        Chains(
            list.iter().map(|(name, steps)| ((*name).to_owned(), steps.iter().map(step).collect())).collect(),
        )
    }

    fn go(chain: &str) -> Then {
        Then::Go { chain: chain.into(), back: true }
    }

    fn dnat(last: u8) -> Then {
        Then::Dnat(vec![EndpointAddr { ip: [10, 0, 0, last].into(), port: 80 }])
    }

    const DRAWN: When = When::Sometimes { affinity_seconds: None };

    /// What the outside and the node get from the chain `a`, by the last octet of the endpoints.
    fn ends(chains: &Chains) -> [(Vec<String>, bool); 2] {
        [Sender::Outside, Sender::Node].map(|sender| {
            let mut walk = chains.walk("a", sender);
            let outcome = walk.outcome();
            let ips = outcome.iter().flat_map(|o| o.endpoints()).map(|e| e.ip.to_string().split_off(7));
            (ips.collect(), walk.marked)
        })
    }

    #[test]
    fn the_way_depends_on_the_sender() {
        let local = chains(&[
            (
                "a",
                &[
                    (When::Pods, go("all")),
                    (When::Node, Then::Mark),
                    (When::Node, go("all")),
                    (When::Always, go("here")),
                ],
            ),
            ("all", &[(DRAWN, dnat(1)), (When::Always, dnat(2)), (When::Always, dnat(3))]),
            ("here", &[(When::From(vec![]), Then::Mark), (When::Always, dnat(1))]),
        ]);
        let all = vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(ends(&local), [(vec!["1".to_owned()], false), (all, true)]);
    }

    #[test]
    fn a_mark_that_only_some_get_is_none() {
        let some = chains(&[
            ("a", &[(DRAWN, go("mark")), (When::Always, dnat(1))]),
            ("mark", &[(When::Always, Then::Mark)]),
        ]);
        assert_eq!(ends(&some)[0], (vec!["1".to_owned()], false));
    }

    #[test]
    fn a_chain_that_decides_nothing_leads_back_unless_it_was_left_for_good() {
        for (back, want) in [(true, vec!["1".to_owned()]), (false, vec![])] {
            let steps = [(When::Always, Then::Go { chain: "empty".into(), back }), (When::Always, dnat(1))];
            let chains = chains(&[("a", &steps), ("empty", &[])]);
            assert_eq!(ends(&chains)[0], (want, false));
        }
    }

    #[test]
    fn a_ring_of_chains_ends() {
        let ring = chains(&[("a", &[(When::Always, go("b"))]), ("b", &[(When::Always, go("a"))])]);
        assert_eq!(ends(&ring)[0], (vec![], false));
    }

    #[test]
    fn gates() {
        let net = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let only = |text: &str| Some(Sources::Only(net(text)));
        for (steps, want) in [
            (
                vec![(When::From(net("10.0.0.0/9")), go("b")), (When::From(net("10.128.0.0/9")), go("b"))],
                only("10.0.0.0/8"),
            ),
            (vec![(When::NotFrom(net("10.0.0.0/8")), Then::Drop)], only("10.0.0.0/8")),
            (vec![(When::From(net("10.0.0.0/8")), go("b")), (When::Always, go("c"))], None),
            (vec![(When::Always, Then::Mark)], None),
            (vec![], None),
        ] {
            let found = chains(&[("a", &steps)]).gate("a").map(|(sources, _)| sources);
            assert_eq!(found, want, "{steps:?}");
        }
    }
}
