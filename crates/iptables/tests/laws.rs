//! Laws that hold for every world: the rules do what `explain` says, and steps lead where all at once does.
//!
//! A failing world is printed in its smallest form; make it a case of a table, or a test of its own, with the fix.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
#[allow(dead_code, unused_imports, reason = "only a part is used")]
#[path = "../../../tests/worlds/mod.rs"]
mod worlds;

use std::collections::BTreeMap;

use dataplane::{Engine, Operate};
use machine::{Kernel, Outcome};
use model::{Change, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use resolve::{Masquerade, Mode, Packet, ProxyConfig, explain};
use towpath_iptables::{Iptables, Key, Value};
use worlds::{NODE, changes, config, last_of_each, packet};

const MOST_CHANGES: usize = 30;

fn limits() -> ProptestConfig {
    let given =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { given } else { ProptestConfig { cases: 64, ..given } }
}

fn iptables_config() -> impl Strategy<Value = ProxyConfig> {
    (config(), any::<bool>()).prop_map(|(config, localhost_nodeports)| ProxyConfig {
        mode: Mode::Iptables,
        localhost_nodeports,
        ..config
    })
}

fn engine(config: &ProxyConfig, changes: &[Change]) -> Engine<Iptables> {
    let mut engine = Engine::new(Store::new(NODE), config.clone(), Iptables::offline(), &[]);
    changes.iter().for_each(|change| engine.handle(change.clone()));
    engine.settle();
    engine
}

fn objects(engine: &Engine<Iptables>) -> BTreeMap<Key, Value> {
    engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn agrees(engine: &Engine<Iptables>, kernel: &Kernel, packet: &Packet) -> Result<(), TestCaseError> {
    let answer = explain(engine.store(), engine.config(), packet);
    let masqueraded = match answer.masquerade {
        Masquerade::Never => Vec::new(),
        Masquerade::Always => answer.endpoints.clone(),
        Masquerade::Towards(some) => some,
    };
    let says = Outcome { verdict: answer.verdict, endpoints: answer.endpoints, masqueraded };
    let does = kernel.weighted_outcome(packet, &answer.weights).map_err(TestCaseError::fail)?;
    prop_assert_eq!(does, says, "rules (left), explanation (right: {}) of {:?}", answer.reason, packet);
    Ok(())
}

proptest! {
    #![proptest_config(limits())]

    #[test]
    fn the_rules_do_what_the_explanation_says(
        config in iptables_config(), changes in changes(MOST_CHANGES), packets in vec(packet(), 40),
    ) {
        let engine = engine(&config, &changes);
        let list: Vec<_> = objects(&engine).into_iter().collect();
        let kernel = Kernel::new(&engine.dataplane().render(&list), engine.store().facts());
        let packets = packets.iter().map(|packet| packet.packet(engine.store()));
        // What comes to loopback from elsewhere is discarded for its own sake, which explanations know nothing of.
        for packet in packets.filter(|packet| !packet.to.ip.is_loopback() || packet.from.is_loopback()) {
            agrees(&engine, &kernel, &packet)?;
        }
    }

    #[test]
    fn step_by_step_leads_where_all_at_once_does(config in iptables_config(), changes in changes(MOST_CHANGES)) {
        let mut steps = engine(&config, &[]);
        for change in &changes {
            steps.handle(change.clone());
            steps.settle();
        }
        let fresh = engine(&config, &last_of_each(&changes));
        prop_assert_eq!(objects(&steps), objects(&fresh));
    }
}
