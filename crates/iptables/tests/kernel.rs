//! The rules in real tables, in network namespaces of their own: both variants, both families. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kernel_world;
mod spec;

use dataplane::{Dataplane, Operate};
use kernel_world::{WORLD, each_variant};
use model::{Change, NamespacedName};
use resolve::ProxyConfig;
use towpath_iptables::{Entry, Iptables, Key};
use xtables::Variant;

#[test]
fn what_is_written_is_what_is_read() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        let report = engine.sync().unwrap();
        assert!(report.writes > 200, "{report:?}");
        let plan = engine.diff().unwrap();
        assert!(plan.is_empty(), "{:#?}", plan.steps);
        engine.request_full();
        let again = engine.sync().unwrap();
        assert_eq!((again.writes, again.full.unwrap().drift.total()), (0, 0));
        assert!(!engine.dataplane_mut().touched_by_others());
    });
}

#[test]
fn a_restart_writes_nothing() {
    each_variant(|world| {
        world.engine(WORLD).sync().unwrap();
        let mut second = world.engine(WORLD);
        assert!(second.dataplane_mut().is_installed().unwrap());
        assert_eq!(second.sync().unwrap().writes, 0);
    });
}

#[test]
fn one_change_writes_few_chains_and_leaves_nothing() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        let before = world.chains();
        engine.handle(Change::ServiceGone(NamespacedName::new("a", "everything")));
        let report = engine.sync().unwrap();
        assert!(report.writes < 120, "{}", report.writes);
        assert!(engine.diff().unwrap().is_empty());
        assert!(world.chains() < before);
        assert!(!engine.dataplane_mut().touched_by_others(), "our own change is nobody else's");
    });
}

#[test]
fn a_changed_chain_is_repaired() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        let leaf = "TOWPATH-VIP-01";
        for damage in [
            format!("*nat\n-I {leaf} 1 -j RETURN\nCOMMIT\n"),
            format!("*nat\n-F {leaf}\nCOMMIT\n"),
            "*nat\n-F PREROUTING\nCOMMIT\n".to_owned(),
            "*filter\n-A INPUT -j TOWPATH-INPUT\n-I TOWPATH-FORWARD 1 -j ACCEPT\nCOMMIT\n".to_owned(),
            "*nat\n:TOWPATH-STRANGE - [0:0]\n-A TOWPATH-STRANGE -j RETURN\n-A OUTPUT -j TOWPATH-STRANGE\nCOMMIT\n"
                .to_owned(),
        ] {
            world.restore(&damage);
            assert!(engine.dataplane_mut().touched_by_others(), "{damage}");
            assert!(!engine.diff().unwrap().is_empty(), "{damage}");
            engine.request_full();
            let report = engine.sync().unwrap();
            assert!(report.full.unwrap().drift.total() > 0, "{damage}");
            assert!(engine.diff().unwrap().is_empty(), "{damage}");
        }
        assert!(!world.save("nat").contains("STRANGE"));
    });
}

/// The legacy variant: a look tells ours from theirs, and one rule from another of its size.
#[test]
fn what_others_do_in_chains_of_theirs_is_no_news_and_an_equal_size_is_no_excuse() {
    each_variant(|world| {
        if world.variant == Variant::Nft {
            return;
        }
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        for theirs in ["*nat\n:MINE - [0:0]\n-I PREROUTING 1 -j MINE\nCOMMIT\n", "*nat\n-F MINE\nCOMMIT\n"] {
            world.restore(theirs);
            assert!(!engine.dataplane_mut().touched_by_others(), "{theirs}");
        }
        let rule = |chain: &str| {
            let text = world.save("nat");
            let start = format!("-A {chain} ");
            text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
        };
        let (first, second) = (rule("TOWPATH-VIP-01"), rule("TOWPATH-POSTROUTING"));
        let other = first.replace(".1/32", ".9/32");
        assert_ne!(first, other);
        world.restore(&format!("*nat\n-R TOWPATH-VIP-01 1 {other}\nCOMMIT\n"));
        assert!(engine.dataplane_mut().touched_by_others(), "{first}");
        assert!(engine.dataplane_mut().touched_by_others(), "until it is looked at");
        engine.request_full();
        assert!(engine.sync().unwrap().full.unwrap().drift.total() > 0);
        assert!(!engine.dataplane_mut().touched_by_others());
        // A change of ours does not hide it.
        world.restore(&format!(
            "*nat\n-R TOWPATH-POSTROUTING 1 {}\nCOMMIT\n",
            second.replace("RETURN", "ACCEPT")
        ));
        engine.handle(Change::ServiceGone(NamespacedName::new("a", "local")));
        engine.sync().unwrap();
        assert!(engine.dataplane_mut().touched_by_others(), "{second}");
    });
}

