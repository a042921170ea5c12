//! Laws that hold for every world, over the nftables dataplane and a kernel that is a map.
//!
//! A failing world is printed in its smallest form; make it a case of a table, or a test of its own, with the fix.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod interpreter;
mod memory;
mod outcome;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use dataplane::{Engine, SyncReport};
use interpreter::Kernel;
use memory::{Memory, Objects};
use model::{
    Change, EndpointAddr, IpFamily, NamespacedName, Service, ServiceEntry, ServiceType, Slice, Store,
};
use nftables::{ChainId, ElementKey, Key, Pick, SetId, Target, Value};
use outcome::Outcome;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use resolve::{Masquerade, Packet, PacketVerdict, ProxyConfig, explain, resolve};
use worlds::{Draft, NODE, changes, config, last_of_each, packet, service, slice, slice_of};

type Program = Engine<Memory>;

/// Longest history of a world.
const MOST_CHANGES: usize = 30;

/// Few worlds for each law, so that the suite stays quick; `PROPTEST_CASES` asks for more.
fn limits() -> ProptestConfig {
    let given =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { given } else { ProptestConfig { cases: 64, ..given } }
}

/// A program that starts over this kernel, before its first sync.
fn program(config: &ProxyConfig, kernel: Memory, changes: &[Change]) -> Program {
    let mut program = Engine::new(Store::new(NODE), config.clone(), kernel, &[]);
    changes.iter().for_each(|change| program.handle(change.clone()));
    program
}

fn sync(program: &mut Program) -> Result<SyncReport, TestCaseError> {
    program.sync().map_err(|error| TestCaseError::fail(error.to_string()))
}

/// A program that met all changes at once.
fn at_once(config: &ProxyConfig, changes: &[Change]) -> Result<Program, TestCaseError> {
    let mut program = program(config, Memory::default(), changes);
    sync(&mut program)?;
    Ok(program)
}

/// A program that met them one by one.
fn one_by_one(config: &ProxyConfig, changes: &[Change]) -> Result<Program, TestCaseError> {
    let mut program = at_once(config, &[])?;
    for change in changes {
        program.handle(change.clone());
        sync(&mut program)?;
    }
    Ok(program)
}

fn desired(program: &Program) -> Objects {
    program.objects().map(|(key, value)| (key.clone(), *value)).collect()
}

/// Objects without the order of endpoints in their slots.
#[derive(Debug, PartialEq)]
struct Unordered {
    slots: BTreeMap<(IpFamily, SetId, ElementKey), BTreeMap<EndpointAddr, usize>>,
    others: BTreeMap<Key, Value>,
}

fn unordered(objects: &Objects) -> Unordered {
    let mut all = Unordered { slots: BTreeMap::new(), others: BTreeMap::new() };
    for (key, value) in objects {
        match (slot_of(key), value) {
            (Some((frontend, _)), Value::Endpoint(endpoint)) => {
                *all.slots.entry(frontend).or_default().entry(*endpoint).or_default() += 1;
            }
            _ => {
                all.others.insert(key.clone(), *value);
            }
        }
    }
    all
}

/// The list that a slot belongs to, and its number in it.
fn slot_of(key: &Key) -> Option<((IpFamily, SetId, ElementKey), u16)> {
    let Key::Element(family, set, element) = key else { return None };
    let (frontend, slot) = match element {
        ElementKey::VipSlot(vip, slot) => (ElementKey::Vip(*vip), *slot),
        ElementKey::PortSlot(port, slot) => (ElementKey::Port(*port), *slot),
        _ => return None,
    };
    Some(((*family, *set, frontend), slot))
}

/// The same world, told in another order and without its history.
fn retold() -> impl Strategy<Value = (Vec<Change>, Vec<Change>)> {
    changes(MOST_CHANGES).prop_flat_map(|changes| {
        let others = Just(last_of_each(&changes)).prop_shuffle();
        (Just(changes), others)
    })
}

