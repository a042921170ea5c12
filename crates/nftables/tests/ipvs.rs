//! What Services become beside IPVS: golden text, and tables of objects. No kernel.
//!
//! `TOWPATH_BLESS=1 cargo test -p towpath-nftables --test ipvs` writes the text anew; read the difference.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scenery;

use std::path::Path;

use dataplane::{Dataplane, Engine, Operate};
use model::{Change, NamespacedName};
use scenery::{NODE_IPS, SCENE, addresses, engine};
use towpath_nftables::{ElementKey, Key, Nftables, SetId, Style, Value};

fn settled(text: &str, style: Style) -> Engine<Nftables> {
    let mut engine = engine(text, Nftables::offline_as(style));
    engine.settle();
    engine
}

/// The objects as lines, those of one family and table first.
fn lines(engine: &Engine<Nftables>) -> Vec<String> {
    let mut objects: Vec<(&Key, &Value)> = engine.objects().collect();
    objects.sort_by_key(|(key, _)| *key);
    objects.into_iter().map(|(key, value)| engine.dataplane().describe(key, value)).collect()
}

/// The elements of a set of IPv4.
fn elements(engine: &Engine<Nftables>, set: &str) -> Vec<String> {
    let start = format!("element ip {} {set} {{ ", engine.dataplane().style().table());
    let found = lines(engine).into_iter().filter_map(|line| Some(line.strip_prefix(&start)?.to_owned()));
    found.map(|line| line.trim_end_matches(" }").to_owned()).collect()
}

