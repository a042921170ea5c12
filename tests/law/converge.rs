//! The kernel becomes what is desired, whatever the way there.

use std::collections::BTreeMap;

use model::{Change, EndpointAddr, NamespacedName, ServiceEntry, Slice};
use proptest::prelude::*;
use resolve::ProxyConfig;

use super::{Desired, Lawful, List, Program, Verdict, at_once, desired, one_by_one, present, program, sync};
use crate::worlds::last_of_each;

/// Objects without the order of endpoints in their slots.
#[derive(Debug, PartialEq)]
struct Unordered<K: Ord, V> {
    slots: BTreeMap<List, BTreeMap<EndpointAddr, usize>>,
    others: BTreeMap<K, V>,
}

fn unordered<D: Lawful>(objects: Desired<D>) -> Unordered<D::Key, D::Value> {
    let mut all = Unordered { slots: BTreeMap::new(), others: BTreeMap::new() };
    for (key, value) in objects {
        match D::slot(&key, &value) {
            Some((list, endpoint)) => *all.slots.entry(list).or_default().entry(endpoint).or_default() += 1,
            None => {
                all.others.insert(key, value);
            }
        }
    }
    all
}

fn same<D: Lawful>(one: &Program<D>, other: &Program<D>) -> Verdict {
    prop_assert_eq!(unordered::<D>(desired(one)), unordered::<D>(desired(other)));
    Ok(())
}

/// After a sync the kernel is as desired.
pub fn reached<D: Lawful>(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let mut program = at_once::<D>(config, changes)?;
    prop_assert_eq!(present(&program), desired(&program));
    prop_assert!(program.diff().unwrap().is_empty());
    prop_assert!(!program.has_work());
    Ok(())
}

/// A second sync writes nothing, nor does a full one.
pub fn settled<D: Lawful>(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let mut program = one_by_one::<D>(config, changes)?;
    prop_assert_eq!(sync(&mut program)?.writes, 0);
    program.request_full();
    let report = sync(&mut program)?;
    prop_assert_eq!((report.writes, report.full.map(|full| full.drift.total())), (0, Some(0)));
    Ok(())
}

/// The order of news does not matter.
pub fn unordered_news<D: Lawful>(config: &ProxyConfig, changes: &[Change], retold: &[Change]) -> Verdict {
    same(&at_once::<D>(config, changes)?, &at_once(config, retold)?)
}

/// Step by step leads where all at once does.
pub fn stepwise<D: Lawful>(config: &ProxyConfig, changes: &[Change], retold: &[Change]) -> Verdict {
    let steps = one_by_one::<D>(config, changes)?;
    prop_assert_eq!(present(&steps), desired(&steps));
    same(&steps, &at_once(config, retold)?)
}

/// A restart writes nothing.
pub fn restarted<D: Lawful>(config: &ProxyConfig, changes: &[Change], retold: &[Change]) -> Verdict {
    let before = one_by_one::<D>(config, changes)?;
    let mut after = program(config, before.dataplane().restarted(), retold);
    let report = sync(&mut after)?;
    prop_assert_eq!(report.writes, 0);
    prop_assert_eq!(desired(&after), desired(&before));
    Ok(())
}

/// A restart into another world reaches it.
pub fn moved<D: Lawful>(config: &ProxyConfig, before: &[Change], after: &[Change]) -> Verdict {
    let old = at_once::<D>(config, before)?;
    let mut new = program(config, old.dataplane().restarted(), after);
    sync(&mut new)?;
    prop_assert_eq!(present(&new), desired(&new));
    same(&new, &at_once(config, after)?)
}

/// Without Services only the ground is left.
pub fn emptied<D: Lawful>(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let mut program = one_by_one::<D>(config, changes)?;
    let names: Vec<_> = program.store().entries().map(|(name, _)| name.clone()).collect();
    names.into_iter().for_each(|name| program.handle(Change::ServiceGone(name)));
    sync(&mut program)?;
    let is_ground = |change: &&Change| !matches!(change, Change::Service(_) | Change::Slice(_));
    let ground: Vec<Change> = last_of_each(changes).iter().filter(is_ground).cloned().collect();
    prop_assert_eq!(present(&program), desired(&at_once::<D>(config, &ground)?));
    Ok(())
}

/// A slice changes objects of its own Service only.
pub fn confined<D: Lawful>(config: &ProxyConfig, changes: &[Change], slice: &Slice) -> Verdict {
    let mut program = at_once::<D>(config, changes)?;
    let of_others = others(&program, slice);
    program.handle(Change::Slice(slice.clone().into()));
    sync(&mut program)?;
    for (name, objects) in of_others {
        prop_assert_eq!(program.objects_of(&name), objects, "{} after {:?}", name, slice);
    }
    Ok(())
}

/// The objects of one Service.
type OfService<D> =
    (NamespacedName, Vec<(<D as dataplane::Dataplane>::Key, <D as dataplane::Dataplane>::Value)>);

/// The objects of every Service that a slice neither belongs to nor belonged to before.
fn others<D: Lawful>(program: &Program<D>, slice: &Slice) -> Vec<OfService<D>> {
    let had = |entry: &ServiceEntry| entry.slices.contains_key(&slice.name.name);
    let others = program.store().entries().filter(|(name, entry)| **name != slice.service && !had(entry));
    others.map(|(name, _)| (name.clone(), program.objects_of(name))).collect()
}
