//! Single objects of the kernel against a list of all, in network namespaces of their own. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scenery;

use dataplane::{Dataplane, Engine, Operate};
use model::IpFamily;
use rustc_hash::{FxHashMap, FxHashSet};
use scenery::{SCENE, engine};
use testkit::netns::NetNs;
use towpath_nftables::{Key, Nftables, SetId, Stray, Style, Value};

type Objects = FxHashMap<Key, Value>;

const DAMAGE: &str = "
delete element ip towpath cluster-ips { 10.96.0.20 }
flush map ip6 towpath vips
delete element ip towpath vips { 10.96.0.20 . tcp . 80 }
add element ip towpath vips { 10.96.0.20 . tcp . 80 : drop }
flush chain ip towpath filter-input
add rule ip6 towpath services drop
add chain ip towpath mine
add set ip6 towpath my-set { type ipv4_addr; }";

fn synced(ns: &NetNs, style: Style) -> Engine<Nftables> {
    let mut engine = ns.run(|| engine(SCENE, Nftables::open_as(style).unwrap())).unwrap();
    engine.sync().unwrap();
    engine
}

fn all(engine: &mut Engine<Nftables>) -> Objects {
    engine.dataplane_mut().observe().unwrap()
}

fn some(engine: &mut Engine<Nftables>, keys: &FxHashSet<Key>) -> Objects {
    engine.dataplane_mut().observe_some(keys).unwrap()
}

#[test]
fn all_of_them_one_by_one_are_all() {
    for style in [Style::Dnat, Style::Ipvs] {
        let ns = NetNs::new().unwrap();
        let mut engine = synced(&ns, style);
        let expected = all(&mut engine);
        let keys: FxHashSet<Key> = expected.keys().cloned().collect();
        assert!(keys.len() > 100);
        assert!(keys.iter().any(|key| matches!(key, Key::Element(_, SetId::AllowedSources, _))));
        assert_eq!(some(&mut engine, &keys), expected, "{style:?}");
    }
}

#[test]
fn what_is_missing_changed_or_added_shows() {
    let ns = NetNs::new().unwrap();
    let mut engine = synced(&ns, Style::Dnat);
    let mut keys: FxHashSet<Key> = all(&mut engine).into_keys().collect();
    ns.nft(DAMAGE).unwrap();
    let chain = |name: &str| Key::Stray(IpFamily::V4, Box::new(Stray::Chain(name.into())));
    let set = |name: &str| Key::Stray(IpFamily::V6, Box::new(Stray::Set(name.into())));
    keys.extend([chain("mine"), chain("nobodys"), set("my-set"), set("nobodys")]);
    let expected = all(&mut engine);
    let found = some(&mut engine, &keys);
    assert_eq!(found, expected);
    assert!(found.contains_key(&chain("mine")) && found.contains_key(&set("my-set")));
    assert!(!found.contains_key(&chain("nobodys")) && found.len() < keys.len());
}

#[test]
fn nothing_is_found_where_there_is_no_table() {
    let ns = NetNs::new().unwrap();
    let mut engine = synced(&ns, Style::Dnat);
    let keys: FxHashSet<Key> = all(&mut engine).into_keys().collect();
    ns.nft("flush ruleset").unwrap();
    assert_eq!(some(&mut engine, &keys), Objects::default());
    engine.request_full();
    assert!(engine.sync().unwrap().writes >= keys.len());
}