proptest! {
    #![proptest_config(limits())]

    #[test]
    fn after_a_sync_the_kernel_is_as_desired(config in config(), changes in changes(MOST_CHANGES)) {
        let mut program = at_once(&config, &changes)?;
        prop_assert_eq!(program.dataplane().objects(), desired(&program));
        prop_assert!(program.diff().unwrap().is_empty());
        prop_assert!(!program.has_work());
    }

    #[test]
    fn a_second_sync_writes_nothing(config in config(), changes in changes(MOST_CHANGES)) {
        let mut program = one_by_one(&config, &changes)?;
        prop_assert_eq!(sync(&mut program)?.writes, 0);
        program.request_full();
        let report = sync(&mut program)?;
        prop_assert_eq!((report.writes, report.full.map(|full| full.drifted)), (0, Some(0)));
    }

    #[test]
    fn the_order_of_news_does_not_matter(config in config(), (changes, retold) in retold()) {
        let (first, second) = (at_once(&config, &changes)?, at_once(&config, &retold)?);
        prop_assert_eq!(unordered(&desired(&first)), unordered(&desired(&second)));
    }

    #[test]
    fn step_by_step_leads_where_all_at_once_does(config in config(), (changes, retold) in retold()) {
        let (steps, fresh) = (one_by_one(&config, &changes)?, at_once(&config, &retold)?);
        prop_assert_eq!(steps.dataplane().objects(), desired(&steps));
        prop_assert_eq!(unordered(&desired(&steps)), unordered(&desired(&fresh)));
    }

    #[test]
    fn a_restart_writes_nothing(config in config(), (changes, retold) in retold()) {
        let before = one_by_one(&config, &changes)?;
        let mut after = program(&config, before.dataplane().restarted(), &retold);
        let report = sync(&mut after)?;
        prop_assert_eq!(report.writes, 0);
        prop_assert_eq!(desired(&after), desired(&before));
    }

    #[test]
    fn a_restart_into_another_world_reaches_it(
        config in config(), before in changes(MOST_CHANGES), after in changes(MOST_CHANGES),
    ) {
        let old = at_once(&config, &before)?;
        let mut new = program(&config, old.dataplane().restarted(), &after);
        sync(&mut new)?;
        prop_assert_eq!(new.dataplane().objects(), desired(&new));
        prop_assert_eq!(unordered(&desired(&new)), unordered(&desired(&at_once(&config, &after)?)));
    }

    #[test]
    fn every_reference_leads_somewhere(config in config(), changes in changes(MOST_CHANGES)) {
        let program = one_by_one(&config, &changes)?;
        let loose = loose_ends(&desired(&program));
        prop_assert!(loose.is_empty(), "{loose:#?}");
    }

    #[test]
    fn no_endpoint_of_another_node_hairpins(config in config(), changes in changes(MOST_CHANGES)) {
        let program = one_by_one(&config, &changes)?;
        let slices = program.store().entries().flat_map(|(_, entry)| entry.slices.values());
        let endpoints = slices.flat_map(|slice| &slice.endpoints);
        let may_be_here = |e: &&model::Endpoint| e.node.as_deref().is_none_or(|node| node == NODE);
        let here: BTreeSet<_> = endpoints.filter(may_be_here).map(|e| e.ip).collect();
        for (key, _) in program.objects() {
            let Key::Element(_, SetId::Hairpin, ElementKey::Vip(endpoint)) = key else { continue };
            prop_assert!(here.contains(&endpoint.ip), "{:?}", endpoint);
        }
    }

    #[test]
    fn without_services_only_the_ground_is_left(config in config(), changes in changes(MOST_CHANGES)) {
        let mut program = one_by_one(&config, &changes)?;
        let names: Vec<_> = program.store().entries().map(|(name, _)| name.clone()).collect();
        names.into_iter().for_each(|name| program.handle(Change::ServiceGone(name)));
        sync(&mut program)?;
        let is_ground = |change: &&Change| !matches!(change, Change::Service(_) | Change::Slice(_));
        let ground: Vec<Change> = last_of_each(&changes).iter().filter(is_ground).cloned().collect();
        prop_assert_eq!(program.dataplane().objects(), desired(&at_once(&config, &ground)?));
    }

    #[test]
    fn one_endpoint_changes_few_objects(
        config in config(), service in proxied(), endpoints in btree_set(1..=250u8, 0..200), touched in 1..=250u8,
        family in select(IpFamily::ALL.to_vec()),
    ) {
        let before = at_once(&config, &lone_service(&service, family, &endpoints))?;
        let mut program = before;
        let mut others = endpoints;
        if !others.remove(&touched) {
            others.insert(touched);
        }
        lone_service(&service, family, &others).into_iter().for_each(|change| program.handle(change));
        let report = sync(&mut program)?;
        let most = most_writes(&program, &service, family);
        prop_assert!(report.writes <= most, "{} writes, more than {}", report.writes, most);
    }

    #[test]
    fn the_rules_do_what_the_explanation_says(
        config in config(), changes in changes(MOST_CHANGES), packets in vec(packet(), 40),
    ) {
        let program = one_by_one(&config, &changes)?;
        let kernel = kernel_of(&program)?;
        for packet in packets {
            agrees(&program, &kernel, &packet.packet(program.store()))?;
        }
    }

    #[test]
    fn a_client_with_affinity_comes_back(
        config in config(), changes in changes(MOST_CHANGES), packets in vec(packet(), 40),
    ) {
        let program = at_once(&config, &changes)?;
        let kernel = kernel_of(&program)?;
        for packet in packets {
            comes_back(&program, &kernel, &packet.packet(program.store()))?;
        }
    }

    #[test]
    fn a_slice_changes_objects_of_its_own_service_only(
        config in config(), changes in changes(MOST_CHANGES), slice in slice(),
    ) {
        let mut program = at_once(&config, &changes)?;
        let of_others = others(&program, &slice);
        program.handle(Change::Slice(slice.clone().into()));
        sync(&mut program)?;
        for (name, objects) in of_others {
            prop_assert_eq!(program.objects_of(&name), objects, "{} after {:?}", name, slice);
        }
    }
}