#[test]
fn removal_leaves_what_is_not_ours() {
    each_variant(|world| {
        let foreign = "*filter\n:KUBE-FIREWALL - [0:0]\n-A KUBE-FIREWALL -d 192.0.2.1/32 -j DROP\n-A INPUT -j KUBE-FIREWALL\nCOMMIT\n*nat\n:OTHER - [0:0]\n-A OTHER -s 192.0.2.2/32 -j RETURN\n-A PREROUTING -j OTHER\nCOMMIT\n";
        world.restore(foreign);
        let before = world.rules();
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        assert_eq!(world.localnet(), "1");
        assert!(engine.dataplane_mut().is_installed().unwrap());
        // Another process removes them: it must know from the rules what route_localnet was.
        let mut other = Iptables::open(world.tools());
        assert!(other.remove().unwrap() > 50);
        assert_eq!(world.rules(), before);
        assert_eq!(world.localnet(), "0");
        assert_eq!(other.remove().unwrap(), 0);
        assert!(!other.is_installed().unwrap());
    });
}

#[test]
fn what_the_kernel_refuses_names_its_service() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        let mut bad = spec::service(&kernel_world::scene(WORLD).services[0]);
        bad.name = NamespacedName::new("a", "refused");
        bad.cluster_ips = vec!["10.96.7.7".parse().unwrap()];
        bad.ports.iter_mut().for_each(|port| port.node_port = 0);
        bad.external_ips.clear();
        bad.load_balancer_ips.clear();
        // The API never has such a time, and the tool does not take it.
        bad.affinity_seconds = Some(0);
        bad.ports.truncate(1);
        let slice = spec::slice(&kernel_world::scene(WORLD).slices[0], 99);
        let slice = model::Slice { service: bad.name.clone(), ..slice };
        engine.handle(Change::Slice(slice.into()));
        engine.handle(Change::Service(bad.into()));
        let report = engine.sync().unwrap();
        let refused: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].contains("a/refused"), "{refused:?}");
        let rest = engine.diff().unwrap();
        let of_service = |(key, _): &&(Key, _)| matches!(key.entry, Entry::Vip(..) | Entry::Whole);
        assert_eq!(rest.steps.iter().filter(of_service).count(), rest.len(), "{rest:#?}");
        // Its chain, those of three endpoints, and the rule that leads to it; all others are there.
        assert_eq!(rest.len(), 5, "{rest:#?}");
    });
}

#[test]
fn a_held_lock_is_named() {
    each_variant(|world| {
        if world.variant == Variant::Nft {
            return;
        }
        let mut engine = world.engine(WORLD);
        let _held = world.hold_lock();
        let error = engine.sync().unwrap_err();
        let text = format!("{error}");
        assert!(text.contains("lock") && text.contains("5 s"), "{text}");
        assert!(world.save("nat").is_empty() || !world.save("nat").contains("TOWPATH"), "half done");
    });
}

#[test]
fn a_reader_sees_the_same() {
    each_variant(|world| {
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        let mut reader = engine.dataplane().reader().unwrap();
        assert_eq!(reader.observe().unwrap().len(), engine.object_count());
    });
}

#[test]
fn printed_rules_can_be_loaded() {
    each_variant(|world| {
        let engine = world.engine(WORLD);
        let mut offline = dataplane::Engine::new(
            engine.store().clone(),
            engine.config().clone(),
            <Iptables as Operate>::offline(),
            &[],
        );
        offline.settle();
        let objects: Vec<_> = offline.objects().map(|(k, v)| (k.clone(), v.clone())).collect();
        let text = offline.dataplane().render(&objects);
        let (v4, v6) = text.split_once("# IPv6\n").unwrap();
        world.restore(v4);
        world.restore6(v6);
        let mut kernel = Iptables::open(world.tools());
        let observed = kernel.observe().unwrap();
        assert_eq!(observed.len(), objects.len());
        assert!(objects.iter().all(|(key, value)| observed.get(key) == Some(value)));
    });
}

#[test]
fn loopback_is_opened_and_closed_with_its_rule() {
    each_variant(|world| {
        let rule = "127.0.0.0/8 stays on this host; route_localnet was 0";
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        assert_eq!((world.localnet().as_str(), world.save("filter").matches(rule).count()), ("1", 2));
        // A later run knows what an earlier one has done.
        let mut engine = world.engine(WORLD);
        engine.sync().unwrap();
        let config = ProxyConfig { localhost_nodeports: false, ..engine.config().clone() };
        engine.set_config(config.clone());
        engine.sync().unwrap();
        assert_eq!((world.localnet().as_str(), world.save("filter").matches(rule).count()), ("0", 0));
        // What somebody else sets is none of ours.
        world.set_localnet("1");
        engine.set_config(ProxyConfig { masquerade_all: true, ..config.clone() });
        engine.sync().unwrap();
        assert_eq!(world.localnet(), "1");
        engine.dataplane_mut().remove().unwrap();
        assert_eq!(world.localnet(), "1");
    });
}