#[test]
fn golden() {
    let engine = settled(SCENE, Style::Ipvs);
    let objects: Vec<(Key, Value)> = engine.objects().map(|(k, v)| (k.clone(), *v)).collect();
    let text = engine.dataplane().render(&objects);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ipvs.nft");
    if std::env::var_os("TOWPATH_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(text == expected, "the text differs from {}; got:\n{text}", path.display());
}

#[test]
fn ipvs_gets_what_it_can_balance() {
    let engine = settled(SCENE, Style::Ipvs);
    for (set, want) in [
        (
            "vips",
            &[
                "10.96.0.20 . tcp . 80 : goto to-ipvs",
                "10.96.0.30 . tcp . 443 : goto to-ipvs",
                "10.96.0.40 . tcp . 81 : goto to-ipvs",
                "192.168.9.2 . tcp . 81 : goto local-policy-vips",
                "198.51.100.7 . tcp . 443 : goto local-policy-vips",
                "198.51.100.9 . tcp . 81 : goto local-policy-vips",
            ][..],
        ),
        ("outside-nodeports", &["tcp . 30081 : goto to-ipvs", "tcp . 30443 : goto to-ipvs"]),
        // Where all endpoints are here, IPVS has the right list for everybody.
        ("pod-nodeports", &["tcp . 30081 : goto to-ipvs", "tcp . 30443 : goto pick-port-02-of-2"]),
        ("node-nodeports", &["tcp . 30081 : goto to-ipvs-masq", "tcp . 30443 : goto pick-port-02-of-2-masq"]),
        (
            "nodeports",
            &[
                "tcp . 30080 : goto to-ipvs-masq",
                "tcp . 30081 : goto local-policy-nodeports",
                "tcp . 30443 : goto local-policy-nodeports",
            ],
        ),
        ("idle-nodeports", &["udp . 30082 : goto reject-it"]),
        ("routed-vips", &["198.51.100.7", "198.51.100.9"]),
        ("nodeport-ips", &["192.168.0.2", "192.168.9.2"]),
        ("virtual-servers", &[]),
        ("health-ports", &["tcp . 32000"]),
    ] {
        assert_eq!(elements(&engine, set), want, "{set}");
    }
}

/// Slots and affinity exist for the short circuit alone.
#[test]
fn only_the_short_circuit_chooses_here() {
    let sticky =
        SCENE.replace("  ports: [{name: http", "  session_affinity: ClientIP\n  ports: [{name: http");
    let engine = settled(&sticky, Style::Ipvs);
    assert_eq!(elements(&engine, "affinity-vips").len(), 1);
    assert!(elements(&engine, "affinity-vips")[0].starts_with("198.51.100.7 . tcp . 443 : goto record-"));
    assert_eq!(elements(&engine, "affinity-nodeports").len(), 1);
    let slots = lines(&engine).into_iter().filter(|l| l.contains("-slots-") && l.starts_with("element ip "));
    let slots: Vec<String> = slots.collect();
    assert_eq!(slots.len(), 4, "{slots:#?}");
    assert!(slots.iter().all(|slot| slot.contains("443")), "{slots:#?}");
    let jumps = lines(&engine).into_iter().filter(|line| line.contains("jump affinity-record"));
    assert!(jumps.into_iter().all(|line| line.contains("ct status dnat jump affinity-record")));
}

#[test]
fn nothing_of_it_is_in_the_other_style() {
    let engine = settled(SCENE, Style::Dnat);
    for line in lines(&engine) {
        assert!(line.contains(" towpath "), "{line}");
        for word in
            ["ipvs", "virtual-servers", "routed-vips", "health-ports", "filter-input-late", "echo-request"]
        {
            assert!(!line.contains(word), "{line}");
        }
    }
}

#[test]
fn an_address_of_the_node_is_no_routed_vip() {
    for (style, relowers) in [(Style::Dnat, false), (Style::Ipvs, true)] {
        let mut engine = settled(SCENE, style);
        assert!(!engine.dataplane().relowers(), "the first ground is no change");
        let more = [&NODE_IPS[..], &["198.51.100.9", "10.1.2.3"]].concat();
        engine.handle(addresses(&more));
        engine.settle();
        assert_eq!(engine.dataplane().relowers(), relowers, "{style:?}");
        engine.handle(addresses(&more.iter().rev().copied().collect::<Vec<_>>()));
        engine.settle();
        assert!(!engine.dataplane().relowers(), "{style:?}: the order means nothing");
        if style == Style::Ipvs {
            assert_eq!(elements(&engine, "routed-vips"), ["198.51.100.7"]);
            let ips = ["10.1.2.3", "192.168.0.2", "192.168.9.2", "198.51.100.9"];
            assert_eq!(elements(&engine, "nodeport-ips"), ips);
        }
    }
}

/// Two Services may have one VIP: it stays as long as one of them.
#[test]
fn a_routed_vip_has_several_owners() {
    let mut engine = settled(SCENE, Style::Ipvs);
    for (gone, want) in [("here", &["198.51.100.7", "198.51.100.9"][..]), ("idle", &["198.51.100.7"])] {
        engine.handle(Change::ServiceGone(NamespacedName::new("a", gone)));
        engine.settle();
        assert_eq!(elements(&engine, "routed-vips"), want, "without {gone}");
    }
}

/// On input, the prefix would cut the node off.
#[test]
fn a_service_cidr_with_an_address_of_the_node_is_not_closed() {
    let mut engine = settled(SCENE, Style::Ipvs);
    let check = |engine: &Engine<Nftables>| {
        let all = lines(engine);
        all.into_iter().find(|line| line.starts_with("chain ip towpath-ipvs cluster-ip-check ")).unwrap()
    };
    assert!(check(&engine).ends_with("ip daddr 10.96.0.0/16 drop }"));
    engine.handle(addresses(&["192.168.0.2", "10.96.200.1"]));
    engine.settle();
    assert!(check(&engine).ends_with("ip daddr @routed-vips goto reject-it }"));
}

/// Keys that another crate adds are read and printed like ours.
#[test]
fn records_of_virtual_servers_print() {
    let engine = settled(SCENE, Style::Ipvs);
    let ip = "10.96.0.20".parse().unwrap();
    let server = towpath_nftables::VipKey { ip, protocol: model::Protocol::Tcp, port: 80 };
    let key = Key::Element(model::IpFamily::V4, SetId::VirtualServers, ElementKey::Vip(server));
    let text = engine.dataplane().describe(&key, &Value::Member);
    assert_eq!(text, "element ip towpath-ipvs virtual-servers { 10.96.0.20 . tcp . 80 }");
}
