//! What the objects of nf_tables look like, and how few of them change.

use std::collections::{BTreeMap, BTreeSet};

use model::{Balance, Change, IpFamily, Service};
use nftables::{ChainId, ElementKey, Key, Pick, SetId, Target, Value};
use proptest::prelude::*;
use resolve::{NodePortScope, ProxyConfig, Route, resolve};

use super::{Lawful, List, Program, Verdict, at_once, lone_service, one_by_one, slot_of, sync};
use crate::interpreter::{Lowered, Part};
use crate::worlds::NODE;

/// The objects of nf_tables.
pub fn rules<D: Lawful + Lowered>(program: &Program<D>) -> BTreeMap<Key, Value> {
    let rule = |(key, value)| match D::part(key, value) {
        Part::Rule(key, value) => Some((key.clone(), *value)),
        _ => None,
    };
    program.objects().filter_map(rule).collect()
}

/// Every reference leads somewhere, and everything is led to.
pub fn tied<D: Lawful + Lowered>(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let loose = loose_ends(&rules(&one_by_one::<D>(config, changes)?));
    prop_assert!(loose.is_empty(), "{loose:#?}");
    Ok(())
}

/// No endpoint of another node hairpins.
pub fn hairpins_are_local<D: Lawful + Lowered>(config: &ProxyConfig, changes: &[Change]) -> Verdict {
    let program = one_by_one::<D>(config, changes)?;
    let slices = program.store().entries().flat_map(|(_, entry)| entry.slices.values());
    let endpoints = slices.flat_map(|slice| &slice.endpoints);
    let may_be_here = |e: &&model::Endpoint| e.node.as_deref().is_none_or(|node| node == NODE);
    let here: BTreeSet<_> = endpoints.filter(may_be_here).map(|e| e.ip).collect();
    for key in rules(&program).keys() {
        let Key::Element(_, SetId::Hairpin, ElementKey::Vip(endpoint)) = key else { continue };
        prop_assert!(here.contains(&endpoint.ip), "{:?}", endpoint);
    }
    Ok(())
}

/// One endpoint that comes or goes changes few objects, however many there are. (With `prefer-local` the first one on this
/// node replaces all others; with weights it has several slots.)
pub fn few_change<D: Lawful>(
    config: &ProxyConfig,
    service: &Service,
    family: IpFamily,
    mut endpoints: BTreeSet<u8>,
    touched: u8,
) -> Verdict {
    let service = &Service { prefer_local: false, balance: Balance::default(), ..service.clone() };
    let mut program = at_once::<D>(config, &lone_service(service, family, endpoints.iter().copied()))?;
    if !endpoints.remove(&touched) {
        endpoints.insert(touched);
    }
    lone_service(service, family, endpoints).into_iter().for_each(|change| program.handle(change));
    let report = sync(&mut program)?;
    let most = most_writes(&program, service, family);
    prop_assert!(report.writes <= most, "{} writes, more than {}", report.writes, most);
    Ok(())
}

/// Most objects that one endpoint may change. The chains of affinity, and a hairpin for each port; for a frontend, two
/// slots, a verdict, two chains (named by how many slots they draw from) and, with the first endpoint, its affinity; with
/// a short circuit, the same for a second list and a third verdict. In mode ipvs, for each address of a frontend, a virtual
/// server, what says that it is ours, and a real server.
fn most_writes<D: Lawful>(program: &Program<D>, service: &Service, family: IpFamily) -> usize {
    let routes = resolve(program.store(), program.config(), &service.name).routes;
    let servers = if D::MODE == resolve::Mode::Ipvs { 3 } else { 0 };
    let of_route = |route: &Route| {
        let each = if route.short_circuit.is_some() { 13 } else { 7 };
        1 + each * route.frontends().count() + servers * addresses(program, route)
    };
    3 + routes.iter().filter(|route| route.family == family).map(of_route).sum::<usize>()
}

/// How many addresses and ports a Route is served at.
pub fn addresses<D: Lawful>(program: &Program<D>, route: &Route) -> usize {
    let facts = program.store().facts();
    let scope = NodePortScope::new(program.config(), facts, route.family);
    let own = facts.addresses().into_iter().filter(|ip| IpFamily::of(*ip) == route.family);
    let free = own.filter(|ip| !route.shadowed.contains(ip));
    let node_ports = free.filter(|ip| route.node_port.is_some() && scope.accepts(facts, *ip));
    route.vips.len() + node_ports.count()
}

/// What must not be there: verdicts that lead nowhere, lists with holes, and what nothing leads to.
fn loose_ends(objects: &BTreeMap<Key, Value>) -> Vec<String> {
    let mut slots: BTreeMap<List, BTreeSet<u16>> = BTreeMap::new();
    for (list, slot) in objects.keys().filter_map(slot_of) {
        slots.entry(list).or_default().insert(slot);
    }
    let chains: BTreeSet<(IpFamily, ChainId)> = objects.keys().filter_map(counted_chain).collect();
    let (mut led_to, mut sizes) = (BTreeSet::new(), BTreeMap::new());
    let mut loose = Vec::new();
    for (key, value) in objects {
        let (Key::Element(family, _, frontend), Value::Verdict(Target::Goto(chain))) = (key, value) else {
            continue;
        };
        led_to.insert((*family, *chain));
        if !objects.contains_key(&Key::Chain(*family, *chain)) {
            loose.push(format!("{key:?} leads to {chain}, which is not there"));
        }
        if let ChainId::Pick(pick) = chain {
            let list = (*family, slot_map(pick), frontend.clone());
            if sizes.insert(list, pick.size).is_some_and(|other| other != pick.size) {
                loose.push(format!("{key:?} is one of two verdicts that differ in the size of one list"));
            }
        }
    }
    let lists: BTreeSet<_> = slots.keys().chain(sizes.keys()).collect();
    let unfit = |list: &&&_| !fits(slots.get(**list), sizes.get(**list).copied());
    loose.extend(lists.iter().filter(unfit).map(|list| {
        format!("{list:?} has slots {:?} for draws below {:?}", slots.get(*list), sizes.get(*list))
    }));
    loose.extend(chains.difference(&led_to).map(|chain| format!("nothing leads to {chain:?}")));
    loose
}

/// Whether a list fills the first of its slots without a hole, and of all that are drawn more than two thirds.
fn fits(slots: Option<&BTreeSet<u16>>, size: Option<u16>) -> bool {
    let (Some(slots), Some(size)) = (slots, size.map(usize::from)) else { return false };
    let filled = slots.len();
    slots.iter().copied().map(usize::from).eq(0..filled) && filled <= size && 3 * (size - filled) < size
}

/// Chains that are there only for verdicts.
fn counted_chain(key: &Key) -> Option<(IpFamily, ChainId)> {
    match key {
        Key::Chain(family, chain @ (ChainId::Pick(_) | ChainId::Record { .. })) => Some((*family, *chain)),
        _ => None,
    }
}

fn slot_map(pick: &Pick) -> SetId {
    if pick.ports { SetId::PortSlots(pick.shard) } else { SetId::VipSlots(pick.shard) }
}