/// A law over packets is worth something only if packets meet every kind of answer.
#[test]
fn packets_meet_every_kind_of_answer() {
    let mut runner = TestRunner::deterministic();
    let worlds = (config(), changes(MOST_CHANGES), vec(packet(), 40));
    let mut met: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for _ in 0..160 {
        let (config, changes, packets) = worlds.new_tree(&mut runner).unwrap().current();
        let program = at_once(&config, &changes).unwrap();
        for packet in packets {
            *met.entry(kind_of_answer(&program, &packet)).or_default() += 1;
        }
    }
    for verdict in ["dnat never", "dnat always", "dnat towards", "reject", "drop", "none"] {
        let (verdict, masquerade) = verdict.split_once(' ').unwrap_or((verdict, "never"));
        let count = met.get(&(verdict, masquerade)).copied().unwrap_or_default();
        assert!(count >= 10, "{verdict}, masqueraded {masquerade}: only {count} of {met:?}");
    }
}

fn kind_of_answer(program: &Program, packet: &Draft) -> (&'static str, &'static str) {
    let answer = explain(program.store(), program.config(), &packet.packet(program.store()));
    let masquerade = match answer.masquerade {
        Masquerade::Never => "never",
        Masquerade::Always => "always",
        Masquerade::Towards(_) => "towards",
    };
    (answer.verdict.as_str(), masquerade)
}

