//! What other programs do to our tables, and what becomes of it: both variants, real tables. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kernel_world;
mod spec;

use std::process::Command;

use dataplane::{Dataplane, Engine, Operate};
use kernel_world::{WORLD, World, each_variant};
use model::{Change, NamespacedName};
use resolve::ProxyConfig;
use towpath_iptables::Iptables;
use xtables::Variant;

const NATIVE: &str = "numgen random mod 2 0 counter";

fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Names of our chains in IPv4's nat, and the rules that lead to them from PREROUTING.
fn nat() -> (usize, usize) {
    let text = nft("list table ip nat");
    (text.matches("chain TOWPATH-").count(), text.matches("jump TOWPATH-SERVICES").count())
}

/// Compares everything with the kernel: what differed, and what was written.
fn compare(engine: &mut Engine<Iptables>) -> (usize, usize) {
    engine.request_full();
    let report = engine.sync().unwrap();
    (report.full.as_ref().unwrap().drift.total(), report.writes)
}

/// The nf_tables variant with a native rule in a table, which its tools cannot print from then on.
fn with_native_rule(test: impl Fn(&World, &str) + Sync) {
    each_variant(|world| {
        if world.variant == Variant::Legacy {
            return;
        }
        // A table of the tools' own making, as on every node.
        world.restore("*nat\n-I POSTROUTING 1 -j RETURN\nCOMMIT\n*filter\n-I FORWARD 1 -j ACCEPT\nCOMMIT\n");
        test(world, NATIVE);
    });
}

#[test]
fn a_table_that_cannot_be_printed_is_programmed_all_the_same() {
    with_native_rule(|world, rule| {
        nft(&format!("add rule ip nat POSTROUTING {rule}"));
        nft(&format!("insert rule ip filter FORWARD {rule}"));
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        assert!(engine.dataplane_mut().is_installed().unwrap());
        assert!(nat().0 > 30 && nft("list table ip filter").contains("TOWPATH-IDLE-VIP-21"), "{:?}", nat());
        assert_eq!(compare(&mut engine), (0, 0), "what was written counts for what is there");
        let before = nat();
        engine.handle(Change::ServiceGone(NamespacedName::new("a", "everything")));
        engine.sync().unwrap();
        assert!(nat().0 < before.0, "{:?}", nat());
        assert_eq!(compare(&mut engine), (0, 0));
        let mut reader = engine.dataplane().reader().unwrap();
        assert_eq!(reader.observe().unwrap().len(), engine.object_count());
        // All is as where the table can be printed.
        nft("flush chain ip nat POSTROUTING");
        nft("flush chain ip filter FORWARD");
        assert_eq!(compare(&mut engine), (2, 2), "the jumps");
        assert!(engine.diff().unwrap().is_empty());
    });
}

#[test]
fn a_restart_beside_a_native_rule_writes_everything_once_and_removal_works() {
    with_native_rule(|world, rule| {
        world.engine(WORLD).sync().unwrap();
        let names = nat();
        // Left by another version; more rules than wanted; a rule that the tools could not find behind the native one.
        world.restore("*nat\n:TOWPATH-OLD - [0:0]\n-A TOWPATH-VIP-01 -j TOWPATH-OLD\n-I OUTPUT 1 -j TOWPATH-OLD\nCOMMIT\n");
        nft(&format!("insert rule ip nat OUTPUT {rule}"));
        nft(&format!("insert rule ip filter FORWARD {rule}"));
        let mut second = world.engine(WORLD);
        assert!(second.dataplane_mut().is_installed().unwrap());
        second.sync().unwrap();
        assert_eq!(nat(), names);
        assert_eq!(compare(&mut second), (0, 0));
        let list = nft("list chain ip nat OUTPUT");
        assert!(list.contains("numgen") && list.matches("jump").count() == 1, "{list}");
        // What an earlier run has done to the node is known.
        let config = second.config().clone();
        second.set_config(ProxyConfig { localhost_nodeports: false, ..config.clone() });
        second.sync().unwrap();
        assert_eq!(world.localnet(), "0");
        second.set_config(config);
        second.sync().unwrap();
        assert_eq!(world.localnet(), "1");
        nft("flush chain ip nat OUTPUT");
        assert_eq!(compare(&mut second), (1, 1));
        assert!(second.diff().unwrap().is_empty());
        nft(&format!("insert rule ip nat OUTPUT {rule}"));
        let mut third = Iptables::open(world.tools());
        assert!(third.remove().unwrap() > 50);
        assert!(!third.is_installed().unwrap());
        assert_eq!((nat(), world.localnet().as_str()), ((0, 0), "0"));
        assert!(nft("list chain ip nat OUTPUT").contains("numgen"));
        assert_eq!(third.remove().unwrap(), 0);
    });
}

