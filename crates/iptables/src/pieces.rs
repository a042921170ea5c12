//! A plan cut into parts: what belongs to no Service, groups of steps of one ServicePort, what goes at the end.

use std::cmp::Reverse;
use std::sync::Arc;

use dataplane::Step;
use model::NamespacedName;
use rustc_hash::FxHashMap;

use crate::lower::service_port_of;
use crate::names::ChainId;
use crate::objects::{Entry, Value};
use crate::shadow::KeyStep;

/// Most groups of the first text of a large plan, so that what is used most is there soon.
pub const FIRST: usize = 2_000;
/// Most groups of every later text: at 5 endpoints it has 8 MB. The legacy kernel swaps the whole table each time, so
/// many small texts would cost more.
pub const LATER: usize = 8_000;

/// The steps of one ServicePort. They stand and fall together.
#[derive(Clone, Debug)]
pub struct Group {
    /// The Service.
    pub service: NamespacedName,
    /// The ServicePort, as the rules' comments name it.
    pub name: Arc<str>,
    /// Its steps.
    pub steps: Vec<KeyStep>,
}

/// A plan by what has to come when.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Chains and rules that several Services share, or none has. First.
    pub ground: Vec<KeyStep>,
    /// Steps by ServicePort, most used ones first.
    pub groups: Vec<Group>,
    /// Jumps from built-in chains.
    pub jumps: Vec<KeyStep>,
    /// Chains that go, and the rules that led to them. Last.
    pub deletions: Vec<KeyStep>,
}

impl Parts {
    /// Cuts a plan.
    pub fn new(steps: Vec<KeyStep>) -> Self {
        let mut parts = Parts::default();
        let mut groups: FxHashMap<Arc<str>, Group> = FxHashMap::default();
        for step in steps {
            match part_of(&step) {
                Part::Ground => parts.ground.push(step),
                Part::Jumps => parts.jumps.push(step),
                Part::Deletions => parts.deletions.push(step),
                Part::Service(name, service) => {
                    let group = || Group { service, name: name.clone(), steps: Vec::new() };
                    groups.entry(name.clone()).or_insert_with(group).steps.push(step);
                }
            }
        }
        parts.groups = groups.into_values().collect();
        parts.groups.sort_by_cached_key(|group| (Rank::of(group), group.name.clone()));
        parts
    }
}

enum Part {
    Ground,
    Jumps,
    Deletions,
    Service(Arc<str>, NamespacedName),
}

fn part_of((key, step): &KeyStep) -> Part {
    let deletes = matches!(step, Step::Delete(_));
    let of_service = matches!(key.place.chain, ChainId::Of(..));
    match key.entry {
        Entry::Jump => Part::Jumps,
        Entry::Whole | Entry::Head | Entry::Digit(_) | Entry::Range(..) if deletes => Part::Deletions,
        // Until the rules that are wanted have come, those that could not be read may be the same.
        _ if deletes && key.entry.is_unread() => Part::Deletions,
        Entry::Whole if of_service => of_comment(step),
        Entry::Vip(..) | Entry::Port(..) | Entry::Health(..) => of_comment(step),
        _ => Part::Ground,
    }
}

/// The part of what the first rule's comment names.
fn of_comment(step: &Step<Value>) -> Part {
    let (Step::Create(rules) | Step::Update { new: rules, .. } | Step::Delete(rules)) = step;
    let name = comment_of(rules).and_then(|comment| Some((comment, service_of(comment)?)));
    name.map_or(Part::Ground, |(name, service)| Part::Service(Arc::from(name), service))
}

/// The ServicePort in the comment of a rule of ours: it is always quoted, and never has a quote in it.
pub fn comment_of(rules: &str) -> Option<&str> {
    let (_, rest) = rules.split_once("--comment \"")?;
    service_port_of(rest.split_once('"')?.0)
}

/// The Service of a ServicePort's name.
fn service_of(name: &str) -> Option<NamespacedName> {
    let (namespace, rest) = name.split_once('/')?;
    let service = rest.split_once(':').map_or(rest, |(service, _)| service);
    Some(NamespacedName::new(namespace, service))
}

/// How soon a ServicePort is programmed: what everything else needs first, then those with the most endpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    later: bool,
    rules: Reverse<usize>,
}

impl Rank {
    fn of(group: &Group) -> Self {
        let service = &group.service;
        let system = &*service.namespace == "kube-system"
            || (&*service.namespace, &*service.name) == ("default", "kubernetes");
        let rules = group.steps.iter().map(|(_, step)| match step {
            Step::Create(new) | Step::Update { new, .. } => new.lines().count(),
            Step::Delete(_) => 0,
        });
        Self { later: !system, rules: Reverse(rules.sum()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::names::{Part as Chain, Tree};
    use crate::objects::Key;
    use model::{IpFamily, Protocol};

    fn of(name: &str, rules: usize) -> KeyStep {
        let chain = ChainId::Of(Chain::Internal, Digest::of(name));
        let rule = format!("-m comment --comment \"{name}\" -j X");
        let value = vec![rule; rules].join("\n");
        (Key::new(IpFamily::V4, chain, Entry::Whole), Step::Create(Arc::from(value)))
    }

    #[test]
    fn what_is_used_most_comes_first() {
        let names =
            [("a/small:p", 1), ("a/big", 9), ("kube-system/dns:udp", 2), ("default/kubernetes:https", 1)];
        let parts = Parts::new(names.map(|(name, rules)| of(name, rules)).to_vec());
        let order: Vec<&str> = parts.groups.iter().map(|group| &*group.name).collect();
        assert_eq!(order, ["kube-system/dns:udp", "default/kubernetes:https", "a/big", "a/small:p"]);
        assert_eq!(parts.groups[0].service, NamespacedName::new("kube-system", "dns"));
    }

    #[test]
    fn every_step_has_its_time() {
        let key = |chain, entry| Key::new(IpFamily::V4, chain, entry);
        let port = Entry::Port(Protocol::Tcp, 1);
        let rule: Value = Arc::from("-p tcp -m comment --comment \"a/b:c\" -m tcp --dport 1 -j X");
        let root = ChainId::Root(Tree::Served);
        let digest = Digest::of("a");
        let steps = vec![
            (key(root.clone(), Entry::Head), Step::Create(Arc::from(""))),
            (key(root.clone(), Entry::Digit(1)), Step::Delete(rule.clone())),
            (key(ChainId::Ports(Tree::Served), port.clone()), Step::Delete(rule.clone())),
            (key(ChainId::Of(Chain::Front, digest), Entry::Whole), Step::Delete(rule.clone())),
            (key(root.clone(), Entry::Stray(1, rule.clone())), Step::Delete(rule.clone())),
            (key(root.clone(), Entry::unread()), Step::Delete(Arc::from(""))),
            (key(ChainId::Ports(Tree::Idle), port), Step::Delete(Arc::from("-j DROP"))),
        ];
        let parts = Parts::new(steps);
        let counts = (parts.ground.len(), parts.groups.len(), parts.jumps.len(), parts.deletions.len());
        assert_eq!(counts, (3, 1, 0, 3));
    }
}