/// What must not be there: verdicts that lead nowhere, lists with holes, and what nothing leads to.
fn loose_ends(objects: &Objects) -> Vec<String> {
    let mut slots: BTreeMap<_, BTreeSet<u16>> = BTreeMap::new();
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

/// A Service that this proxy serves, whatever else was drawn for it.
fn proxied() -> impl Strategy<Value = Service> {
    service().prop_filter_map("not for this proxy", |service| {
        let service = Service { kind: ServiceType::LoadBalancer, other_proxy: false, ..service };
        service.is_proxied().then_some(service)
    })
}

fn lone_service(service: &Service, family: IpFamily, endpoints: &BTreeSet<u8>) -> Vec<Change> {
    let slice = slice_of(&service.name, "slice-0", family, endpoints.iter().copied());
    vec![Change::Service(service.clone().into()), Change::Slice(slice.into())]
}

/// Most objects that one endpoint may change, however many there are. The chains of affinity, and a hairpin for each
/// port; for a frontend, two slots, a verdict, two chains (named by how many slots they draw from) and, with the first
/// endpoint, its affinity; with a short circuit, the same for a second list and a third verdict.
fn most_writes(program: &Program, service: &Service, family: IpFamily) -> usize {
    let routes = resolve(program.store(), program.config(), &service.name).routes;
    let of_family = routes.iter().filter(|route| route.family == family);
    let of_route = |route: &resolve::Route| {
        let each = if route.short_circuit.is_some() { 13 } else { 7 };
        1 + each * route.frontends().count()
    };
    3 + of_family.map(of_route).sum::<usize>()
}

fn kernel_of(program: &Program) -> Result<Kernel, TestCaseError> {
    let kernel = Kernel::new(&program.dataplane().nftables, program.objects(), program.store().facts());
    kernel.map_err(TestCaseError::fail)
}

fn agrees(program: &Program, kernel: &Kernel, packet: &Packet) -> Result<(), TestCaseError> {
    let explanation = explain(program.store(), program.config(), packet);
    let why = explanation.reason.clone();
    let says = Outcome::try_from(explanation).map_err(TestCaseError::fail)?;
    let does = kernel.outcome(packet).map_err(TestCaseError::fail)?;
    prop_assert_eq!(&does, &says, "\nrules (left), explanation (right: {}) of {:?}", why, packet);
    Ok(())
}

/// What a first connection leaves behind leads all later ones to the same endpoint.
fn comes_back(program: &Program, kernel: &Kernel, packet: &Packet) -> Result<(), TestCaseError> {
    let answer = explain(program.store(), program.config(), packet);
    let seconds = answer.service.as_ref().and_then(|name| {
        let entry = program.store().entry(&name.service)?;
        entry.service.as_ref()?.affinity_seconds
    });
    let first = kernel.arrivals(packet).map_err(TestCaseError::fail)?;
    for arrival in first {
        let wanted = seconds.filter(|_| arrival.verdict == PacketVerdict::Dnat).map(|s| u64::from(s) * 1000);
        let got: Vec<u64> = arrival.remembered.iter().map(|one| one.timeout).collect();
        prop_assert_eq!(&got, &wanted.into_iter().collect::<Vec<_>>(), "what {:?} leaves behind", packet);
        if wanted.is_none() {
            continue;
        }
        let mut kernel = kernel.clone();
        kernel.remember(IpFamily::of(packet.to.ip), &arrival.remembered);
        let again = kernel.arrivals(packet).map_err(TestCaseError::fail)?;
        let strayed = again
            .iter()
            .any(|next| next.endpoint != arrival.endpoint || next.masqueraded != arrival.masqueraded);
        prop_assert!(!strayed, "{packet:?}: first {arrival:?}, then {again:?}");
    }
    Ok(())
}

/// The objects of every Service that a slice neither belongs to nor belonged to before.
fn others(program: &Program, slice: &Slice) -> Vec<(NamespacedName, Vec<(Key, Value)>)> {
    let had = |entry: &ServiceEntry| entry.slices.contains_key(&slice.name.name);
    let others = program.store().entries().filter(|(name, entry)| **name != slice.service && !had(entry));
    others.map(|(name, _)| (name.clone(), program.objects_of(name))).collect()
}