#[test]
fn beside_a_native_rule_only_what_is_missing_is_somebody_elses_change() {
    with_native_rule(|world, rule| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        nft(&format!("add rule ip nat POSTROUTING {rule}"));
        assert!(engine.dataplane_mut().touched_by_others());
        compare(&mut engine);
        let touched = |engine: &mut Engine<Iptables>| engine.dataplane_mut().touched_by_others();
        for other in ["add table ip other", "add rule ip nat POSTROUTING counter", "add chain ip nat other"] {
            nft(other);
            assert!(!touched(&mut engine), "{other}");
        }
        assert_eq!(compare(&mut engine), (0, 0));
        for damage in [
            &["flush chain ip nat PREROUTING"][..],
            &["flush chain ip6 filter INPUT"],
            // A chain with its rules, and what leads to it.
            &["flush chain ip nat TOWPATH-VIP-1", "delete chain ip nat TOWPATH-VIP-11"],
        ] {
            damage.iter().for_each(|command| _ = nft(command));
            assert!(touched(&mut engine), "{damage:?}");
            let (drifted, written) = compare(&mut engine);
            assert!(drifted > 0 && drifted < 9 && drifted == written, "{damage:?}: {drifted} {written}");
            assert!(!touched(&mut engine), "{damage:?}");
        }
    });
}

#[test]
fn a_foreign_rule_that_leads_to_a_chain_holds_only_that_chain() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        let before = world.chains();
        // To a shared chain, and to one of a ServicePort.
        world.restore("*nat\n:MINE - [0:0]\n-A MINE -m comment --comment mine -j TOWPATH-VIP-11\nCOMMIT\n");
        let all = world.save("nat");
        let svc = all.lines().find(|line| line.starts_with("-A TOWPATH-VIP-11 ")).unwrap();
        let svc = svc.split(' ').next_back().unwrap().to_owned();
        world.restore(&format!("*nat\n-A MINE -j {svc}\nCOMMIT\n"));
        compare(&mut engine);
        let sticky = NamespacedName::new("a", "sticky");
        let service = engine.store().entry(&sticky).unwrap().service.clone().unwrap();
        engine.handle(Change::ServiceGone(sticky));
        engine.sync().unwrap();
        let saved = world.save("nat");
        for chain in ["TOWPATH-VIP-11", &svc] {
            assert!(saved.contains(&format!(":{chain} ")), "{chain}");
            assert!(!saved.contains(&format!("-A {chain} ")), "{chain} is empty");
        }
        assert!(world.chains() < before - 2);
        assert_eq!(compare(&mut engine), (0, 0), "it is no drift");
        assert!(engine.diff().unwrap().is_empty());
        // It is wanted again, and not any more.
        engine.handle(Change::Service(service.clone()));
        engine.sync().unwrap();
        assert_eq!(world.chains(), before);
        assert_eq!(compare(&mut engine), (0, 0));
        engine.handle(Change::ServiceGone(NamespacedName::new("a", "sticky")));
        engine.sync().unwrap();
        // After a restart too.
        let mut engine = world.engine(WORLD);
        engine.handle(Change::ServiceGone(NamespacedName::new("a", "sticky")));
        engine.sync().unwrap();
        assert_eq!(compare(&mut engine), (0, 0));
        world.restore("*nat\n-F MINE\nCOMMIT\n");
        assert!(engine.dataplane_mut().touched_by_others());
        assert_eq!(compare(&mut engine), (0, 0));
        assert!(!world.save("nat").contains(&svc) && !world.save("nat").contains(":TOWPATH-VIP-11"));
    });
}

#[test]
fn a_reader_does_not_write() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        world.set_localnet("0");
        let mut reader = engine.dataplane().reader().unwrap();
        let (config, store) = (engine.config().clone(), engine.store());
        let cidrs = store.service_cidrs();
        reader.ground(&dataplane::Ground { config: &config, facts: store.facts(), service_cidrs: &cidrs });
        reader.observe().unwrap();
        assert_eq!(world.localnet(), "0");
    });
}

#[test]
fn route_localnet_that_is_set_to_0_by_hand_is_set_again() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        compare(&mut engine);
        assert!(!engine.dataplane_mut().touched_by_others());
        world.set_localnet("0");
        assert!(engine.dataplane_mut().touched_by_others());
        assert_eq!(compare(&mut engine), (0, 0));
        assert_eq!(world.localnet(), "1");
        assert!(!engine.dataplane_mut().touched_by_others());
    });
}

#[test]
fn loopback_is_closed_before_the_rule_that_guards_it_goes() {
    with_native_rule(|world, _| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        assert_eq!(world.localnet(), "1");
        // Nobody can delete the chain now, so the rules of filter stay.
        nft(
            "add map ip filter theirs { type ipv4_addr : verdict; elements = { 192.0.2.1 : jump TOWPATH-INPUT } }",
        );
        let error = engine.dataplane_mut().remove().unwrap_err().to_string();
        assert!(error.starts_with("cannot remove the IPv4 rules"), "{error}");
        assert!(nft("list chain ip filter TOWPATH-INPUT").contains("127.0.0.0/8"));
        assert_eq!(world.localnet(), "0");
    });
}
