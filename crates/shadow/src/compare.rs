//! Comparing what is programmed with what towpath would do.

use std::collections::BTreeMap;

use model::{EndpointAddr, FrontendKey, ServicePortName};

use crate::difference::{Difference, Kind, Traffic};
use crate::{Expected, Frontend, Outcome, Programmed};

/// Of a frontend that several Services ask for.
const CONTESTED: &str = "several Services ask for this address and port; towpath serves the oldest of them";

/// A difference and whose it is; unknown owners are told apart by their frontend.
type Key = (Option<ServicePortName>, Option<FrontendKey>, Kind, Option<&'static str>);

/// Every difference, by Service, then by kind, then by frontend: the order does not depend on the order of the input.
/// What either side cannot tell is not compared. Costs O(frontends and endpoints).
pub fn compare(expected: &Expected, programmed: &Programmed) -> Vec<Difference> {
    let mut found: BTreeMap<Key, Vec<FrontendKey>> = BTreeMap::new();
    let mut note = |name: Option<&ServicePortName>, key: FrontendKey, kind: Kind| {
        let known = known(expected, programmed, key, &kind);
        let apart = name.is_none().then_some(key);
        found.entry((name.cloned(), apart, kind, known)).or_default().push(key);
    };
    for (key, ours) in &expected.frontends {
        match programmed.frontends.get(key) {
            None => note(ours.name.as_ref(), *key, Kind::Missing),
            Some(theirs) => {
                kinds(theirs, ours).into_iter().for_each(|kind| note(ours.name.as_ref(), *key, kind));
            }
        }
    }
    for (key, theirs) in programmed.frontends.iter().filter(|(k, _)| !expected.frontends.contains_key(k)) {
        note(theirs.name.as_ref(), *key, Kind::Extra);
    }
    let difference = |((name, _, kind, known), frontends)| Difference { name, kind, frontends, known };
    found.into_iter().map(difference).collect()
}

/// Who serves a contested frontend is decided otherwise by towpath. Where a mode keeps no names, that shows as other
/// endpoints.
fn known(
    expected: &Expected,
    programmed: &Programmed,
    key: FrontendKey,
    kind: &Kind,
) -> Option<&'static str> {
    let nameless = programmed.frontends.get(&key).is_some_and(|theirs| theirs.name.is_none());
    let of_another = matches!(kind, Kind::Owner { .. }) || (nameless && *kind != Kind::Extra);
    (of_another && expected.contested.contains(&key)).then_some(CONTESTED)
}

/// How two frontends differ. Of different Services nothing else is compared.
fn kinds(theirs: &Frontend, ours: &Frontend) -> Vec<Kind> {
    if let (Some(their_name), Some(our_name)) = (&theirs.name, &ours.name)
        && their_name != our_name
    {
        return vec![Kind::Owner { kube_proxy: their_name.clone() }];
    }
    let mut all: Vec<Kind> =
        outcome(Traffic::Ordinary, &theirs.ordinary, &ours.ordinary).into_iter().collect();
    all.extend(from_node(theirs, ours));
    if let Some((kube_proxy, _)) = differ(theirs.masquerades, ours.masquerades) {
        all.push(Kind::Masquerade { kube_proxy });
    }
    if let Some((kube_proxy, towpath)) = differ(theirs.sources.as_ref(), ours.sources.as_ref()) {
        all.push(Kind::Sources { kube_proxy: kube_proxy.clone(), towpath: towpath.clone() });
    }
    if let Some((kube_proxy, towpath)) = differ(theirs.affinity_seconds, ours.affinity_seconds) {
        all.push(Kind::Affinity { kube_proxy, towpath });
    }
    all
}

/// What differs for the node's own connections, unless it is the same that differs for all.
fn from_node(theirs: &Frontend, ours: &Frontend) -> Option<Kind> {
    let (their_node, our_node) = theirs.from_node.as_ref().zip(ours.from_node.as_ref())?;
    let for_all = outcome(Traffic::FromNode, &theirs.ordinary, &ours.ordinary);
    outcome(Traffic::FromNode, their_node, our_node).filter(|kind| Some(kind) != for_all.as_ref())
}

fn outcome(traffic: Traffic, theirs: &Outcome, ours: &Outcome) -> Option<Kind> {
    let (kube_proxy, towpath) = (theirs.verdict(), ours.verdict());
    if kube_proxy != towpath {
        return Some(Kind::Verdict { traffic, kube_proxy, towpath });
    }
    let only_kube_proxy = without(theirs.endpoints(), ours.endpoints());
    let only_towpath = without(ours.endpoints(), theirs.endpoints());
    let differ = !only_kube_proxy.is_empty() || !only_towpath.is_empty();
    differ.then_some(Kind::Endpoints { traffic, only_kube_proxy, only_towpath })
}

/// Those of one sorted list that the other, sorted too, does not have.
fn without(list: &[EndpointAddr], other: &[EndpointAddr]) -> Vec<EndpointAddr> {
    list.iter().filter(|e| other.binary_search(e).is_err()).copied().collect()
}

/// Both, if both are known and they are not the same.
fn differ<T: PartialEq>(theirs: Option<T>, ours: Option<T>) -> Option<(T, T)> {
    theirs.zip(ours).filter(|(theirs, ours)| theirs != ours)
}
